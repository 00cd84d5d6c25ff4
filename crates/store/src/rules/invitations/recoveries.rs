//! Invitations that recover an account.

use crate::sql::Connection;
use countersign_authority::{
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind, Means},
        credential::Credential,
        invitation::{Invitation, Purpose},
    },
    ports::{AccountRecovery, NewSecret, RecoverError},
};
use countersign_protocol::keys::Thumbprint;

use crate::rules::{
    audit, claims,
    error::DbError,
    live_keys, revocations,
    rows::{
        self, Columns,
        invitations::{RECOVERS, find, insert, use_up},
    },
};

/// Stores the code, in place of an unused one for the same account.
pub(super) fn create(
    connection: &Connection,
    recovery: &Invitation,
    event: &AuditEvent,
) -> Result<(), DbError> {
    if let Some(username) = &recovery.username {
        let replaced = format!("DELETE FROM invitations WHERE {RECOVERS}");
        rows::execute(connection, &replaced, [username.as_str()])?;
        // An administrator vouches for the account now.
        let keep = "UPDATE accounts SET unused_since = NULL WHERE username_folded = ?";
        rows::execute(connection, keep, [username.folded()])?;
    }
    insert(connection, recovery)?;
    audit::record(connection, event)
}

/// Adds the new key or password, and returns the keys that were revoked.
pub(super) fn recover(
    connection: &Connection,
    recovery: &AccountRecovery,
) -> Result<Vec<Thumbprint>, RecoverError> {
    let (user_id, revoke_others) = redeem(connection, recovery)?;
    audit::record(connection, &recovery.event)?;
    let revoked = if revoke_others { shut_out(connection, user_id, recovery)? } else { Vec::new() };
    if revoke_others || matches!(recovery.secret, NewSecret::Password(_)) {
        revocations::end_tokens(connection, recovery.account_id, recovery.event.at)?;
    }
    match &recovery.secret {
        NewSecret::Key(credential) => add_key(connection, user_id, recovery, credential)?,
        NewSecret::Password(hash) => set_password(connection, user_id, hash)?,
    }
    Ok(revoked)
}

/// Marks the code as used. Returns the account's row id, and whether everything else is to be
/// revoked.
fn redeem(
    connection: &Connection,
    AccountRecovery { account_id, code_hash, event, .. }: &AccountRecovery,
) -> Result<(i64, bool), RecoverError> {
    let select =
        "SELECT a.user_id, u.username FROM accounts AS a JOIN users AS u ON u.id = a.user_id
        WHERE a.account_id = ? AND a.status = ?";
    let values = (account_id.as_bytes(), AccountStatus::Active.name());
    let account = rows::first(connection, select, values, |row| {
        Ok((row.get::<i64>(0)?, Columns::new(row, "users", 1).parse("username")?))
    })?;
    let (user_id, username) = account.ok_or(RecoverError::CodeUnusable)?;
    let made = find(connection, code_hash)?.filter(|made| made.is_usable(event.at));
    let made = made.filter(|made| made.username.as_ref() == Some(&username));
    match made.map(|made| made.purpose) {
        Some(Purpose::Recover { revoke_others }) => {
            let is_first = use_up(connection, code_hash, event.at)?;
            is_first.then_some((user_id, revoke_others)).ok_or(RecoverError::CodeUnusable)
        }
        Some(Purpose::Register) | None => Err(RecoverError::CodeUnusable),
    }
}

/// Revokes every key of the account, and its password.
fn shut_out(
    connection: &Connection,
    user_id: i64,
    AccountRecovery { account_id, event, .. }: &AccountRecovery,
) -> Result<Vec<Thumbprint>, DbError> {
    let revoked = live_keys::revoke_all(connection, user_id, *account_id, event.at)?;
    for thumbprint in &revoked {
        let event = AuditEvent { kind: EventKind::KeyRevoked, ..event.clone() };
        let event = event.key(*thumbprint).by_means(Means::RecoveryCode);
        audit::record(connection, &event.detail("by a recovery code"))?;
    }
    let forget = "UPDATE users SET password_hash = '!' WHERE id = ?";
    rows::execute(connection, forget, [user_id])?;
    Ok(revoked)
}

fn add_key(
    connection: &Connection,
    user_id: i64,
    AccountRecovery { max_keys, event, .. }: &AccountRecovery,
    credential: &Credential,
) -> Result<(), RecoverError> {
    if live_keys::count_live(connection, user_id, credential.kind, event.at)? >= *max_keys {
        return Err(RecoverError::LimitReached);
    }
    if !claims::insert_proven(connection, user_id, credential, event.at)? {
        return Err(RecoverError::KeyTaken);
    }
    let event = AuditEvent { kind: EventKind::KeyAdded, ..event.clone() };
    let event = event.key(credential.thumbprint()).by_means(Means::RecoveryCode);
    let event = event.detail("by a recovery code");
    Ok(audit::record(connection, &event)?)
}

fn set_password(connection: &Connection, user_id: i64, hash: &str) -> Result<(), DbError> {
    let update = "UPDATE users SET password_hash = ? WHERE id = ?";
    rows::execute(connection, update, (hash, user_id)).map(drop)
}
