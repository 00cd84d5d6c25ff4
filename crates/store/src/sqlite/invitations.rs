//! Invitations.

mod recoveries;

use async_trait::async_trait;
use countersign_authority::{
    account::Username,
    audit::AuditEvent,
    invitation::{CodeHash, Invitation, Purpose},
    ports::{AccountRecovery, InvitationStore, RecoverError, StoreError},
};
use countersign_protocol::{Scopes, UnixTime, keys::Thumbprint};
use rusqlite::{Connection, Row};

use super::{
    SqliteStore, audit,
    error::DbError,
    rows::{self, Columns, millis},
};

/// What [`read`] expects.
const COLUMNS: &str = "code_hash, purpose, username, scopes, created_at, expires_at, used_at";
/// The condition that an invitation is an unused one to recover the account of that name.
const RECOVERS: &str = "username = ? AND purpose <> 'register' AND used_at IS NULL";

#[async_trait]
impl InvitationStore for SqliteStore {
    async fn create_invitation(
        &self,
        invitation: &Invitation,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        self.create_invitations(&[(invitation.clone(), event)]).await
    }

    async fn create_invitations(
        &self,
        invitations: &[(Invitation, AuditEvent)],
    ) -> Result<(), StoreError> {
        let invitations = invitations.to_vec();
        self.write(move |connection| {
            for (invitation, event) in &invitations {
                insert(connection, invitation)?;
                audit::record(connection, event)?;
            }
            Ok(())
        })
        .await
    }

    async fn invitation(&self, code_hash: &CodeHash) -> Result<Option<Invitation>, StoreError> {
        let code_hash = *code_hash;
        self.read(move |connection| Ok(find(connection, &code_hash)?)).await
    }

    async fn invitations(&self, limit: u32) -> Result<Vec<Invitation>, StoreError> {
        self.read(move |connection| {
            let select =
                format!("SELECT {COLUMNS} FROM invitations ORDER BY created_at DESC LIMIT ?");
            Ok(rows::all(connection, &select, [limit], read)?)
        })
        .await
    }

    async fn withdraw_invitation(
        &self,
        code_hash: &CodeHash,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let code_hash = *code_hash;
        self.write(move |connection| {
            let delete = "DELETE FROM invitations WHERE code_hash = ? AND used_at IS NULL";
            let withdrawn = rows::execute(connection, delete, [code_hash.0])? > 0;
            if withdrawn {
                audit::record(connection, &event)?;
            }
            Ok(withdrawn)
        })
        .await
    }

    async fn create_recovery(
        &self,
        recovery: &Invitation,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let recovery = recovery.clone();
        self.write(move |connection| Ok(recoveries::create(connection, &recovery, &event)?)).await
    }

    async fn recovery(&self, username: &Username) -> Result<Option<Invitation>, StoreError> {
        let username = username.clone();
        self.read(move |connection| {
            let select = format!("SELECT {COLUMNS} FROM invitations WHERE {RECOVERS}");
            Ok(rows::first(connection, &select, [username.as_str()], read)?)
        })
        .await
    }

    async fn recover(&self, recovery: AccountRecovery) -> Result<Vec<Thumbprint>, RecoverError> {
        self.write(move |connection| recoveries::recover(connection, &recovery)).await
    }
}

/// Marks the invitation as used and returns the scopes that it grants. `None` when there is none,
/// or it is used, expired, or meant for another username.
pub(super) fn redeem(
    connection: &Connection,
    code_hash: &CodeHash,
    username: &Username,
    now: UnixTime,
) -> Result<Option<Scopes>, DbError> {
    let Some(invitation) = find(connection, code_hash)? else { return Ok(None) };
    let is_open_to = invitation.username.as_ref().is_none_or(|intended| intended == username);
    if !invitation.is_usable(now) || !is_open_to || invitation.purpose != Purpose::Register {
        return Ok(None);
    }
    use_up(connection, code_hash, now)?;
    Ok(Some(invitation.scopes))
}

fn use_up(connection: &Connection, code_hash: &CodeHash, now: UnixTime) -> Result<(), DbError> {
    let update = "UPDATE invitations SET used_at = ? WHERE code_hash = ?";
    rows::execute(connection, update, (millis(now), code_hash.0)).map(drop)
}

fn insert(connection: &Connection, invitation: &Invitation) -> Result<(), DbError> {
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
    rows::execute(connection, &insert, values)?;
    Ok(())
}

fn find(connection: &Connection, code_hash: &CodeHash) -> Result<Option<Invitation>, DbError> {
    let select = format!("SELECT {COLUMNS} FROM invitations WHERE code_hash = ?");
    rows::first(connection, &select, [code_hash.0], read)
}

fn read(row: &Row<'_>) -> Result<Invitation, DbError> {
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
