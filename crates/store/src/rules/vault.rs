//! The stored value that proves that a master key is the right one.

use async_trait::async_trait;
use countersign_authority::{
    model::{audit::AuditEvent, key_life::SealedServerKey},
    ports::{
        ChangeSigningKeysError, SealedSecrets, SigningKeyVersion, StoreError, VaultRecord,
        VaultStore,
    },
};
use countersign_protocol::AccountId;

use super::{
    Engine, Stored, audit,
    rows::{self, Columns},
    server_keys::{self, OPAQUE_SETUP, REGISTRATION_KEY},
    signing_keys,
};

#[async_trait]
impl<E: Engine> VaultStore for Stored<E> {
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError> {
        self.read(|connection| {
            let select = "SELECT salt, nonce, sealed_check FROM vault";
            Ok(rows::first(connection, select, (), |row| {
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
        self.write([], move |connection| {
            let insert = "INSERT INTO vault(id, salt, nonce, sealed_check) VALUES (1, ?, ?, ?)
                ON CONFLICT DO NOTHING";
            let values = (record.salt, record.nonce, &record.check);
            Ok(rows::execute(connection, insert, values)? > 0)
        })
        .await
    }

    async fn server_keys(&self) -> Result<Vec<(AccountId, SealedServerKey)>, StoreError> {
        self.read_whole(|connection| Ok(server_keys::all(connection)?)).await
    }

    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError> {
        self.read(|connection| Ok(REGISTRATION_KEY.read(connection)?)).await
    }

    async fn create_registration_key(&self, key: &SealedServerKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.write([], move |connection| Ok(REGISTRATION_KEY.create(connection, &key)?)).await
    }

    async fn opaque_setup(&self) -> Result<Option<SealedServerKey>, StoreError> {
        self.read(|connection| Ok(OPAQUE_SETUP.read(connection)?)).await
    }

    async fn create_opaque_setup(&self, setup: &SealedServerKey) -> Result<bool, StoreError> {
        let setup = setup.clone();
        self.write([], move |connection| Ok(OPAQUE_SETUP.create(connection, &setup)?)).await
    }

    async fn replace_vault(
        &self,
        record: &VaultRecord,
        secrets: &SealedSecrets,
        decided_on: SigningKeyVersion,
        event: AuditEvent,
    ) -> Result<(), ChangeSigningKeysError> {
        let (record, secrets) = (record.clone(), secrets.clone());
        self.write([], move |connection| {
            signing_keys::succeed(connection, decided_on)?;
            let replace = "INSERT INTO vault(id, salt, nonce, sealed_check) VALUES (1, ?, ?, ?)
                ON CONFLICT(id) DO UPDATE SET salt = excluded.salt, nonce = excluded.nonce,
                    sealed_check = excluded.sealed_check";
            rows::execute(connection, replace, (record.salt, record.nonce, &record.check))?;
            let SealedSecrets { signing_keys, server_keys, registration_key, opaque_setup } =
                &secrets;
            signing_keys::replace_all(connection, signing_keys)?;
            server_keys::replace_all(connection, server_keys)?;
            REGISTRATION_KEY.replace(connection, registration_key.as_ref())?;
            OPAQUE_SETUP.replace(connection, opaque_setup.as_ref())?;
            Ok(audit::record(connection, &event)?)
        })
        .await
    }
}
