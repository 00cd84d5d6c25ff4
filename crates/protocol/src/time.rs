//! Points in time, as values. Nothing here reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, never negative.
///
/// Arithmetic saturates, so a hostile lifetime or `iat` cannot wrap around.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixTime {
    millis: u64,
}

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self { millis: 0 };

    /// The last second of the year 9999: the largest `NumericDate` that is accepted.
    pub const MAX_SECS: u64 = 253_402_300_799;

    /// From whole seconds, as a `NumericDate` states them (RFC 7519 §2).
    pub const fn from_secs(secs: u64) -> Self {
        Self { millis: secs.saturating_mul(1000) }
    }

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.millis / 1000
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.millis.saturating_sub(earlier.millis))
    }
}

/// How far ahead of this one a client's clock may be: `iat` and `nbf` of everything that clients sign
/// may lie so far in the future. Proofs and assertions share it, or a client could register and not
/// log in. FAPI 2.0 (§5.3.2.1) asks for at least 10 seconds.
pub const CLIENT_CLOCK_AHEAD: Duration = Duration::from_secs(15);

impl std::ops::Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { millis: self.millis.saturating_add(whole_millis(duration)) }
    }
}

impl std::ops::Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self { millis: self.millis.saturating_sub(whole_millis(duration)) }
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(UnixTime::EPOCH - Duration::from_secs(1), UnixTime::EPOCH);
        let last = UnixTime::from_millis(u64::MAX);
        assert_eq!(last + Duration::MAX, last);
        assert_eq!(UnixTime::from_secs(u64::MAX), last);
        assert_eq!(UnixTime::EPOCH.since(last), Duration::ZERO);
    }
}
