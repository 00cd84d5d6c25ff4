//! Accounts with passwords, and the log of their logins.

use async_trait::async_trait;
use countersign_authority::{
    account::{Account, AccountName, AccountStatus},
    ports::{
        CreatePasswordAccountError, NewPasswordAccount, PasswordLogin, PasswordStore, StoreError,
    },
};
use rusqlite::{Connection, Row};

use super::{
    SqliteStore, accounts, audit,
    error::DbError,
    rows::{self, Columns, millis, timestamp},
};

#[async_trait]
impl PasswordStore for SqliteStore {
    async fn create_password_account(
        &self,
        new: NewPasswordAccount,
    ) -> Result<(), CreatePasswordAccountError> {
        self.write(move |connection| create(connection, &new)).await
    }

    async fn password(&self, name: &AccountName) -> Result<Option<(Account, String)>, StoreError> {
        let name = name.clone();
        self.read(move |connection| Ok(find(connection, &name)?)).await
    }

    async fn record_password_login(&self, login: PasswordLogin) -> Result<bool, StoreError> {
        self.write(move |connection| Ok(record_login(connection, &login)?)).await
    }
}

fn create(
    connection: &Connection,
    new: &NewPasswordAccount,
) -> Result<(), CreatePasswordAccountError> {
    let now = new.event.at;
    // The name comes first: whoever asks for a taken one learns nothing about the address.
    let taken = "SELECT 1 FROM accounts WHERE username_folded = ?";
    let taken = rows::first(connection, taken, [new.username.folded()], |_| Ok(()))?;
    if taken.is_some() {
        return Err(CreatePasswordAccountError::UsernameTaken);
    }
    let user = "INSERT INTO users(username, password_hash, email, date_registered)
        VALUES (?, ?, ?, ?) ON CONFLICT(email) DO NOTHING";
    let values = (new.username.as_str(), &new.password_hash, new.email.as_str(), timestamp(now));
    if rows::execute(connection, user, values)? == 0 {
        return Err(CreatePasswordAccountError::EmailTaken);
    }
    let account = "INSERT INTO
        accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        VALUES (?, ?, ?, ?, ?, ?)";
    let values = (
        connection.last_insert_rowid(),
        new.id.as_bytes(),
        new.username.folded(),
        AccountStatus::Active.name(),
        new.scopes.to_string(),
        millis(now),
    );
    rows::execute(connection, account, values)?;
    audit::record(connection, &new.event)?;
    Ok(())
}

fn find(connection: &Connection, name: &AccountName) -> Result<Option<(Account, String)>, DbError> {
    const FROM: &str = "FROM accounts AS a JOIN users AS u ON u.id = a.user_id";
    let select = format!("SELECT u.password_hash, {} {FROM} WHERE ", accounts::COLUMNS);
    let read = |row: &Row<'_>| {
        let hash = Columns::new(row, "users", 0).plain("password_hash")?;
        Ok((accounts::read(row, 1)?, hash))
    };
    match name {
        AccountName::Id(id) => {
            rows::first(connection, &(select + "a.account_id = ?"), [id.as_bytes()], read)
        }
        AccountName::Username(username) => {
            rows::first(connection, &(select + "a.username_folded = ?"), [username.folded()], read)
        }
    }
}

fn record_login(connection: &Connection, login: &PasswordLogin) -> Result<bool, DbError> {
    let now = login.event.at;
    let account = "UPDATE accounts SET last_login_at = ? WHERE account_id = ? AND status = ?";
    let values = (millis(now), login.account_id.as_bytes(), AccountStatus::Active.name());
    if rows::execute(connection, account, values)? == 0 {
        return Ok(false);
    }
    let user_id = accounts::user_id(connection, login.account_id)?;
    let user = "UPDATE users SET last_login = ? WHERE id = ?";
    rows::execute(connection, user, (timestamp(now), user_id))?;
    let log = "INSERT INTO auth_logs(request_ip, request_timestamp, user_id) VALUES (?, ?, ?)";
    rows::execute(connection, log, (login.address.to_string(), timestamp(now), user_id))?;
    audit::record(connection, &login.event)?;
    Ok(true)
}
