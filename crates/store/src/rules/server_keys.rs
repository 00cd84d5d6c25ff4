//! Secrets of the server: the key pairs that it made for single accounts, and those that there is one of.

use crate::sql::Connection;
use async_trait::async_trait;
use countersign_authority::{
    model::key_life::SealedServerKey,
    ports::{ServerKeyOwners, ServerKeyStore, StoreError},
};
use countersign_protocol::AccountId;

use super::{
    Engine, Stored,
    error::DbError,
    rows::{self, Columns},
};

#[async_trait]
impl<E: Engine> ServerKeyStore for Stored<E> {
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

/// The accounts that have a key pair, of which `at_most` that many are named.
pub(super) fn owners(connection: &Connection, at_most: u32) -> Result<ServerKeyOwners, DbError> {
    let select = "SELECT a.account_id FROM server_keys AS k
        JOIN accounts AS a ON a.user_id = k.user_id ORDER BY k.user_id LIMIT ?";
    let first = rows::all(connection, select, [at_most], |row| {
        Ok(AccountId::from_bytes(Columns::new(row, "accounts", 0).bytes("account_id")?))
    })?;
    let count = rows::count(connection, "SELECT count(*) FROM server_keys", ())?;
    Ok(ServerKeyOwners { count, first })
}

/// Deletes every key pair of an account.
pub(super) fn delete_all(connection: &Connection) -> Result<(), DbError> {
    rows::execute(connection, "DELETE FROM server_keys", ()).map(drop)
}

/// A table of one row: a secret of the server that there is one of.
pub(super) struct OneSecret(&'static str);

/// The key pair of sealed registrations.
pub(super) const REGISTRATION_KEY: OneSecret = OneSecret("registration_key");
/// The server's part in the passwords of online keyrings.
pub(super) const OPAQUE_SETUP: OneSecret = OneSecret("opaque_setup");

impl OneSecret {
    /// The secret, if it was made.
    pub(super) fn read(&self, connection: &Connection) -> Result<Option<SealedServerKey>, DbError> {
        let select = format!("SELECT ciphertext, nonce FROM {}", self.0);
        rows::first(connection, &select, (), |row| read(&mut Columns::new(row, self.0, 0)))
    }

    /// Keeps the first one. `false` when there is one already.
    pub(super) fn create(
        &self,
        connection: &Connection,
        secret: &SealedServerKey,
    ) -> Result<bool, DbError> {
        let insert = format!(
            "INSERT INTO {}(id, ciphertext, nonce) VALUES (1, ?, ?) ON CONFLICT DO NOTHING",
            self.0
        );
        Ok(rows::execute(connection, &insert, (&secret.ciphertext, secret.nonce))? > 0)
    }

    /// Deletes it, if it was made.
    pub(super) fn delete(&self, connection: &Connection) -> Result<(), DbError> {
        rows::execute(connection, &format!("DELETE FROM {}", self.0), ()).map(drop)
    }
}

fn read(columns: &mut Columns<'_>) -> Result<SealedServerKey, DbError> {
    Ok(SealedServerKey { ciphertext: columns.plain("ciphertext")?, nonce: columns.bytes("nonce")? })
}
