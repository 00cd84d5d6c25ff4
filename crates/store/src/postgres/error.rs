//! Why a database is not opened, for the operator.

use std::{io, path::PathBuf};

use thiserror::Error;
use tokio_postgres::{
    Error as ClientError,
    error::{DbError, SqlState},
};

use super::failure::said;

/// Why a PostgreSQL database was not opened.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum PostgresError {
    /// No server answers there.
    #[error("{server}: no database server answers ({reason})")]
    CannotConnect { server: String, reason: String },
    /// The server did not let anybody in within the time for connecting.
    #[error("{server}: the database server did not answer within {seconds} seconds")]
    TooSlow { server: String, seconds: u64 },
    /// The password or the user is wrong.
    #[error(
        "{server}: the database server refuses user and password ({reason}); correct them in the URL"
    )]
    NotLetIn { server: String, reason: String },
    /// There is no such database.
    #[error("{server}: {reason}; make it with `createdb`, with the encoding UTF8")]
    NoSuchDatabase { server: String, reason: String },
    /// A pooler is between, which does not take what is needed.
    #[error(
        "{server}: {reason}: a pooler such as pgbouncer seems to be in between; set postgres.prepared = false \
         and cluster.state = \"memory\", or connect without it"
    )]
    Pooler { server: String, reason: String },
    /// The server has no connection left.
    #[error("{server}: {reason}; raise max_connections, or lower postgres.connections")]
    TooManyConnections { server: String, reason: String },
    /// The server is a standby, or takes no writes for another reason.
    #[error(
        "{server}: this database server takes no writes, as standbys do not; name the primary in the \
         URL, or all servers: postgres://USER@ONE,OTHER/DATABASE"
    )]
    TakesNoWrites { server: String },
    /// Two standbys were promoted, or one that was behind.
    #[error(
        "{server}: this server was promoted (timeline {timeline}) without all that was acknowledged before, on \
         timeline {known}: let this program use the one that has it; or accept the loss, shut that one off, and \
         restart this program"
    )]
    Lacking { server: String, timeline: u64, known: u64 },
    /// TLS failed.
    #[error(
        "{server}: no encrypted connection ({reason}); name the certificate authority with \
         sslrootcert=FILE, or say sslmode=disable where the network is trusted"
    )]
    NotEncrypted { server: String, reason: String },
    /// TLS cannot be set up at all.
    #[error("TLS to the database: {reason}")]
    Tls { reason: String },
    /// The file with certificates cannot be used.
    #[error("{}: {reason}", file.display())]
    RootCertificates { file: PathBuf, reason: String },
    /// The server is of a version that lacks something.
    #[error("the database server is PostgreSQL {found}, and this program needs 14 or later")]
    TooOld { found: String },
    /// The database cannot hold every text.
    #[error("the encoding of the database is {found}, and must be UTF8")]
    Encoding { found: String },
    /// Acknowledged changes could be lost.
    #[error(
        "acknowledged changes could be lost when the database server fails: {reason}. Change that, or \
         accept it with postgres.allow_asynchronous"
    )]
    Asynchronous { reason: String },
    /// A default of the database or of its user changes what statements do.
    #[error("{reason}; take that back with ALTER ROLE … RESET and ALTER DATABASE … RESET")]
    Defaults { reason: String },
    /// There are no tables.
    #[error("the database is empty; make its tables with `countersign admin init`, once")]
    Empty,
    /// Another program's tables.
    #[error("this is a database of another program; give this one a database of its own")]
    Foreign,
    /// A later version of this program needs what this one does not know.
    #[error(
        "the database has schema version {found}, for programs that know version {least} or later; \
         this one knows {known}: use a newer program"
    )]
    NewerSchema { found: u32, least: u32, known: u32 },
    /// An earlier version of this program has made the tables, and they were not to be changed.
    #[error(
        "the database has schema version {found} and needs {known}; upgrade it with `countersign \
         admin migrate`"
    )]
    OlderSchema { found: u32, known: u32 },
    /// An applied migration differs from the one that this program knows.
    #[error("the tables were made by a program that differs from this one in {migration}")]
    AlteredMigration { migration: &'static str },
    /// Somebody else is changing the tables.
    #[error("the tables are being changed, or are in use for long: {reason}; try again")]
    Busy { reason: String },
    /// The user may not do what is needed.
    #[error("the user of the database may not do that ({reason}); make them its owner")]
    NotAllowed { reason: String },
    /// A value that this program never writes.
    #[error("the database is damaged: {reason}")]
    Damaged { reason: String },
    /// The server refused something else.
    #[error("the database server refused: {reason}")]
    Refused { reason: String },
    /// The system has no thread or runtime.
    #[error("the threads of the database cannot be started: {0}")]
    Threads(#[source] io::Error),
}

impl PostgresError {
    /// Why connecting to `server` failed.
    pub(super) fn connecting(server: &str, error: &ClientError) -> Self {
        let (server, reason) = (server.to_owned(), said(error));
        if let Some(refusal) = error.as_db_error() {
            return Self::refused_by(server, refusal, reason);
        }
        let text = error.to_string();
        if text.contains("TLS") {
            return Self::NotEncrypted { server, reason };
        }
        if text.contains("authentication") || text.contains("configuration") {
            return Self::NotLetIn { server, reason };
        }
        Self::CannotConnect { server, reason }
    }

    fn refused_by(server: String, refusal: &DbError, reason: String) -> Self {
        match *refusal.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::NotLetIn { server, reason }
            }
            SqlState::INVALID_CATALOG_NAME => Self::NoSuchDatabase { server, reason },
            SqlState::PROTOCOL_VIOLATION if reason.contains("unsupported startup parameter") => {
                Self::Pooler { server, reason }
            }
            SqlState::TOO_MANY_CONNECTIONS => Self::TooManyConnections { server, reason },
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::TakesNoWrites { server },
            _ => Self::CannotConnect { server, reason },
        }
    }

    /// Why a statement failed while the database was being opened.
    pub(super) fn of_statement(error: &ClientError) -> Self {
        let reason = said(error);
        match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Self::Busy { reason },
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Self::NotAllowed { reason },
            _ => Self::Refused { reason },
        }
    }
}
