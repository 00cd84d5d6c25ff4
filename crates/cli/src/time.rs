//! Times and durations as people and programs write them.

use std::{str::FromStr, time::Duration};

use countersign_protocol::{
    UnixTime,
    time::{civil_date, days_since_1970},
};
use thiserror::Error;

const SECS_PER_DAY: u64 = 24 * 60 * 60;

/// `time` in whole seconds, such as `2026-03-01T09:30:00Z` (RFC 3339 §5.6). What lies beyond the
/// year 9999 becomes its last second.
pub(crate) fn to_rfc3339(time: UnixTime) -> String {
    let text = Rfc3339::new(time);
    format!("{}Z", &text.as_str()[..19])
}

/// `time` with its milliseconds, such as `2026-03-01T09:30:00.250Z`.
pub(crate) fn to_rfc3339_millis(time: UnixTime) -> String {
    Rfc3339::new(time).as_str().to_owned()
}

/// A moment with its milliseconds as [`to_rfc3339_millis`] writes it, without an allocation: every
/// line of the log begins with one.
pub(crate) struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// That of `time`.
    pub(crate) fn new(time: UnixTime) -> Self {
        let secs = time.as_secs().min(UnixTime::MAX_SECS);
        let (year, month, day) = civil_date(secs / SECS_PER_DAY);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [(0..4, year), (5..7, month), (8..10, day), (11..13, hour), (14..16, minute)];
        let seconds = [(17..19, second), (20..23, time.as_millis() % 1000)];
        for (place, mut number) in fields.into_iter().chain(seconds) {
            for digit in text[place].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        }
        Self(text)
    }

    /// Its text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A moment in RFC 3339, with any offset; a date alone means its first moment in UTC. Fractions of
/// a millisecond are dropped.
///
/// # Errors
/// When it is not such a moment, or lies before 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Result<UnixTime, InvalidTime> {
    parse_moment(text).ok_or(InvalidTime)
}

/// A whole number of seconds, minutes, hours, days or weeks: `90s`, `15m`, `12h`, `7d`, `2w`.
///
/// # Errors
/// When it is not such a number, or too large.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let (unit, secs) = [("s", 1), ("m", 60), ("h", 3600), ("d", SECS_PER_DAY)]
        .into_iter()
        .chain([("w", 7 * SECS_PER_DAY)])
        .find(|(unit, _)| text.ends_with(unit))
        .ok_or(InvalidDuration)?;
    let count: u64 = digits(&text[..text.len() - unit.len()]).ok_or(InvalidDuration)?;
    count.checked_mul(secs).map(Duration::from_secs).ok_or(InvalidDuration)
}

/// Not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a time is written as 2026-03-01, 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00")]
pub(crate) struct InvalidTime;

/// Not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a duration is a whole number with a unit: 90s, 15m, 12h, 7d or 2w")]
pub(crate) struct InvalidDuration;

fn parse_moment(text: &str) -> Option<UnixTime> {
    let (date, time) = match text.split_at_checked(10)? {
        (date, "") => (date, None),
        (date, time) => (date, Some(time.strip_prefix(['T', 't', ' '])?)),
    };
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let midnight = days_since_1970(year, month, day)? * SECS_PER_DAY * 1000;
    let Some(time) = time else { return Some(UnixTime::from_millis(midnight)) };
    let (clock, offset) = time.split_at_checked(8)?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, offset) = fraction_millis(offset)?;
    let millis = midnight + ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    let (ahead, by) = offset_millis(offset)?;
    let utc = if ahead { millis.checked_sub(by)? } else { millis + by };
    Some(UnixTime::from_millis(utc))
}

/// Splits `.250Z` into 250 and `Z`.
fn fraction_millis(text: &str) -> Option<(u64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (fraction, rest) = text.split_at(end);
    let padded = format!("{fraction:0<3}");
    (end > 0).then_some((digits(&padded[..3])?, rest))
}

/// Whether the place of that offset is ahead of UTC, and how far it is off.
fn offset_millis(text: &str) -> Option<(bool, u64)> {
    if matches!(text, "Z" | "z") {
        return Some((true, 0));
    }
    let (ahead, offset) = match text.split_at_checked(1)? {
        ("+", offset) => (true, offset),
        ("-", offset) => (false, offset),
        _ => return None,
    };
    let [hours, minutes] = fields(offset, ':', [2, 2])?;
    (hours <= 23 && minutes <= 59).then_some((ahead, (hours * 60 + minutes) * 60_000))
}

/// Numbers of exactly so many digits, with `separator` between them.
fn fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut values = [0; N];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *value = digits(part)?;
    }
    parts.next().is_none().then_some(values)
}

/// A number of nothing but decimal digits.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENTS: [(u64, &str); 7] = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (UnixTime::MAX_SECS, "9999-12-31T23:59:59Z"),
    ];

    #[test]
    fn moments_are_written_and_read_back() {
        for (secs, text) in MOMENTS {
            let time = UnixTime::from_secs(secs);
            assert_eq!(to_rfc3339(time), text);
            assert_eq!(parse_rfc3339(text), Ok(time));
        }
        assert_eq!(to_rfc3339(UnixTime::from_secs(u64::MAX)), "9999-12-31T23:59:59Z");
        let exact = UnixTime::from_millis(1_700_000_000_007);
        assert_eq!(to_rfc3339_millis(exact), "2023-11-14T22:13:20.007Z");
        assert_eq!(parse_rfc3339(&to_rfc3339_millis(exact)), Ok(exact));
    }

    #[test]
    fn every_day_of_a_few_centuries_reads_back() {
        for day in (0..200_000).step_by(7) {
            let time = UnixTime::from_secs(day * SECS_PER_DAY);
            assert_eq!(parse_rfc3339(&to_rfc3339(time)[..10]), Ok(time));
        }
    }

    #[test]
    fn moments_may_have_offsets_and_fractions() {
        let same = UnixTime::from_millis(1_700_000_000_250);
        for text in [
            "2023-11-14T22:13:20.25Z",
            "2023-11-14 22:13:20.250999z",
            "2023-11-14T23:43:20.250+01:30",
            "2023-11-14t12:13:20.250-10:00",
            "2023-11-15T00:13:20.250+02:00",
        ] {
            assert_eq!(parse_rfc3339(text), Ok(same), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "yesterday",
            "1969-12-31",
            "2023-02-29",
            "2100-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-11-31",
            "2023-11-00",
            "2023-1-01",
            "+023-11-01",
            "2023-11-14T22:13Z",
            "2023-11-14T22:13:20",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:60:00Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20+1:00",
            "2023-11-14T22:13:20Z ",
            "1970-01-01T00:00:00+00:01",
            "2023-11-1\u{664}",
            "2023-11-14T22:13:2\u{664}Z",
        ] {
            assert_eq!(parse_rfc3339(text), Err(InvalidTime), "{text:?}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        let secs = Duration::from_secs;
        assert_eq!(parse_duration("90s"), Ok(secs(90)));
        assert_eq!(parse_duration("15m"), Ok(secs(900)));
        assert_eq!(parse_duration("12h"), Ok(secs(43_200)));
        assert_eq!(parse_duration("7d"), Ok(secs(604_800)));
        assert_eq!(parse_duration("2w"), Ok(secs(1_209_600)));
        for text in ["", "7", "d", "-1d", "+1d", "1.5h", "7 d", "7D", "1h30m", "99999999999999999w"]
        {
            assert_eq!(parse_duration(text), Err(InvalidDuration), "{text:?}");
        }
    }
}
