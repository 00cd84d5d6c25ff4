//! Rows of invitations.

use crate::sql::{Connection, Row};
use countersign_authority::model::{
    account::Username,
    invitation::{CodeHash, Invitation, Purpose},
};
use countersign_protocol::UnixTime;

use super::{Columns, execute, first, millis};
use crate::error::DbError;

/// What [`read`] expects.
pub(crate) const COLUMNS: &str =
    "code_hash, purpose, username, scopes, created_at, expires_at, used_at";
/// The SQL condition that an invitation is unused and recovers the account with that name.
pub(crate) const RECOVERS: &str = "username = ? AND purpose <> 'register' AND used_at IS NULL";

/// Marks an invitation as used. `false` when it was used before.
pub(crate) fn use_up(
    connection: &Connection,
    code_hash: &CodeHash,
    now: UnixTime,
) -> Result<bool, DbError> {
    let update = "UPDATE invitations SET used_at = ? WHERE code_hash = ? AND used_at IS NULL";
    Ok(execute(connection, update, (millis(now), code_hash.0))? > 0)
}

pub(crate) fn insert(connection: &Connection, invitation: &Invitation) -> Result<(), DbError> {
    let insert = format!("INSERT INTO invitations({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)");
    let values = (
        invitation.code_hash.0,
        purpose_name(invitation.purpose),
        invitation.username.as_ref().map(Username::as_str),
        invitation.scopes.to_string(),
        millis(invitation.created_at),
        millis(invitation.expires_at),
        invitation.used_at.map(millis),
    );
    execute(connection, &insert, values)?;
    Ok(())
}

pub(crate) fn find(
    connection: &Connection,
    code_hash: &CodeHash,
) -> Result<Option<Invitation>, DbError> {
    let select = format!("SELECT {COLUMNS} FROM invitations WHERE code_hash = ?");
    first(connection, &select, [code_hash.0], read)
}

pub(crate) fn read(row: &Row<'_>) -> Result<Invitation, DbError> {
    let mut columns = Columns::new(row, "invitations", 0);
    Ok(Invitation {
        code_hash: CodeHash(columns.bytes("code_hash")?),
        purpose: columns.read("purpose", |name: String| purpose(&name))?,
        username: columns.parse_optional("username")?,
        scopes: columns.parse("scopes")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
        used_at: columns.optional_time("used_at")?,
    })
}

const PURPOSES: [Purpose; 3] = [
    Purpose::Register,
    Purpose::Recover { revoke_others: false },
    Purpose::Recover { revoke_others: true },
];

const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Register => "register",
        Purpose::Recover { revoke_others: false } => "recover",
        Purpose::Recover { revoke_others: true } => "recover-alone",
    }
}

fn purpose(name: &str) -> Result<Purpose, &'static str> {
    let known = PURPOSES.into_iter().find(|purpose| purpose_name(*purpose) == name);
    known.ok_or("not the name of a purpose")
}
