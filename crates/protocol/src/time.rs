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

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01: the inverse of
/// [`days_since_1970`].
///
/// Counts years from March, so that the leap day is the last of its year, in eras of 400 years,
/// which all have the same length.
pub const fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, in or after 1970 and before the year
/// 10000. `None` for a date that there is not.
pub fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (march_year, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    let days = march_year * 365 + leap_days + (153 * months + 2) / 5 + day - 719_469;
    // A day that its month does not have is the day of another month.
    (civil_date(days) == (year, month, day)).then_some(days)
}

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
