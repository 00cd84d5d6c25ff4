//! The vault: the sealed roots of all secrets, and those secrets that there is one of.

use async_trait::async_trait;
use countersign_authority::{
    model::{audit::AuditEvent, key_life::SealedServerKey},
    ports::{
        ChangeSigningKeysError, ServerKeyOwners, SigningKeyVersion, StoreError, VaultRecord,
        VaultStore,
    },
};

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
            let select = "SELECT salt, nonce, sealed_roots FROM vault";
            Ok(rows::first(connection, select, (), |row| {
                let mut columns = Columns::new(row, "vault", 0);
                Ok(VaultRecord {
                    salt: columns.bytes("salt")?,
                    nonce: columns.bytes("nonce")?,
                    sealed_roots: columns.plain("sealed_roots")?,
                })
            })?)
        })
        .await
    }

    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError> {
        let record = record.clone();
        self.write([], move |connection| {
            let insert = "INSERT INTO vault(id, salt, nonce, sealed_roots) VALUES (1, ?, ?, ?)
                ON CONFLICT DO NOTHING";
            let values = (record.salt, record.nonce, &record.sealed_roots);
            Ok(rows::execute(connection, insert, values)? > 0)
        })
        .await
    }

    async fn change_vault(
        &self,
        present: &VaultRecord,
        next: &VaultRecord,
        event: AuditEvent,
    ) -> Result<bool, StoreError> {
        let (present, next) = (present.clone(), next.clone());
        self.write([], move |connection| {
            let change = "UPDATE vault SET salt = ?, nonce = ?, sealed_roots = ?
                WHERE salt = ? AND nonce = ? AND sealed_roots = ?";
            let values = (
                next.salt,
                next.nonce,
                &next.sealed_roots,
                present.salt,
                present.nonce,
                &present.sealed_roots,
            );
            let changed = rows::execute(connection, change, values)? > 0;
            if changed {
                audit::record(connection, &event)?;
            }
            Ok(changed)
        })
        .await
    }

    async fn abandon_vault(
        &self,
        record: &VaultRecord,
        decided_on: SigningKeyVersion,
        event: AuditEvent,
    ) -> Result<(), ChangeSigningKeysError> {
        let record = record.clone();
        self.write([], move |connection| {
            signing_keys::succeed(connection, decided_on)?;
            let replace = "INSERT INTO vault(id, salt, nonce, sealed_roots) VALUES (1, ?, ?, ?)
                ON CONFLICT(id) DO UPDATE SET salt = excluded.salt, nonce = excluded.nonce,
                    sealed_roots = excluded.sealed_roots";
            rows::execute(connection, replace, (record.salt, record.nonce, &record.sealed_roots))?;
            signing_keys::delete_all(connection)?;
            server_keys::delete_all(connection)?;
            REGISTRATION_KEY.delete(connection)?;
            OPAQUE_SETUP.delete(connection)?;
            Ok(audit::record(connection, &event)?)
        })
        .await
    }

    async fn server_key_owners(&self, at_most: u32) -> Result<ServerKeyOwners, StoreError> {
        self.read(move |connection| Ok(server_keys::owners(connection, at_most)?)).await
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
}
