//! The id of an installation.

use std::{fmt, str::FromStr};

use countersign_protocol::strict::hex;

use crate::{error::DbError, rows, sql::Connection};

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
pub(crate) fn read(connection: &Connection) -> Result<InstallationId, DbError> {
    let select = "SELECT id FROM installation";
    let id = rows::first(connection, select, (), |row| row.get::<[u8; 16]>(0))?;
    id.map(InstallationId).ok_or(DbError::Corrupt {
        table: "installation",
        column: "id",
        reason: "there is none".to_owned(),
    })
}
