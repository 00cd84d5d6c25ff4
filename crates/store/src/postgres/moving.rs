//! A house moves: everything that is in an SQLite file goes into an empty PostgreSQL database.
//!
//! All of it is one transaction. Before it commits, each table is read back and compared with what was read
//! from the file.

mod contents;

use std::{ops::ControlFlow, pin::pin, thread};

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Error as ClientError;

use self::contents::{Contents, write_row};
use super::{
    connector::Connector,
    engine::PostgresStore,
    error::PostgresError,
    failure::{Class, said},
    live::Live,
    opening::WAIT_FOR_ALL,
    options::{PostgresOptions, SchemaMode},
    schema::first,
    url::DatabaseUrl,
    values::Columns,
};
use crate::{
    error::DbError,
    rows,
    sql::{Connection, Row, Sql as _},
    sqlite::{OpenError, SqliteStore},
};

/// The tables, each after those that it refers to. `health`, `serving` and what is known of migrations
/// belong to a file, and what servers tell each other to a database with servers.
const TABLES: [&str; 33] = [
    "installation",
    "issuer",
    "vault",
    "registration_key",
    "opaque_setup",
    "keys",
    "signing_keys",
    "native_keys",
    "signing_key_version",
    "users",
    "accounts",
    "further_emails",
    "account_aliases",
    "server_keys",
    "auth_logs",
    "invitations",
    "credentials",
    "claimed_keys",
    "revoked_thumbprints",
    "key_places",
    "passkeys",
    "used_assertions",
    "forgotten",
    "revocations",
    "revoked_tokens",
    "ended_tokens",
    "keyrings",
    "keyring_revisions",
    "keyring_slots",
    "keyring_counters",
    "keyring_bytes",
    "keyring_bytes_by_day",
    "audit_events",
];

/// How many bytes of rows are sent at once.
const CHUNK: usize = 1 << 16;

/// A table that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
}

/// Why a house has not moved. The database is as it was before, but for its tables, and unless the reason is
/// [`Self::Unknown`] or [`Self::Unsure`].
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum MoveError {
    /// What was written is not what was read.
    #[error("{table}: the database has {found} rows where {expected} were written, or other ones")]
    Differs { table: &'static str, expected: u64, found: u64 },
    /// The database has an account, or a vault.
    #[error("the database is in use already: a house moves into an empty one")]
    NotEmpty,
    /// The database server has warned when it committed.
    #[error(
        "the database server may not have waited for its standbys, and so may lose what has moved: see its log; \
         drop the database and move again"
    )]
    Unsure,
    /// The database cannot be opened.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The file cannot be opened.
    #[error(transparent)]
    Sqlite(#[from] OpenError),
    /// The file cannot be read.
    #[error("the database file cannot be read: {reason}")]
    Unreadable { reason: String },
    /// Everything was sent, and no answer came to the end of it: it may have moved.
    #[error(
        "the connection was lost ({reason}) when everything was there: it may have moved; try again"
    )]
    Unknown { reason: String },
    /// The file has something that no table can have.
    #[error("{table}.{column}: a row has a value that the database cannot hold")]
    Value { table: &'static str, column: String },
}

impl From<ClientError> for MoveError {
    fn from(error: ClientError) -> Self {
        Self::Postgres(PostgresError::of_statement(&error))
    }
}

impl From<DbError> for MoveError {
    fn from(error: DbError) -> Self {
        let reason = countersign_authority::ports::StoreError::from(error).to_string();
        Self::Unreadable { reason }
    }
}

impl SqliteStore {
    /// Moves everything into the empty database at `url`, whose tables are made if they are not there. No
    /// server may use either. Blocks until it is durable.
    ///
    /// # Errors
    /// [`MoveError`]. Then nothing has moved, unless it is [`MoveError::Unknown`] or [`MoveError::Unsure`].
    pub fn move_to(
        &self,
        url: &DatabaseUrl,
        options: &PostgresOptions,
    ) -> Result<Vec<MovedTable>, MoveError> {
        // Makes the tables, and sees that the server keeps what it acknowledges.
        let options = PostgresOptions { mode: SchemaMode::CreateOrUpgrade, ..options.clone() };
        drop(PostgresStore::open(url, &options)?);
        // On a thread of its own, because the caller's may be one of a runtime, on which no other runs.
        let moved = thread::scope(|scope| {
            let moving = thread::Builder::new().name("postgres-move".to_owned());
            let moving = moving.spawn_scoped(scope, || self.copy_to(url, &options));
            moving.map(thread::ScopedJoinHandle::join)
        });
        let panicked = |_| PostgresError::Refused { reason: "moving failed".to_owned() }.into();
        moved.map_err(PostgresError::Threads)?.unwrap_or_else(|panic| Err(panicked(panic)))
    }

    fn copy_to(
        &self,
        url: &DatabaseUrl,
        options: &PostgresOptions,
    ) -> Result<Vec<MovedTable>, MoveError> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(PostgresError::Threads)?;
        let connector = Connector::new(url, false, None, options.spread)?;
        let live = runtime.block_on(connector.connect())?;
        let mut moved = Ok(Vec::new());
        let file = self.reading()?;
        file.at_one_moment(&mut |file| {
            let waits = !options.allow_asynchronous;
            moved = Move { runtime: &runtime, live: &live, file, waits }.run();
            Ok(())
        })?;
        // What was not committed is undone.
        runtime.block_on(live.close());
        moved
    }
}

/// What is known after a `COMMIT` that failed: a server that refuses it has kept nothing, and from one that goes
/// away nobody knows.
fn not_committed(error: ClientError) -> MoveError {
    match Class::of(&error) {
        Class::Contended | Class::Refused => error.into(),
        Class::Gone | Class::Late | Class::Lost => MoveError::Unknown { reason: said(&error) },
    }
}

/// A move, while it happens.
struct Move<'a> {
    runtime: &'a Runtime,
    live: &'a Live,
    file: &'a Connection,
    /// Whether nothing may be lost that was acknowledged.
    waits: bool,
}

impl Move<'_> {
    fn run(&self) -> Result<Vec<MovedTable>, MoveError> {
        self.begin()?;
        self.check_empty()?;
        // They count what comes. Here the counts come too.
        let disable = |table| format!("ALTER TABLE {table} DISABLE TRIGGER USER;");
        self.batch(&TABLES.into_iter().map(disable).collect::<String>())?;
        let mut moved = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let columns = self.columns(table)?;
            let written = self.copy(table, &columns)?;
            let found = self.read_back(table, &columns)?;
            if found != written {
                let (expected, found) = (written.rows, found.rows);
                return Err(MoveError::Differs { table, expected, found });
            }
            moved.push(MovedTable { name: table, rows: written.rows });
        }
        self.set_numbers()?;
        self.batch("SELECT enable_triggers()")?;
        self.live.take_warning();
        self.runtime.block_on(self.live.batch("COMMIT")).map_err(not_committed)?;
        if self.live.take_warning() {
            return Err(MoveError::Unsure);
        }
        // So that the first queries are planned for what is there. Without it they are in a minute.
        if let Err(error) = self.batch("ANALYZE") {
            tracing::warn!(%error, "the tables were not analyzed");
        }
        Ok(moved)
    }

    fn batch(&self, sql: &str) -> Result<(), MoveError> {
        Ok(self.runtime.block_on(self.live.batch(sql))?)
    }

    /// Begins, whatever the user of the database has by default.
    fn begin(&self) -> Result<(), MoveError> {
        self.batch("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")?;
        self.batch("SET LOCAL client_min_messages = warning")?;
        if self.waits { self.batch(&format!("SELECT {WAIT_FOR_ALL}")) } else { Ok(()) }
    }

    fn check_empty(&self) -> Result<(), MoveError> {
        let select = "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM vault)
            OR EXISTS (SELECT 1 FROM audit_events)";
        let is_used = first(self.live, select, |row| row.try_get::<_, bool>(0));
        if self.runtime.block_on(is_used)? { Err(MoveError::NotEmpty) } else { Ok(()) }
    }

    fn columns(&self, table: &str) -> Result<Vec<String>, MoveError> {
        let select = format!(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum"
        );
        let rows = self.runtime.block_on(self.live.query(&select, &[]))?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Copies a table.
    fn copy(&self, table: &'static str, columns: &[String]) -> Result<Contents, MoveError> {
        let list = columns.join(", ");
        // Some have a row from the beginning.
        self.batch(&format!("DELETE FROM {table}"))?;
        let copy = format!("COPY {table}({list}) FROM STDIN");
        let sink = self.runtime.block_on(self.live.copy_in(&copy))?;
        let mut sink = pin!(sink);
        let mut send = |rows: &mut String| {
            let rows = Bytes::from(std::mem::take(rows));
            self.runtime.block_on(sink.as_mut().send(rows))
        };
        let (mut rows, mut contents) = (String::new(), Contents::default());
        let mut copied: Result<(), MoveError> = Ok(());
        self.file.query(&format!("SELECT {list} FROM {table}"), &[], &mut |row| {
            let begin = rows.len();
            copied = write_row(&mut rows, row, columns.len())
                .map_err(|column| MoveError::Value { table, column: columns[column].clone() });
            contents.add(&rows[begin..]);
            if copied.is_ok() && rows.len() >= CHUNK {
                copied = send(&mut rows).map_err(MoveError::from);
            }
            let is_sound = copied.is_ok();
            Ok(if is_sound { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        copied?;
        send(&mut rows)?;
        self.runtime.block_on(sink.as_mut().finish())?;
        Ok(contents)
    }

    fn read_back(&self, table: &str, columns: &[String]) -> Result<Contents, MoveError> {
        let select = format!("SELECT {} FROM {table}", columns.join(", "));
        self.runtime.block_on(async {
            let mut rows = pin!(self.live.stream(&select).await?);
            let (mut line, mut contents) = (String::new(), Contents::default());
            while let Some(row) = rows.try_next().await? {
                line.clear();
                // What it cannot hold, it does not have.
                let _: Result<(), usize> =
                    write_row(&mut line, &Row::new(&Columns(&row)), columns.len());
                contents.add(&line);
            }
            Ok(contents)
        })
    }

    /// Numbers go on where they were: none is given twice, also not that of a row that is gone.
    fn set_numbers(&self) -> Result<(), MoveError> {
        let select = "SELECT c.relname::text, a.attname::text FROM pg_attribute AS a
            JOIN pg_class AS c ON c.oid = a.attrelid
            WHERE a.attidentity <> '' AND c.relnamespace = to_regnamespace(current_schema())";
        for row in self.runtime.block_on(self.live.query(select, &[]))? {
            let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if !TABLES.contains(&table.as_str()) {
                continue;
            }
            let given = "SELECT seq FROM sqlite_sequence WHERE name = ?";
            let given: Option<i64> = rows::first(self.file, given, [&table], |row| row.get(0))?;
            let set = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), greatest(
                    (SELECT coalesce(max({column}), 0) FROM {table}), {}) + 1, false)",
                given.unwrap_or_default()
            );
            self.batch(&set)?;
        }
        Ok(())
    }
}
