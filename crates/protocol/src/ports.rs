//! What the outside supplies: the clock and randomness. This crate only names them.

use std::time::Duration;

use crate::time::UnixTime;

/// A clock. Read once per operation; everything below takes the value.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> UnixTime;

    /// Time since an arbitrary fixed moment that never goes backwards: for latencies and limits.
    fn monotonic(&self) -> Duration;
}

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    ///
    /// An implementation that cannot deliver must abort rather than return predictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` fresh bytes from `random`.
pub fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}
