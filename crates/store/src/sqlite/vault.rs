//! The stored value that proves that a master key is the right one.

use async_trait::async_trait;
use countersign_authority::{
    model::{
        audit::AuditEvent,
        key_life::{SealedServerKey, SealedSigningKey},
    },
    ports::{StoreError, VaultRecord, VaultStore},
};
use countersign_protocol::AccountId;

use super::{
    SqliteStore, audit,
    rows::{self, Columns},
    server_keys, signing_keys,
};

#[async_trait]
impl VaultStore for SqliteStore {
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError> {
        self.read(|connection| {
            let select = "SELECT salt, nonce, sealed_check FROM vault";
            Ok(rows::first(connection, select, [], |row| {
                let mut columns = Columns::new(row, "vault", 0);
                Ok(VaultRecord {
                    salt: columns.bytes("salt")?,
                    nonce: columns.bytes("nonce")?,
                    check: columns.plain("sealed_check")?,
                })
            })?)
        })
        .await
    }

    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError> {
        let record = record.clone();
        self.write(move |connection| {
            let insert = "INSERT INTO vault(id, salt, nonce, sealed_check) VALUES (1, ?, ?, ?)
                ON CONFLICT DO NOTHING";
            let values = (record.salt, record.nonce, &record.check);
            Ok(rows::execute(connection, insert, values)? > 0)
        })
        .await
    }

    async fn server_keys(&self) -> Result<Vec<(AccountId, SealedServerKey)>, StoreError> {
        self.read(|connection| Ok(server_keys::all(connection)?)).await
    }

    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError> {
        self.read(|connection| Ok(server_keys::for_registrations(connection)?)).await
    }

    async fn create_registration_key(&self, key: &SealedServerKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.write(move |connection| {
            let insert = "INSERT INTO registration_key(id, ciphertext, nonce) VALUES (1, ?, ?)
                ON CONFLICT DO NOTHING";
            Ok(rows::execute(connection, insert, (&key.ciphertext, key.nonce))? > 0)
        })
        .await
    }

    async fn replace_vault(
        &self,
        record: &VaultRecord,
        signing_keys: &[SealedSigningKey],
        server_keys: &[(AccountId, SealedServerKey)],
        registration_key: Option<&SealedServerKey>,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let (record, keys) = (record.clone(), signing_keys.to_vec());
        let (server_keys, registration_key) = (server_keys.to_vec(), registration_key.cloned());
        self.write(move |connection| {
            let replace =
                "INSERT OR REPLACE INTO vault(id, salt, nonce, sealed_check) VALUES (1, ?, ?, ?)";
            rows::execute(connection, replace, (record.salt, record.nonce, &record.check))?;
            signing_keys::replace_all(connection, &keys)?;
            server_keys::replace_all(connection, &server_keys)?;
            server_keys::replace_for_registrations(connection, registration_key.as_ref())?;
            Ok(audit::record(connection, &event)?)
        })
        .await
    }
}
