//! Accounts with passwords, and the log of their logins.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use countersign_authority::{
    model::account::{Account, AccountName, AccountStatus},
    ports::{
        CreatePasswordAccountError, NewPasswordAccount, PasswordLogin, PasswordStore, StoreError,
    },
};

use super::{
    Alone, Engine, Stored,
    accounts::{self, NewRow},
    audit,
    error::DbError,
    invitations,
    rows::{self, Columns, timestamp},
};

#[async_trait]
impl<E: Engine> PasswordStore for Stored<E> {
    async fn create_password_account(
        &self,
        new: NewPasswordAccount,
    ) -> Result<(), CreatePasswordAccountError> {
        self.write_growing([Alone::Addresses], move |connection| create(connection, &new)).await
    }

    async fn password(&self, name: &AccountName) -> Result<Option<(Account, String)>, StoreError> {
        let name = name.clone();
        self.read(move |connection| Ok(find(connection, &name)?)).await
    }

    async fn record_password_login(&self, login: PasswordLogin) -> Result<bool, StoreError> {
        let alone = [Alone::Account(login.account_id)];
        self.write(alone, move |connection| Ok(record_login(connection, &login)?)).await
    }
}

fn create(
    connection: &Connection,
    new: &NewPasswordAccount,
) -> Result<(), CreatePasswordAccountError> {
    let now = new.event.at;
    // The invitation comes first: without one, nobody learns which names are taken.
    let scopes = match &new.invitation {
        None => new.scopes.clone(),
        Some(code_hash) => invitations::redeem(connection, code_hash, &new.username, now)?
            .and_then(|granted| new.scopes.union(&granted).ok())
            .ok_or(CreatePasswordAccountError::InvitationUnusable)?,
    };
    // Then the name, so that a request for a taken name reveals nothing about the address.
    let taken = "SELECT 1 FROM accounts WHERE username_folded = ?";
    let taken = rows::first(connection, taken, [new.username.folded()], |_| Ok(()))?;
    if taken.is_some() {
        return Err(CreatePasswordAccountError::UsernameTaken);
    }
    let email = new.email.as_str();
    let has_row = "SELECT 1 FROM users WHERE email = ?";
    let has_row = rows::first(connection, has_row, [email], |_| Ok(()))?.is_some();
    let row = NewRow {
        id: new.id,
        username: &new.username,
        password_hash: Some(&new.password_hash),
        email: (!has_row).then_some(email),
        scopes: &scopes,
        registered_at: now,
    };
    let user_id =
        accounts::insert(connection, &row)?.ok_or(CreatePasswordAccountError::UsernameTaken)?;
    if has_row {
        // `users.email` is unique, and nobody has proven that the address is theirs.
        let further = "INSERT INTO further_emails(user_id, email) VALUES (?, ?)";
        rows::execute(connection, further, (user_id, email))?;
    }
    // No administrator vouches for it.
    if new.invitation.is_none() {
        accounts::unused::mark(connection, new.id, now)?;
    }
    audit::record(connection, &new.event)?;
    Ok(())
}

fn find(connection: &Connection, name: &AccountName) -> Result<Option<(Account, String)>, DbError> {
    const FROM: &str = "FROM accounts AS a JOIN users AS u ON u.id = a.user_id";
    let select = format!("SELECT u.password_hash, {} {FROM} WHERE ", rows::accounts::COLUMNS);
    let read = |row: &Row<'_>| {
        let hash = Columns::new(row, "users", 0).plain("password_hash")?;
        Ok((rows::accounts::read(row, 1)?, hash))
    };
    let (is_called, value) = rows::accounts::is_called(name);
    rows::first(connection, &(select + is_called), value, read)
}

fn record_login(connection: &Connection, login: &PasswordLogin) -> Result<bool, DbError> {
    let now = login.event.at;
    let active = "SELECT a.user_id FROM accounts AS a JOIN users AS u ON u.id = a.user_id
        WHERE a.account_id = ? AND a.status = ? AND u.password_hash = ?";
    let status = AccountStatus::Active.name();
    let values = (login.account_id.as_bytes(), status, &login.password_hash);
    let Some(user_id) = rows::first(connection, active, values, |row| row.get(0))? else {
        return Ok(false);
    };
    rows::accounts::note_login(connection, user_id, now)?;
    let log = "INSERT INTO auth_logs(request_ip, request_timestamp, user_id) VALUES (?, ?, ?)";
    rows::execute(connection, log, (login.address.to_string(), timestamp(now), user_id))?;
    audit::record(connection, &login.event)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use countersign_authority::{
        model::audit::{AuditEvent, EventKind},
        ports::{Retention, StoreUpkeep as _},
    };
    use countersign_protocol::{AccountId, Scopes, UnixTime};

    use super::*;
    use crate::{
        engine::Engine as _,
        sql::Connection,
        sqlite::{SqliteOptions, SqliteStore},
    };

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn account(number: u8, name: &str, email: &str) -> NewPasswordAccount {
        let id = AccountId::from_bytes([number; 16]);
        NewPasswordAccount {
            id,
            username: name.parse().unwrap(),
            email: email.parse().unwrap(),
            scopes: Scopes::none(),
            password_hash: "a hash".to_owned(),
            invitation: None,
            event: AuditEvent::new(NOW, EventKind::AccountRegistered).account(id),
        }
    }

    fn login(number: u8, at: UnixTime) -> PasswordLogin {
        let account_id = AccountId::from_bytes([number; 16]);
        let event = AuditEvent::new(at, EventKind::LoginSucceeded).account(account_id);
        let password_hash = "a hash".to_owned();
        PasswordLogin { account_id, password_hash, address: IpAddr::from([192, 0, 2, 1]), event }
    }

    async fn logins(store: &SqliteStore) -> Vec<String> {
        let select = "SELECT request_timestamp FROM auth_logs ORDER BY id";
        let all = move |connection: &Connection| {
            Ok::<_, StoreError>(rows::all(connection, select, (), |row| row.get(0))?)
        };
        store.read(all).await.unwrap()
    }

    #[tokio::test]
    async fn a_name_is_taken_once_and_an_address_that_nobody_has_proven_keeps_nobody_out() {
        use CreatePasswordAccountError::UsernameTaken;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        let create = |new| store.create_password_account(new);
        create(account(1, "alice", "alice@example.com")).await.unwrap();
        let same_name = create(account(2, "ALICE", "other@example.com")).await;
        assert!(matches!(same_name, Err(UsernameTaken)));
        create(account(2, "bob", "Alice@Example.com")).await.unwrap();
        create(account(4, "carol", "alice@example.com")).await.unwrap();
        create(account(5, "dave", "other@example.com")).await.unwrap();
        let select = "SELECT coalesce(u.email, 'shared ' || f.email) FROM users AS u
            LEFT JOIN further_emails AS f ON f.user_id = u.id ORDER BY u.id";
        let all = move |connection: &Connection| {
            Ok::<_, StoreError>(rows::all(connection, select, (), |row| row.get::<String>(0))?)
        };
        let expected = [
            "alice@example.com",
            "shared alice@example.com",
            "shared alice@example.com",
            "other@example.com",
        ];
        assert_eq!(store.read(all).await.unwrap(), expected);
        let (bob, hash) = store.password(&"Bob".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((bob.username.as_str(), hash.as_str()), ("bob", "a hash"));
        assert!(!store.record_password_login(login(3, NOW)).await.unwrap(), "of nobody");
        assert!(logins(&store).await.is_empty());
    }

    #[tokio::test]
    async fn the_log_of_logins_is_pruned_by_age_and_number() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let store = SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        store.create_password_account(account(1, "alice", "alice@example.com")).await.unwrap();
        for days in 0..5 {
            assert!(store.record_password_login(login(1, NOW + DAY * days)).await.unwrap());
        }
        let prune = async |max_age, max_events| {
            let retention = Retention { max_age, max_events, max_refusals: 100, max_uses: 100 };
            store.prune(NOW + DAY * 5, &retention).await.unwrap();
            logins(&store).await
        };
        assert_eq!(prune(DAY * 10, 100).await.len(), 5);
        assert_eq!(
            prune(DAY * 3, 100).await,
            (2..5).map(|d| timestamp(NOW + DAY * d).to_string()).collect::<Vec<_>>()
        );
        assert_eq!(prune(DAY * 10, 1).await, [timestamp(NOW + DAY * 4).to_string()]);
    }
}
