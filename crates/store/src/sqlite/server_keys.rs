//! The key pairs that the server made for single accounts, and the one for sealed registrations.

use async_trait::async_trait;
use countersign_authority::{
    model::key_life::SealedServerKey,
    ports::{ServerKeyStore, StoreError},
};
use countersign_protocol::AccountId;
use rusqlite::Connection;

use super::{
    SqliteStore,
    error::DbError,
    rows::{self, Columns},
};

#[async_trait]
impl ServerKeyStore for SqliteStore {
    async fn server_key(&self, id: AccountId) -> Result<Option<SealedServerKey>, StoreError> {
        self.read(move |connection| {
            let select = "SELECT k.ciphertext, k.nonce FROM server_keys AS k
                JOIN accounts AS a ON a.user_id = k.user_id WHERE a.account_id = ?";
            Ok(rows::first(connection, select, [id.as_bytes()], |row| {
                read(&mut Columns::new(row, "server_keys", 0))
            })?)
        })
        .await
    }
}

/// Every key pair, with the account that it belongs to.
pub(super) fn all(connection: &Connection) -> Result<Vec<(AccountId, SealedServerKey)>, DbError> {
    let select = "SELECT a.account_id, k.ciphertext, k.nonce FROM server_keys AS k
        JOIN accounts AS a ON a.user_id = k.user_id ORDER BY k.user_id";
    rows::all(connection, select, [], |row| {
        let id = Columns::new(row, "accounts", 0).bytes("account_id")?;
        Ok((AccountId::from_bytes(id), read(&mut Columns::new(row, "server_keys", 1))?))
    })
}

/// Makes `keys` the only ones.
pub(super) fn replace_all(
    connection: &Connection,
    keys: &[(AccountId, SealedServerKey)],
) -> Result<(), DbError> {
    rows::execute(connection, "DELETE FROM server_keys", [])?;
    let insert = "INSERT INTO server_keys(user_id, ciphertext, nonce)
        SELECT user_id, ?, ? FROM accounts WHERE account_id = ?";
    for (id, key) in keys {
        rows::execute(connection, insert, (&key.ciphertext, key.nonce, id.as_bytes()))?;
    }
    Ok(())
}

/// The key pair of sealed registrations.
pub(super) fn for_registrations(
    connection: &Connection,
) -> Result<Option<SealedServerKey>, DbError> {
    let select = "SELECT ciphertext, nonce FROM registration_key";
    rows::first(connection, select, [], |row| read(&mut Columns::new(row, "registration_key", 0)))
}

/// Makes `key` the key of sealed registrations.
pub(super) fn replace_for_registrations(
    connection: &Connection,
    key: Option<&SealedServerKey>,
) -> Result<(), DbError> {
    rows::execute(connection, "DELETE FROM registration_key", [])?;
    if let Some(key) = key {
        let insert = "INSERT INTO registration_key(id, ciphertext, nonce) VALUES (1, ?, ?)";
        rows::execute(connection, insert, (&key.ciphertext, key.nonce))?;
    }
    Ok(())
}

fn read(columns: &mut Columns<'_>) -> Result<SealedServerKey, DbError> {
    Ok(SealedServerKey { ciphertext: columns.plain("ciphertext")?, nonce: columns.bytes("nonce")? })
}
