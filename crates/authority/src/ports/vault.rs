//! Everything that is sealed with the master key, and the record that proves that a master key is
//! the right one.

use async_trait::async_trait;
use countersign_protocol::AccountId;

use super::StoreError;
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

    /// Replaces the record, every signing key, every account's key pair and that of sealed
    /// registrations at once: the master key has changed.
    async fn replace_vault(
        &self,
        record: &VaultRecord,
        signing_keys: &[SealedSigningKey],
        server_keys: &[(AccountId, SealedServerKey)],
        registration_key: Option<&SealedServerKey>,
        event: AuditEvent,
    ) -> Result<(), StoreError>;
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
