//! Invitations.

mod recoveries;

use crate::sql::Connection;
use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::Username,
        audit::AuditEvent,
        invitation::{CodeHash, Invitation, Purpose},
    },
    ports::{AccountRecovery, InvitationStore, NewSecret, RecoverError, StoreError},
};
use countersign_protocol::{Scopes, UnixTime, keys::Thumbprint};

use super::{
    Alone, Engine, Stored, audit,
    error::DbError,
    rows::{
        self,
        invitations::{COLUMNS, RECOVERS, find, insert, read, use_up},
    },
};

#[async_trait]
impl<E: Engine> InvitationStore for Stored<E> {
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
        self.write([], move |connection| {
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
        self.write([], move |connection| {
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
        let work =
            move |connection: &Connection| Ok(recoveries::create(connection, &recovery, &event)?);
        self.write([Alone::Recoveries], work).await
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
        let mut alone = vec![Alone::Account(recovery.account_id), Alone::Recoveries];
        if let NewSecret::Key(credential) = &recovery.secret {
            alone.push(Alone::Key(credential.thumbprint()));
        }
        self.write(alone, move |connection| recoveries::recover(connection, &recovery)).await
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
    let is_first = use_up(connection, code_hash, now)?;
    Ok(is_first.then_some(invitation.scopes))
}
