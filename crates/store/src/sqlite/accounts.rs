//! Accounts.

use async_trait::async_trait;
use countersign_authority::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::AuditEvent,
    ports::{AccountStore, CreateAccountError, NewAccount, StoreError},
    sealed_key::SealedServerKey,
};
use countersign_protocol::{AccountId, Scopes, UnixTime};
use rusqlite::{Connection, Row};

use super::{
    SqliteStore, audit,
    credentials::{self, Possession},
    error::DbError,
    invitations,
    rows::{self, Columns, millis, timestamp},
};

/// What [`read`] expects, from `accounts AS a JOIN users AS u ON u.id = a.user_id`.
pub(super) const COLUMNS: &str =
    "u.username, u.last_login, a.account_id, a.status, a.scopes, a.registered_at";

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.write(move |connection| create(connection, &new, Possession::Proven)).await
    }

    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError> {
        self.write(move |connection| create(connection, &new, Possession::Unproven)).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        let name = name.clone();
        self.read(move |connection| Ok(find(connection, &name)?)).await
    }

    async fn account_by_alias(&self, alias: &str) -> Result<Option<AccountId>, StoreError> {
        let alias = alias.to_owned();
        self.read(move |connection| {
            let select = "SELECT a.account_id FROM account_aliases AS n
                JOIN accounts AS a ON a.user_id = n.user_id WHERE n.alias = ?";
            let id = |row: &Row<'_>| Columns::new(row, "accounts", 0).bytes("account_id");
            Ok(rows::first(connection, select, [&alias], id)?.map(AccountId::from_bytes))
        })
        .await
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
    possession: Possession,
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
    if !credentials::insert(connection, user_id, &new.credential, possession)? {
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
        rows::execute(connection, insert, (alias, user_id, thumbprint.as_bytes()))?;
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

fn find(connection: &Connection, name: &AccountName) -> Result<Option<Account>, DbError> {
    const FROM: &str = "FROM accounts AS a JOIN users AS u ON u.id = a.user_id";
    match name {
        AccountName::Id(id) => {
            let select = format!("SELECT {COLUMNS} {FROM} WHERE a.account_id = ?");
            rows::first(connection, &select, [id.as_bytes()], |row| read(row, 0))
        }
        AccountName::Username(username) => {
            let select = format!("SELECT {COLUMNS} {FROM} WHERE a.username_folded = ?");
            rows::first(connection, &select, [username.folded()], |row| read(row, 0))
        }
    }
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
        last_login_at,
    })
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
