//! The tables, and how a database of an earlier version becomes one of this version.
//!
//! Migrations only go forward, and one that was released never changes: its checksum is kept in the database.
//! Servers of two versions run on one database while it is upgraded, so a migration first only adds; what the
//! version before needs goes one version later.

use countersign_protocol::{UnixTime, digest::sha256};
use tokio_postgres::{Row, error::SqlState};

use super::{error::PostgresError, live::Live, options::SchemaMode};
use crate::{rows::millis, sql::Bound};

/// Marks the tables as ours.
const APPLICATION: &str = "countersign";

/// The version of the schema that this program knows.
pub(super) const VERSION: u32 = 1;

/// How long a migration waits for the turn, and for tables that are in use. Others queue up behind it
/// meanwhile.
const LOCK_TIMEOUT: &str = "2s";

/// The migration at index `n` leads from version `n` to version `n + 1`.
const MIGRATIONS: [Migration; VERSION as usize] = [Migration {
    name: "0001_foundation",
    sql: include_str!("../../postgres-migrations/0001_foundation.sql"),
    runs_with_from: 1,
}];

struct Migration {
    name: &'static str,
    sql: &'static str,
    /// The earliest version whose programs can work with the tables from then on.
    runs_with_from: u32,
}

impl Migration {
    fn checksum(&self) -> [u8; 32] {
        sha256(&[self.sql.as_bytes()])
    }
}

/// Whose database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// Nobody's: it has no tables.
    Empty,
    /// Ours.
    Ours {
        /// The version of the tables.
        version: u32,
        /// The earliest version whose programs can work with them.
        least: u32,
    },
    /// Another program's.
    Foreign,
}

/// Sees that this program can work with the tables, and makes or upgrades them if `mode` says so.
pub(super) async fn prepare(
    live: &Live,
    mode: SchemaMode,
    now: UnixTime,
) -> Result<(), PostgresError> {
    if needs_migration(identify(live).await?, mode)? {
        let migrated = migrate(live, mode, now).await;
        if migrated.is_err() {
            // The connection may be gone. Then the server does it.
            let _: Result<(), _> = live.batch("ROLLBACK").await;
        }
        migrated?;
    }
    check_migrations(live).await
}

fn needs_migration(identity: Identity, mode: SchemaMode) -> Result<bool, PostgresError> {
    match (identity, mode) {
        (Identity::Foreign, _) => Err(PostgresError::Foreign),
        (Identity::Empty, SchemaMode::Upgrade | SchemaMode::Existing) => Err(PostgresError::Empty),
        (Identity::Ours { version, least }, _) if least > VERSION => {
            Err(PostgresError::NewerSchema { found: version, least, known: VERSION })
        }
        (Identity::Ours { version, .. }, _) if version >= VERSION => Ok(false),
        (Identity::Ours { version, .. }, SchemaMode::Existing) => {
            Err(PostgresError::OlderSchema { found: version, known: VERSION })
        }
        (Identity::Empty | Identity::Ours { .. }, _) => Ok(true),
    }
}

async fn identify(live: &Live) -> Result<Identity, PostgresError> {
    let select = "SELECT to_regclass('schema_version') IS NOT NULL, EXISTS (SELECT 1 FROM pg_class
        WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v', 'm', 'f'))";
    let found: (bool, bool) =
        first(live, select, |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    match found {
        (false, false) => return Ok(Identity::Empty),
        (false, true) => return Ok(Identity::Foreign),
        (true, _) => {}
    }
    let select = "SELECT application, version, runs_with_from FROM schema_version WHERE id = 1";
    let rows = match live.query(select, &[]).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => {
            return Ok(Identity::Foreign);
        }
        rows => rows.map_err(|error| PostgresError::of_statement(&error))?,
    };
    let Some(row) = rows.first() else { return Ok(Identity::Foreign) };
    let read = || -> Result<(String, i64, i64), tokio_postgres::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (application, version, least) =
        read().map_err(|error| PostgresError::of_statement(&error))?;
    let number = |number: i64| {
        u32::try_from(number)
            .map_err(|_| PostgresError::Damaged { reason: format!("schema version {number}") })
    };
    if application != APPLICATION {
        return Ok(Identity::Foreign);
    }
    Ok(Identity::Ours { version: number(version)?, least: number(least)? })
}

/// Makes what is missing, in one transaction, while nobody else does.
async fn migrate(live: &Live, mode: SchemaMode, now: UnixTime) -> Result<(), PostgresError> {
    let failed = |error| PostgresError::of_statement(&error);
    live.batch("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await.map_err(failed)?;
    let turn = "SELECT set_config('lock_timeout', ?, true), pg_advisory_xact_lock(hashtext(?))";
    let values = [Bound::Text(Some(LOCK_TIMEOUT)), Bound::Text(Some("countersign migrations"))];
    live.query(turn, &values).await.map_err(failed)?;
    // Somebody else may have done it meanwhile.
    let identity = identify(live).await?;
    if needs_migration(identity, mode)? {
        let version = match identity {
            Identity::Ours { version, .. } => version,
            Identity::Empty | Identity::Foreign => 0,
        };
        for (number, migration) in (1..).zip(&MIGRATIONS).skip(version as usize) {
            apply(live, number, migration, now).await.map_err(failed)?;
        }
    }
    live.batch("COMMIT").await.map_err(failed)
}

async fn apply(
    live: &Live,
    number: i64,
    migration: &Migration,
    now: UnixTime,
) -> Result<(), tokio_postgres::Error> {
    live.batch(migration.sql).await?;
    let note =
        "INSERT INTO schema_migrations(version, name, checksum, applied_at) VALUES (?, ?, ?, ?)";
    let checksum = migration.checksum();
    let values = [
        Bound::Int(Some(number)),
        Bound::Text(Some(migration.name)),
        Bound::Bytes(Some(&checksum)),
        Bound::Int(Some(millis(now))),
    ];
    live.execute(note, &values).await?;
    let note = "INSERT INTO schema_version(id, application, version, runs_with_from) VALUES (1, ?1, ?2, ?3)
        ON CONFLICT(id) DO UPDATE SET version = ?2, runs_with_from = ?3";
    let values = [
        Bound::Text(Some(APPLICATION)),
        Bound::Int(Some(number)),
        Bound::Int(Some(migration.runs_with_from.into())),
    ];
    live.execute(note, &values).await.map(drop)
}

/// Sees that the tables were made by the migrations that this program knows.
async fn check_migrations(live: &Live) -> Result<(), PostgresError> {
    let select = "SELECT checksum FROM schema_migrations ORDER BY version";
    let rows =
        live.query(select, &[]).await.map_err(|error| PostgresError::of_statement(&error))?;
    for (row, migration) in rows.iter().zip(&MIGRATIONS) {
        let checksum: &[u8] =
            row.try_get(0).map_err(|error| PostgresError::of_statement(&error))?;
        if checksum != migration.checksum() {
            return Err(PostgresError::AlteredMigration { migration: migration.name });
        }
    }
    Ok(())
}

/// What `read` makes of the one row of a query.
pub(super) async fn first<T>(
    live: &Live,
    select: &str,
    read: impl FnOnce(&Row) -> Result<T, tokio_postgres::Error>,
) -> Result<T, PostgresError> {
    let rows =
        live.query(select, &[]).await.map_err(|error| PostgresError::of_statement(&error))?;
    let missing = || PostgresError::Damaged { reason: "a row is missing".to_owned() };
    read(rows.first().ok_or_else(missing)?).map_err(|error| PostgresError::of_statement(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_works_with_the_versions_that_it_is_meant_for() {
        use SchemaMode::{CreateOrUpgrade, Existing, Upgrade};
        let ours = |version, least| Identity::Ours { version, least };
        for mode in [CreateOrUpgrade, Upgrade, Existing] {
            assert!(!needs_migration(ours(VERSION, 1), mode).unwrap());
            // A newer program has only added to the tables.
            assert!(!needs_migration(ours(VERSION + 1, VERSION), mode).unwrap());
            let newer = needs_migration(ours(VERSION + 2, VERSION + 1), mode);
            assert!(matches!(newer, Err(PostgresError::NewerSchema { .. })));
            assert!(matches!(
                needs_migration(Identity::Foreign, mode),
                Err(PostgresError::Foreign)
            ));
        }
        assert!(needs_migration(Identity::Empty, CreateOrUpgrade).unwrap());
        for mode in [Upgrade, Existing] {
            assert!(matches!(needs_migration(Identity::Empty, mode), Err(PostgresError::Empty)));
        }
        assert!(needs_migration(ours(0, 0), Upgrade).unwrap());
        let older = needs_migration(ours(0, 0), Existing);
        assert!(matches!(older, Err(PostgresError::OlderSchema { .. })));
    }
}
