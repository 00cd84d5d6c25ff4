//! The tables, and how a database of an earlier version becomes one of this version.
//!
//! Migrations only go forward, and one that was released never changes: its checksum is kept in
//! the database and compared whenever it is opened.

use countersign_protocol::digest::sha256;
use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours in its header: `CSGN`.
pub(super) const APPLICATION_ID: i32 = 0x4353_474e;

/// The version of the schema that this program writes.
pub(super) const VERSION: u32 = 4;

/// The migration at index `n` leads from version `n` to version `n + 1`.
const MIGRATIONS: [Migration; VERSION as usize] = [
    Migration {
        name: "0001_foundation",
        sql: include_str!("../../migrations/0001_foundation.sql"),
    },
    Migration { name: "0002_dialects", sql: include_str!("../../migrations/0002_dialects.sql") },
    Migration {
        name: "0003_revocations",
        sql: include_str!("../../migrations/0003_revocations.sql"),
    },
    Migration { name: "0004_logins", sql: include_str!("../../migrations/0004_logins.sql") },
];

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Whose database a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nobody's: it is empty.
    Empty,
    /// Ours, with the schema of that version.
    Ours(u32),
    /// That of another program.
    Foreign,
}

/// Looks whose database it is, without changing anything.
pub(super) fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let objects: i64 = connection.query_row(count, [], |row| row.get(0))?;
    Ok(match (application, u32::try_from(version)) {
        (APPLICATION_ID, Ok(version)) if version > 0 => Identity::Ours(version),
        (0, Ok(0)) if objects == 0 => Identity::Empty,
        _ => Identity::Foreign,
    })
}

/// Applies the migrations that are missing, all in one transaction.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited for the transaction.
    let version: usize =
        transaction.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0))? as usize;
    let create = "CREATE TABLE IF NOT EXISTS migrations(
        version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT";
    transaction.execute(create, [])?;
    for (migration, number) in MIGRATIONS.iter().zip(1..).skip(version) {
        transaction.execute_batch(migration.sql)?;
        let insert = "INSERT INTO migrations(version, name, checksum) VALUES (?, ?, ?)";
        transaction.execute(insert, (number, migration.name, checksum(migration)))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// The first migration up to `version` that was not applied as this program knows it, if any.
pub(super) fn altered(
    connection: &Connection,
    version: u32,
) -> rusqlite::Result<Option<&'static str>> {
    let select = "SELECT checksum FROM migrations WHERE version = ?";
    let mut statement = connection.prepare(select)?;
    for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
        let mut rows = statement.query([number])?;
        let same = match rows.next()? {
            Some(row) => row.get_ref(0)?.as_blob().is_ok_and(|sum| sum == checksum(migration)),
            None => false,
        };
        if !same {
            return Ok(Some(migration.name));
        }
    }
    Ok(None)
}

fn checksum(migration: &Migration) -> [u8; 32] {
    sha256(&[migration.sql.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as a program of that version left it.
    fn of_version(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let create = "CREATE TABLE migrations(
            version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT";
        connection.execute(create, []).unwrap();
        for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
            connection.execute_batch(migration.sql).unwrap();
            let insert = "INSERT INTO migrations(version, name, checksum) VALUES (?, ?, ?)";
            connection.execute(insert, (number, migration.name, checksum(migration))).unwrap();
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    #[test]
    fn the_last_login_outlives_the_column_that_said_it_twice() {
        let mut connection = of_version(3);
        let account = "INSERT INTO users VALUES (7, 'alice', '!', NULL, '2023-11-14 22:13:20',
                '2024-01-31 08:00:00');
            INSERT INTO accounts VALUES (7, x'07', 'alice', 'active', '', 1, 1706688000123, NULL)";
        connection.execute_batch(account).unwrap();
        upgrade(&mut connection).unwrap();
        assert_eq!(identify(&connection), Ok(Identity::Ours(VERSION)));
        assert_eq!(altered(&connection, VERSION), Ok(None));
        assert!(connection.prepare("SELECT last_login_at FROM accounts").is_err());
        let select = "SELECT last_login FROM users JOIN accounts ON user_id = id";
        let last_login = connection.query_row(select, [], |row| row.get::<_, String>(0));
        assert_eq!(last_login.as_deref(), Ok("2024-01-31 08:00:00"));
    }
}
