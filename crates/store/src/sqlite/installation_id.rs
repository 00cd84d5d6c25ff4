//! The id of an installation.

use std::{fmt, path::Path, str::FromStr};

use countersign_protocol::strict::hex;
use rusqlite::Connection;

use super::{connection::connect_immutable, error::DbError, rows};

/// The random number that a database gets when it is made, and keeps through backup and restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallationId([u8; 16]);

impl InstallationId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for InstallationId {
    type Err = InvalidInstallationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or(InvalidInstallationId)
    }
}

/// A text is not 32 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an installation id is 32 hexadecimal digits")]
pub struct InvalidInstallationId;

/// Reads the id of a database of the present version.
pub(super) fn read(connection: &Connection) -> Result<InstallationId, DbError> {
    let select = "SELECT id FROM installation";
    let id = rows::first(connection, select, [], |row| Ok(row.get::<_, [u8; 16]>(0)?))?;
    id.map(InstallationId).ok_or(DbError::Corrupt {
        table: "installation",
        column: "id",
        reason: "there is none".to_owned(),
    })
}

/// Reads the id from the database file alone, without its log. `None` when the id is not in the
/// file or cannot be read. Nothing is changed.
///
/// SQLite trusts any log that lies beside a database. If the wrong file lay beside the log of the
/// right one, SQLite would write the log's content into the wrong file, and the log would be lost.
/// So the file is checked before it is opened.
pub fn installation_in_file(database: &Path) -> Option<InstallationId> {
    let database = std::path::absolute(database).ok()?;
    connect_immutable(&database).ok().and_then(|connection| read(&connection).ok())
}
