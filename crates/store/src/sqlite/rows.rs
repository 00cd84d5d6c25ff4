//! From rows to values and back. A value that this program never writes is reported, not guessed.

pub(super) mod accounts;
pub(super) mod credentials;
pub(super) mod invitations;
pub(super) mod keyrings;
pub(super) mod passkeys;

use std::{fmt::Display, str::FromStr};

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::UnixTime;
use jiff::{SignedDuration, civil::DateTime, fmt::temporal::DateTimePrinter};
use rusqlite::{Connection, Params, Row, types::FromSql};

use super::error::DbError;

/// Runs one statement and returns how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, DbError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// All rows of a query.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// The first row of a query, if it has one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, DbError>,
) -> Result<Option<T>, DbError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The number that a query of one number gives.
pub(super) fn count(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, DbError> {
    let count = first(connection, sql, params, |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
}

/// The columns of one table, as they follow each other in a row.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    table: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    /// The columns from index `start` on, which come from `table`.
    pub(super) const fn new(row: &'a Row<'a>, table: &'static str, start: usize) -> Self {
        Self { row, table, next: start }
    }

    /// The next column, called `column`, as `read` understands it.
    pub(super) fn read<S: FromSql, T, E: Display>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(S) -> Result<T, E>,
    ) -> Result<T, DbError> {
        let index = self.next;
        self.next += 1;
        let corrupt = |reason| DbError::Corrupt { table: self.table, column, reason };
        let stored = self.row.get(index).map_err(|error| corrupt(error.to_string()))?;
        read(stored).map_err(|error| corrupt(error.to_string()))
    }

    /// The next column as SQLite has it.
    pub(super) fn plain<T: FromSql>(&mut self, column: &'static str) -> Result<T, DbError> {
        self.read(column, Ok::<T, String>)
    }

    /// The next column as text that is parsed.
    pub(super) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        column: &'static str,
    ) -> Result<T, DbError> {
        self.read(column, |text: String| text.parse())
    }

    /// The next column as text that is parsed, unless it is null.
    pub(super) fn parse_optional<T: FromStr<Err: Display>>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<T>, DbError> {
        self.read(column, |text: Option<String>| text.map(|text| text.parse()).transpose())
    }

    /// The next column as a moment.
    pub(super) fn time(&mut self, column: &'static str) -> Result<UnixTime, DbError> {
        self.read(column, from_millis)
    }

    /// The next column as a moment, unless it is null.
    pub(super) fn optional_time(
        &mut self,
        column: &'static str,
    ) -> Result<Option<UnixTime>, DbError> {
        self.read(column, |time: Option<i64>| time.map(from_millis).transpose())
    }

    /// The next column as a moment in the form of the table `users`, unless it is null.
    pub(super) fn optional_timestamp(
        &mut self,
        column: &'static str,
    ) -> Result<Option<UnixTime>, DbError> {
        let parse = |text: String| from_timestamp(&text).ok_or("not a time");
        self.read(column, |text: Option<String>| text.map(parse).transpose())
    }

    /// The next column as exactly `N` bytes, unless it is null.
    pub(super) fn optional_bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, DbError> {
        let exact = |bytes: Vec<u8>| {
            <[u8; N]>::try_from(bytes)
                .map_err(|bytes| format!("{} bytes instead of {N}", bytes.len()))
        };
        self.read(column, |bytes: Option<Vec<u8>>| bytes.map(exact).transpose())
    }

    /// The next column as exactly `N` bytes.
    pub(super) fn bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<[u8; N], DbError> {
        let table = self.table;
        let absent = || DbError::Corrupt { table, column, reason: "nothing".to_owned() };
        self.optional_bytes(column)?.ok_or_else(absent)
    }
}

/// The status of that stable name.
pub(super) fn status(name: &str) -> Result<AccountStatus, &'static str> {
    [AccountStatus::Active, AccountStatus::Disabled]
        .into_iter()
        .find(|status| status.name() == name)
        .ok_or("not the name of a status")
}

/// A moment as most tables hold it. A moment beyond the range of SQLite's integers, 292 million
/// years from now, becomes the last one within.
pub(super) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> Result<UnixTime, &'static str> {
    u64::try_from(millis).map(UnixTime::from_millis).map_err(|_| "a time before 1970")
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// How SQLite's own functions write a moment.
const AS_SQLITE: DateTimePrinter = DateTimePrinter::new().separator(b' ').precision(Some(0));

/// A moment as the table `users` holds it: `YYYY-MM-DD HH:MM:SS` in UTC. A moment after the year
/// 9999 becomes its last second.
pub(super) fn timestamp(time: UnixTime) -> String {
    let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    AS_SQLITE.datetime_to_string(&EPOCH.saturating_add(SignedDuration::from_secs(secs)))
}

/// The moment that [`timestamp`] writes as `text`.
fn from_timestamp(text: &str) -> Option<UnixTime> {
    let since_epoch = text.parse::<DateTime>().ok()?.duration_since(EPOCH);
    let time = UnixTime::from_secs(u64::try_from(since_epoch.as_secs()).ok()?);
    // Each moment has one text, so other forms show here.
    (timestamp(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_as_sqlite_writes_them() {
        let connection = Connection::open_in_memory().unwrap();
        let moments = [0, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 4_107_542_400];
        for secs in moments.into_iter().chain([1_700_000_000, UnixTime::MAX_SECS]) {
            let select = format!("SELECT datetime({secs}, 'unixepoch')");
            let expected: String = connection.query_row(&select, [], |r| r.get(0)).unwrap();
            let time = UnixTime::from_secs(secs);
            assert_eq!(timestamp(time), expected);
            assert_eq!(from_timestamp(&expected), Some(time));
        }
        assert_eq!(timestamp(UnixTime::from_secs(u64::MAX)), "9999-12-31 23:59:59");
    }

    #[test]
    fn every_day_has_a_timestamp_that_can_be_read() {
        for day in 0..150_000 {
            let time = UnixTime::from_secs(day * 86_400 + 86_399);
            assert_eq!(from_timestamp(&timestamp(time)), Some(time));
        }
    }

    #[test]
    fn what_is_no_timestamp_is_not_guessed_at() {
        for text in [
            "",
            "now",
            "1700000000",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20Z",
            "2023-11-14 22:13:20.5",
            "2023-11-14 24:00:00",
            "2023-11-14 22:60:20",
            "2023-02-29 22:13:20",
            "2023-00-14 22:13:20",
            "2023-13-14 22:13:20",
            "2023-11-00 22:13:20",
            "+023-11-14 22:13:20",
            "1969-12-31 23:59:59",
            "0000-01-01 00:00:00",
            "2023-11-14 22:13:2\u{e9}",
        ] {
            assert_eq!(from_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn moments_beyond_the_range_stay_far_ahead() {
        assert_eq!(millis(UnixTime::from_millis(u64::MAX)), i64::MAX);
        assert!(from_millis(-1).is_err());
    }
}
