//! Times and durations as people and programs write them.

use std::time::Duration;

use countersign_protocol::UnixTime;
use jiff::{
    SignedDuration,
    civil::{DateTime, Time},
    fmt::temporal::DateTimeParser,
    tz::Offset,
};
use thiserror::Error;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// `time` in UTC. What lies beyond the year 9999 becomes its last moment.
pub(crate) fn in_utc(time: UnixTime) -> DateTime {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    EPOCH.saturating_add(SignedDuration::from_millis(millis))
}

/// `time` in whole seconds, such as `2026-03-01T09:30:00Z` (RFC 3339 §5.6).
pub(crate) fn to_rfc3339(time: UnixTime) -> String {
    format!("{:.0}Z", in_utc(time))
}

/// `time` with its milliseconds, such as `2026-03-01T09:30:00.250Z`.
pub(crate) fn to_rfc3339_millis(time: UnixTime) -> String {
    format!("{:.3}Z", in_utc(time))
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
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
    let read = units.into_iter().find_map(|(unit, secs)| {
        let count = text.strip_suffix(unit)?;
        let is_plain = count.bytes().all(|byte| byte.is_ascii_digit());
        count.parse::<u64>().ok().filter(|_| is_plain)?.checked_mul(secs)
    });
    read.map(Duration::from_secs).ok_or(InvalidDuration)
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
    let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
    let (time, offset) = match (pieces.time(), pieces.to_numeric_offset()) {
        (None, None) if text.len() == "2026-03-01".len() => (Time::midnight(), Offset::UTC),
        (Some(time), Some(offset)) if is_to_the_second(text) => (time, offset),
        _ => return None,
    };
    let moment = pieces.date().to_datetime(time).duration_since(EPOCH)
        - SignedDuration::from_secs(offset.seconds().into());
    u64::try_from(moment.as_millis()).ok().map(UnixTime::from_millis)
}

/// Whether `2026-03-01T09:30:00` stands at the beginning. The parser knows more forms, such as those
/// without seconds.
fn is_to_the_second(text: &str) -> bool {
    [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')]
        .into_iter()
        .all(|(place, sign)| text.as_bytes().get(place) == Some(&sign))
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
            let time = UnixTime::from_secs(day * 86_400);
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
