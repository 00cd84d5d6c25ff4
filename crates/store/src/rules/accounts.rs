//! Accounts.

use crate::sql::Connection;
use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        audit::AuditEvent,
        credential::Credential,
        key_life::SealedServerKey,
    },
    ports::{
        AccountStore, CreateAccountError, NewAccount, NewPasskey, RecordLoginError, StoreError,
    },
};
use countersign_protocol::{AccountId, Scopes, UnixTime};

use super::{
    Alone, Engine, Stored,
    assertions::spend,
    audit, claims,
    error::DbError,
    invitations, passkey_records, revocations,
    rows::{
        self, Columns,
        accounts::{COLUMNS, find, read},
        millis, timestamp,
    },
};

pub(super) mod unused;

/// The verifier of an account without a password, which no password has.
const NO_PASSWORD: &str = "!";

#[async_trait]
impl<E: Engine> AccountStore for Stored<E> {
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        let alone = keys_of(&new);
        self.write_growing(alone, move |connection| create(connection, &new, claims::insert_proven))
            .await
    }

    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        let alone = keys_of(&new);
        self.write_growing(alone, move |connection| {
            create(connection, &new, claims::insert)?;
            // Neither an administrator nor a proven key vouches for it.
            if new.invitation.is_none() {
                unused::mark(connection, new.id, new.credential.created_at)?;
            }
            Ok(())
        })
        .await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let name = name.clone();
        self.read(move |connection| Ok(find(connection, &name)?)).await
    }

    async fn accounts(
        &self,
        after: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        // No username is empty, so the empty text sorts before all of them.
        let after = after.map(Username::folded).unwrap_or_default();
        self.read(move |connection| {
            let select = format!(
                "SELECT {COLUMNS} FROM accounts AS a JOIN users AS u ON u.id = a.user_id
                 WHERE a.username_folded > ? ORDER BY a.username_folded LIMIT ?"
            );
            Ok(rows::all(connection, &select, (&after, limit), |row| read(row, 0))?)
        })
        .await
    }

    async fn expire_unused(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<(u64, bool), StoreError> {
        let work =
            move |connection: &Connection| Ok(unused::expire(connection, before, limit, now)?);
        self.write([Alone::Upkeep], work).await
    }

    async fn set_status(
        &self,
        id: AccountId,
        status: AccountStatus,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE accounts SET status = ?, disabled_at = ? WHERE account_id = ?";
        self.write([Alone::Account(id)], move |connection| {
            let disabled_at = match status {
                AccountStatus::Active => None,
                AccountStatus::Disabled => Some(millis(event.at)),
            };
            if status == AccountStatus::Active && is_disabled(connection, id)? {
                revocations::end_tokens(connection, id, event.at)?;
            }
            let values = (status.name(), disabled_at, id.as_bytes());
            let changed = rows::execute(connection, update, values)? > 0;
            if changed {
                audit::record(connection, &event)?;
            }
            Ok(changed)
        })
        .await
    }

    async fn replace_scopes(
        &self,
        id: AccountId,
        present: &Scopes,
        scopes: &Scopes,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let (present, scopes) = (present.clone(), scopes.to_string());
        let update = "UPDATE accounts SET scopes = ? WHERE account_id = ?";
        self.write([Alone::Account(id)], move |connection| {
            // Compared as sets: the text may be somebody else's, in another order.
            if scopes_of(connection, id)?.as_ref() != Some(&present) {
                return Ok(false);
            }
            rows::execute(connection, update, (&scopes, id.as_bytes()))?;
            audit::record(connection, &event)?;
            Ok(true)
        })
        .await
    }
}

/// The keys that an account has from the beginning.
fn keys_of(new: &NewAccount) -> Vec<Alone> {
    let passkey = new.passkey.as_ref().map(|passkey| &passkey.credential);
    let keys = [&new.credential].into_iter().chain(passkey);
    keys.map(|credential| Alone::Key(credential.thumbprint())).collect()
}

fn create(
    connection: &Connection,
    new: &NewAccount,
    insert_key: impl FnOnce(&Connection, i64, &Credential, UnixTime) -> Result<bool, DbError>,
) -> Result<(), CreateAccountError> {
    let now = new.credential.created_at;
    // The invitation comes first: without one, nobody learns which names and keys are taken.
    let scopes = match &new.invitation {
        None => new.scopes.clone(),
        Some(code_hash) => invitations::redeem(connection, code_hash, &new.username, now)?
            .and_then(|granted| new.scopes.union(&granted).ok())
            .ok_or(CreateAccountError::InvitationUnusable)?,
    };
    let row = NewRow {
        id: new.id,
        username: &new.username,
        password_hash: None,
        email: None,
        scopes: &scopes,
        registered_at: new.credential.created_at,
    };
    let user_id = insert(connection, &row)?.ok_or(CreateAccountError::UsernameTaken)?;
    if !insert_key(connection, user_id, &new.credential, now)? {
        return Err(CreateAccountError::KeyTaken);
    }
    insert_extras(connection, user_id, new)?;
    audit::record(connection, &new.event)?;
    if let Some(passkey) = &new.passkey {
        insert_passkey(connection, user_id, passkey)?;
    }
    Ok(())
}

/// Inserts the passkey that the account has from the beginning.
fn insert_passkey(
    connection: &Connection,
    user_id: i64,
    new: &NewPasskey,
) -> Result<(), CreateAccountError> {
    if !claims::insert_proven(connection, user_id, &new.credential, new.event.at)?
        || !passkey_records::insert(connection, new)?
    {
        return Err(CreateAccountError::KeyTaken);
    }
    spend(connection, new.challenge).map(drop).map_err(|error| match error {
        RecordLoginError::AlreadyUsed | RecordLoginError::NotLive => {
            CreateAccountError::ChallengeUsed
        }
        RecordLoginError::Forgotten => StoreError::Unavailable(Box::new(error)).into(),
        RecordLoginError::Store(error) => error.into(),
    })?;
    Ok(audit::record(connection, &new.event)?)
}

/// Inserts the alias and the server key, which only accounts of some dialects have.
fn insert_extras(connection: &Connection, user_id: i64, new: &NewAccount) -> Result<(), DbError> {
    if let Some(alias) = &new.alias {
        let insert = "INSERT INTO account_aliases(alias, user_id, thumbprint) VALUES (?, ?, ?)";
        let thumbprint = new.credential.thumbprint();
        rows::execute(connection, insert, (alias.to_string(), user_id, thumbprint.as_bytes()))?;
    }
    if let Some(SealedServerKey { ciphertext, nonce }) = &new.server_key {
        let insert = "INSERT INTO server_keys(user_id, ciphertext, nonce) VALUES (?, ?, ?)";
        rows::execute(connection, insert, (user_id, ciphertext, nonce))?;
    }
    Ok(())
}

/// An account to insert.
pub(super) struct NewRow<'a> {
    pub(super) id: AccountId,
    pub(super) username: &'a Username,
    /// The verifier of its password, if it has one.
    pub(super) password_hash: Option<&'a str>,
    /// Its address, if no other account has that.
    pub(super) email: Option<&'a str>,
    pub(super) scopes: &'a Scopes,
    pub(super) registered_at: UnixTime,
}

/// Inserts the account and returns its row's id; `None` when the name is taken.
pub(super) fn insert(connection: &Connection, new: &NewRow<'_>) -> Result<Option<i64>, DbError> {
    let user = "INSERT INTO users(username, password_hash, email, date_registered)
        VALUES (?, ?, ?, ?) ON CONFLICT(username) DO NOTHING RETURNING id";
    let hash = new.password_hash.unwrap_or(NO_PASSWORD);
    let values = (new.username.as_str(), hash, new.email, timestamp(new.registered_at));
    let user_id = rows::first(connection, user, values, |row| row.get::<i64>(0))?;
    let Some(user_id) = user_id else { return Ok(None) };
    let account = "INSERT INTO
        accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(username_folded) DO NOTHING";
    let values = (
        user_id,
        new.id.as_bytes(),
        new.username.folded(),
        AccountStatus::Active.name(),
        new.scopes.to_string(),
        millis(new.registered_at),
    );
    Ok((rows::execute(connection, account, values)? > 0).then_some(user_id))
}

fn scopes_of(connection: &Connection, id: AccountId) -> Result<Option<Scopes>, DbError> {
    let select = "SELECT scopes FROM accounts WHERE account_id = ?";
    rows::first(connection, select, [id.as_bytes()], |row| {
        Columns::new(row, "accounts", 0).parse("scopes")
    })
}

fn is_disabled(connection: &Connection, id: AccountId) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM accounts WHERE account_id = ? AND status = ?";
    let values = (id.as_bytes(), AccountStatus::Disabled.name());
    Ok(rows::first(connection, select, values, |_| Ok(()))?.is_some())
}
