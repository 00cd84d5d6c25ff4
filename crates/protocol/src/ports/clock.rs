//! The time.

use std::time::Duration;

use crate::time::UnixTime;

/// A clock. Read once per operation; everything below takes the value.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> UnixTime;

    /// Time since an arbitrary fixed moment that never goes backwards: for latencies and limits.
    fn monotonic(&self) -> Duration;
}
