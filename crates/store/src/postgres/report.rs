//! What the database server says of itself and of its standbys, for the operator.

use std::time::Duration;

use countersign_authority::ports::StoreError;

use super::{engine::PostgresStore, schema, startup};
use crate::{
    engine::Engine as _,
    error::DbError,
    rows::{self, Columns},
    sql::{Connection, Row},
    sqlite::DatabaseSummary,
};

/// What the database server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// Its version, such as `15.18`.
    pub version: String,
    /// Whether it takes writes.
    pub is_primary: bool,
    /// Its setting `synchronous_commit`.
    pub synchronous_commit: String,
    /// Its setting `synchronous_standby_names`. Empty if it waits for none.
    pub synchronous_standby_names: String,
    /// Why a change may be lost that it acknowledged, if its settings allow that.
    pub may_lose: Option<&'static str>,
    /// The standbys that follow it.
    pub standbys: Vec<Standby>,
    /// The tables.
    pub schema: SchemaReport,
    /// What is in them.
    pub summary: DatabaseSummary,
}

/// A standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Its name.
    pub name: String,
    /// What it does, such as `streaming`. `None` where the user of the database may not know.
    pub state: Option<String>,
    /// Whether the server waits for it: `sync`, `quorum`, `potential` or `async`.
    pub sync_state: Option<String>,
    /// How many bytes of the server's changes it has not written yet.
    pub behind_bytes: Option<u64>,
    /// How long ago the newest change was made that it has replayed, if it is behind.
    pub replay_lag: Option<Duration>,
}

/// The versions of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaReport {
    /// That of the tables.
    pub version: u32,
    /// The earliest version whose programs can work with them.
    pub runs_with_from: u32,
    /// The one that this program knows.
    pub known: u32,
}

impl PostgresStore {
    /// Asks the server how it is, and counts what the database holds, which takes a while where it is much.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn report(&self) -> Result<ServerReport, StoreError> {
        self.read_trail(|connection| Ok(report(connection)?)).await
    }

    /// The versions of the tables.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn schema(&self) -> Result<SchemaReport, StoreError> {
        self.read_own(|connection| Ok(versions(connection)?)).await
    }
}

fn report(connection: &Connection) -> Result<ServerReport, DbError> {
    let select = "SELECT current_setting('server_version'), NOT pg_is_in_recovery(),
        current_setting('synchronous_commit'), current_setting('synchronous_standby_names')";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let said = rows::first(connection, select, (), read)?;
    let (version, is_primary, synchronous_commit, synchronous_standby_names): (
        _,
        _,
        String,
        String,
    ) = said.ok_or_else(|| missing("a query"))?;
    let (schema, standbys) = (versions(connection)?, standbys(connection)?);
    let names = &synchronous_standby_names;
    let may_lose = startup::may_lose(&synchronous_commit, names, !standbys.is_empty());
    Ok(ServerReport {
        version,
        is_primary,
        synchronous_commit,
        synchronous_standby_names,
        may_lose,
        standbys,
        schema,
        summary: summarize(connection, schema.version)?,
    })
}

/// Why a change may be lost that the server acknowledged, if its settings allow that.
pub(super) fn may_lose(connection: &Connection) -> Result<Option<&'static str>, DbError> {
    let select = "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')";
    let said = rows::first(connection, select, (), |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?))
    })?;
    let (commit, names) = said.ok_or_else(|| missing("a query"))?;
    Ok(startup::may_lose(&commit, &names, !standbys(connection)?.is_empty()))
}

fn versions(connection: &Connection) -> Result<SchemaReport, DbError> {
    let select = "SELECT version, runs_with_from FROM schema_version";
    let found = rows::first(connection, select, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (version, runs_with_from) = found.ok_or_else(|| missing("schema_version"))?;
    Ok(SchemaReport { version, runs_with_from, known: schema::VERSION })
}

fn missing(table: &'static str) -> DbError {
    DbError::Corrupt { table, column: "all", reason: "there is no row".to_owned() }
}

fn standbys(connection: &Connection) -> Result<Vec<Standby>, DbError> {
    let select = format!(
        "SELECT application_name, state, sync_state,
            CAST(greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn), 0) AS BIGINT),
            CAST(extract(epoch FROM replay_lag) * 1000 AS BIGINT)
        FROM {} ORDER BY application_name, pid",
        startup::STANDBYS
    );
    rows::all(connection, &select, (), |row| {
        let mut columns = Columns::new(row, "pg_stat_replication", 0);
        let number = |number: Option<i64>| Ok::<_, String>(number.map(i64::unsigned_abs));
        Ok(Standby {
            name: columns.plain("application_name")?,
            state: columns.plain("state")?,
            sync_state: columns.plain("sync_state")?,
            behind_bytes: columns.read("flush_lsn", number)?,
            replay_lag: columns.read("replay_lag", number)?.map(Duration::from_millis),
        })
    })
}

fn summarize(connection: &Connection, schema_version: u32) -> Result<DatabaseSummary, DbError> {
    let count = |table: &str| {
        let count = rows::count(connection, &format!("SELECT count(*) FROM {table}"), ())?;
        Ok::<_, DbError>(count as u64)
    };
    Ok(DatabaseSummary {
        schema_version,
        accounts: count("accounts")?,
        credentials: count("credentials")?,
        invitations: count("invitations")?,
        signing_keys: count("native_keys")? + count("signing_keys")?,
        audit_events: count("audit_events")?,
    })
}
