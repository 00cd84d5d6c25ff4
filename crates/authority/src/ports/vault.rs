//! Everything that is sealed with the master key, and the record that proves that a master key is
//! the right one.

use async_trait::async_trait;
use countersign_protocol::AccountId;

use super::{ChangeSigningKeysError, SigningKeyVersion, StoreError};
use crate::model::{
    audit::AuditEvent,
    key_life::{SealedServerKey, SealedSigningKey},
};

/// The record that proves that a master key is the right one.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// The record, once the first start has made it.
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError>;

    /// Keeps the first record. `false` when there is one already, which then stays.
    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError>;

    /// The key pairs of all accounts that have one.
    async fn server_keys(&self) -> Result<Vec<(AccountId, SealedServerKey)>, StoreError>;

    /// The key pair of sealed registrations, once it was made.
    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError>;

    /// Keeps the first key pair of sealed registrations. `false` when there is one already, which
    /// then stays.
    async fn create_registration_key(&self, key: &SealedServerKey) -> Result<bool, StoreError>;

    /// The secret of online keyrings, once it was made.
    async fn opaque_setup(&self) -> Result<Option<SealedServerKey>, StoreError>;

    /// Keeps the first secret of online keyrings. `false` when there is one already, which then stays.
    async fn create_opaque_setup(&self, setup: &SealedServerKey) -> Result<bool, StoreError>;

    /// Replaces the record and everything that is sealed at once: the master key has changed. The
    /// signing keys were `decided_on` at that version, and have another one afterwards, so that no
    /// key comes to them that was sealed with the old master key.
    async fn replace_vault(
        &self,
        record: &VaultRecord,
        secrets: &SealedSecrets,
        decided_on: SigningKeyVersion,
        event: AuditEvent,
    ) -> Result<(), ChangeSigningKeysError>;
}

/// Everything that is sealed with the master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The signing keys.
    pub signing_keys: Vec<SealedSigningKey>,
    /// The key pairs of accounts.
    pub server_keys: Vec<(AccountId, SealedServerKey)>,
    /// The key pair of sealed registrations.
    pub registration_key: Option<SealedServerKey>,
    /// The secret of online keyrings.
    pub opaque_setup: Option<SealedServerKey>,
}

/// What is stored about the master key: nothing that helps to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRecord {
    /// The salt with which a master key given as text is stretched.
    pub salt: [u8; 16],
    /// The nonce of `check`.
    pub nonce: [u8; 12],
    /// A known text, sealed with the master key.
    pub check: Vec<u8>,
}
