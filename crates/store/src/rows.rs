//! From rows to values and back. A value that this program never writes is reported, not guessed.

pub(crate) mod accounts;
pub(crate) mod credentials;
pub(crate) mod invitations;
pub(crate) mod keyrings;
pub(crate) mod passkeys;

use std::{
    fmt::{self, Display},
    ops::ControlFlow,
    str::FromStr,
};

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::UnixTime;
use jiff::{SignedDuration, civil::DateTime, fmt::temporal::DateTimePrinter};

use crate::{
    error::DbError,
    sql::{Bound, Connection, FromCell, Param, Params, Row},
};

/// Runs one statement and returns how many rows it changed.
pub(crate) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, DbError> {
    params.with(|values| connection.execute(sql, values))
}

/// Reads the rows of a query one by one, until `each` has seen enough.
pub(crate) fn each(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, DbError>,
) -> Result<(), DbError> {
    params.with(|values| connection.query(sql, values, &mut each))
}

/// All rows of a query.
pub(crate) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut values = Vec::new();
    each(connection, sql, params, |row| {
        values.push(read(row)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(values)
}

/// The first row of a query, if it has one.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, DbError>,
) -> Result<Option<T>, DbError> {
    let (mut read, mut value) = (Some(read), None);
    each(connection, sql, params, |row| {
        value = read.take().map(|read| read(row)).transpose()?;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(value)
}

/// The number that a query of one number gives.
pub(crate) fn count(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, DbError> {
    let count = first(connection, sql, params, |row| row.get::<i64>(0))?;
    Ok(count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default())
}

/// The columns of one table, as they follow each other in a row.
pub(crate) struct Columns<'a> {
    row: &'a Row<'a>,
    table: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    /// The columns from index `start` on, which come from `table`.
    pub(crate) const fn new(row: &'a Row<'a>, table: &'static str, start: usize) -> Self {
        Self { row, table, next: start }
    }

    /// The next column, called `column`, as `read` understands it.
    pub(crate) fn read<S: FromCell, T, E: Display>(
        &mut self,
        column: &'static str,
        read: impl FnOnce(S) -> Result<T, E>,
    ) -> Result<T, DbError> {
        let index = self.next;
        self.next += 1;
        let corrupt = |reason| DbError::Corrupt { table: self.table, column, reason };
        let cell = self.row.cell(index)?;
        let stored = S::from_cell(cell).map_err(|error| corrupt(error.to_string()))?;
        read(stored).map_err(|error| corrupt(error.to_string()))
    }

    /// The next column as the database has it.
    pub(crate) fn plain<T: FromCell>(&mut self, column: &'static str) -> Result<T, DbError> {
        self.read(column, Ok::<T, String>)
    }

    /// The next column as text that is parsed.
    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        column: &'static str,
    ) -> Result<T, DbError> {
        self.read(column, |text: String| text.parse())
    }

    /// The next column as text that is parsed, unless it is null.
    pub(crate) fn parse_optional<T: FromStr<Err: Display>>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<T>, DbError> {
        self.read(column, |text: Option<String>| text.map(|text| text.parse()).transpose())
    }

    /// The next column as a moment.
    pub(crate) fn time(&mut self, column: &'static str) -> Result<UnixTime, DbError> {
        self.read(column, from_millis)
    }

    /// The next column as a moment, unless it is null.
    pub(crate) fn optional_time(
        &mut self,
        column: &'static str,
    ) -> Result<Option<UnixTime>, DbError> {
        self.read(column, |time: Option<i64>| time.map(from_millis).transpose())
    }

    /// The next column as a moment in the form of the table `users`, unless it is null.
    pub(crate) fn optional_timestamp(
        &mut self,
        column: &'static str,
    ) -> Result<Option<UnixTime>, DbError> {
        let parse = |text: String| from_timestamp(&text).ok_or("not a time");
        self.read(column, |text: Option<String>| text.map(parse).transpose())
    }

    /// The next column as exactly `N` bytes, unless it is null.
    pub(crate) fn optional_bytes<const N: usize>(
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
    pub(crate) fn bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<[u8; N], DbError> {
        let table = self.table;
        let absent = || DbError::Corrupt { table, column, reason: "nothing".to_owned() };
        self.optional_bytes(column)?.ok_or_else(absent)
    }
}

/// The status of that stable name.
pub(crate) fn status(name: &str) -> Result<AccountStatus, &'static str> {
    [AccountStatus::Active, AccountStatus::Disabled]
        .into_iter()
        .find(|status| status.name() == name)
        .ok_or("not the name of a status")
}

/// A moment as most tables hold it. A moment beyond the range of SQLite's integers, 292 million
/// years from now, becomes the last one within.
pub(crate) fn millis(time: UnixTime) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn from_millis(millis: i64) -> Result<UnixTime, &'static str> {
    u64::try_from(millis).map(UnixTime::from_millis).map_err(|_| "a time before 1970")
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// How SQLite's own functions write a moment.
const AS_SQLITE: DateTimePrinter = DateTimePrinter::new().separator(b' ').precision(Some(0));

/// A moment as the table `users` holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(String);

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Param for Timestamp {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Timestamp(value.map(|Self(text)| text.as_str()))
    }
}

/// A moment as the table `users` holds it: `YYYY-MM-DD HH:MM:SS` in UTC. A moment after the year
/// 9999 becomes its last second.
pub(crate) fn timestamp(time: UnixTime) -> Timestamp {
    let secs = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = EPOCH.saturating_add(SignedDuration::from_secs(secs));
    Timestamp(as_timestamp(time))
}

/// `moment` in the form of the table `users`.
pub(crate) fn as_timestamp(moment: DateTime) -> String {
    AS_SQLITE.datetime_to_string(&moment)
}

/// The moment that [`timestamp`] writes as `text`.
fn from_timestamp(text: &str) -> Option<UnixTime> {
    let since_epoch = text.parse::<DateTime>().ok()?.duration_since(EPOCH);
    let time = UnixTime::from_secs(u64::try_from(since_epoch.as_secs()).ok()?);
    // Each moment has one text, so other forms show here.
    (timestamp(time).0 == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_as_sqlite_writes_them() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let moments = [0, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 4_107_542_400];
        for secs in moments.into_iter().chain([1_700_000_000, UnixTime::MAX_SECS]) {
            let select = format!("SELECT datetime({secs}, 'unixepoch')");
            let expected: String = connection.query_row(&select, [], |r| r.get(0)).unwrap();
            let time = UnixTime::from_secs(secs);
            assert_eq!(timestamp(time).0, expected);
            assert_eq!(from_timestamp(&expected), Some(time));
        }
        assert_eq!(timestamp(UnixTime::from_secs(u64::MAX)).0, "9999-12-31 23:59:59");
    }

    #[test]
    fn every_day_has_a_timestamp_that_can_be_read() {
        for day in 0..150_000 {
            let time = UnixTime::from_secs(day * 86_400 + 86_399);
            assert_eq!(from_timestamp(&timestamp(time).0), Some(time));
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
