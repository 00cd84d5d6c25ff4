//! Accounts.

use async_trait::async_trait;
use countersign_authority::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::AuditEvent,
    credential::Credential,
    key_life::SealedServerKey,
    ports::{AccountStore, CreateAccountError, NewAccount, StoreError},
};
use countersign_protocol::{AccountId, Scopes, UnixTime};
use rusqlite::{Connection, Row, types::Value};

use super::{
    SqliteStore, audit, claims, credentials,
    error::DbError,
    invitations, revocations,
    rows::{self, Columns, millis, timestamp},
};

pub(super) mod unused;

/// What [`read`] expects, from `accounts AS a JOIN users AS u ON u.id = a.user_id`.
pub(super) const COLUMNS: &str =
    "u.username, u.last_login, a.account_id, a.status, a.scopes, a.registered_at,
    (SELECT n.alias FROM account_aliases AS n WHERE n.user_id = a.user_id ORDER BY n.alias LIMIT 1)";

/// The condition that the account has a name, on the same tables, and what it compares with.
pub(super) fn is_called(name: &AccountName) -> (&'static str, Value) {
    // Of several accounts that claim the key that it comes from, a fingerprint names none.
    const BY_ALIAS: &str = "a.user_id = (SELECT max(n.user_id) FROM account_aliases AS n
        WHERE n.alias = ? HAVING count(*) = 1)";
    match name {
        AccountName::Id(id) => ("a.account_id = ?", Value::from(id.as_bytes().to_vec())),
        AccountName::Fingerprint(fingerprint) => (BY_ALIAS, Value::from(fingerprint.to_string())),
        AccountName::Username(username) => {
            ("a.username_folded = ?", Value::from(username.folded()))
        }
    }
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.write_growing(move |connection| create(connection, &new, credentials::insert_proven))
            .await
    }

    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.write_growing(move |connection| {
            create(connection, &new, claims::insert)?;
            // Nobody vouches for it: neither an administrator nor a key.
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
        // No username is empty, so all of them come after the empty one.
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
        self.write(move |connection| Ok(unused::expire(connection, before, limit, now)?)).await
    }

    async fn set_status(
        &self,
        id: AccountId,
        status: AccountStatus,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE accounts SET status = ?, disabled_at = ? WHERE account_id = ?";
        self.write(move |connection| {
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

    async fn set_scopes(
        &self,
        id: AccountId,
        scopes: &Scopes,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let scopes = scopes.to_string();
        let update = "UPDATE accounts SET scopes = ? WHERE account_id = ?";
        self.write(move |connection| {
            let changed = rows::execute(connection, update, (&scopes, id.as_bytes()))? > 0;
            if changed {
                audit::record(connection, &event)?;
            }
            Ok(changed)
        })
        .await
    }
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
    let user_id = insert(connection, new, &scopes)?.ok_or(CreateAccountError::UsernameTaken)?;
    if !insert_key(connection, user_id, &new.credential, now)? {
        return Err(CreateAccountError::KeyTaken);
    }
    insert_extras(connection, user_id, new)?;
    audit::record(connection, &new.event)?;
    Ok(())
}

/// Inserts what only accounts of some dialects have.
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

/// Inserts the account and returns its row's id; `None` when the name is taken.
fn insert(
    connection: &Connection,
    new: &NewAccount,
    scopes: &Scopes,
) -> Result<Option<i64>, DbError> {
    let now = new.credential.created_at;
    let user = "INSERT INTO users(username, password_hash, date_registered) VALUES (?, '!', ?)
        ON CONFLICT(username) DO NOTHING";
    if rows::execute(connection, user, (new.username.as_str(), timestamp(now)))? == 0 {
        return Ok(None);
    }
    let user_id = connection.last_insert_rowid();
    let account = "INSERT INTO
        accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(username_folded) DO NOTHING";
    let values = (
        user_id,
        new.id.as_bytes(),
        new.username.folded(),
        AccountStatus::Active.name(),
        scopes.to_string(),
        millis(now),
    );
    Ok((rows::execute(connection, account, values)? > 0).then_some(user_id))
}

pub(super) fn find(
    connection: &Connection,
    name: &AccountName,
) -> Result<Option<Account>, DbError> {
    const FROM: &str = "FROM accounts AS a JOIN users AS u ON u.id = a.user_id";
    let (is_called, value) = is_called(name);
    let select = format!("SELECT {COLUMNS} {FROM} WHERE {is_called}");
    rows::first(connection, &select, [value], |row| read(row, 0))
}

/// Reads [`COLUMNS`], the first of which is the column `start` of `row`.
pub(super) fn read(row: &Row<'_>, start: usize) -> Result<Account, DbError> {
    let mut user = Columns::new(row, "users", start);
    let (username, last_login_at) =
        (user.parse("username")?, user.optional_timestamp("last_login")?);
    let mut columns = Columns::new(row, "accounts", start + 2);
    Ok(Account {
        id: AccountId::from_bytes(columns.bytes("account_id")?),
        username,
        status: columns.read("status", |name: String| rows::status(&name))?,
        scopes: columns.parse("scopes")?,
        registered_at: columns.time("registered_at")?,
        fingerprint: Columns::new(row, "account_aliases", start + 6).parse_optional("alias")?,
        last_login_at,
    })
}

fn is_disabled(connection: &Connection, id: AccountId) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM accounts WHERE account_id = ? AND status = ?";
    let values = (id.as_bytes(), AccountStatus::Disabled.name());
    Ok(rows::first(connection, select, values, |_| Ok(()))?.is_some())
}

/// Writes down that the account of that row has just logged in.
pub(super) fn note_login(
    connection: &Connection,
    user_id: i64,
    now: UnixTime,
) -> Result<(), DbError> {
    let update = "UPDATE users SET last_login = ? WHERE id = ?";
    rows::execute(connection, update, (timestamp(now), user_id)).map(drop)
}

/// The row's id of an account.
pub(super) fn user_id(connection: &Connection, id: AccountId) -> Result<Option<i64>, DbError> {
    let select = "SELECT user_id FROM accounts WHERE account_id = ?";
    rows::first(connection, select, [id.as_bytes()], |row| Ok(row.get(0)?))
}
