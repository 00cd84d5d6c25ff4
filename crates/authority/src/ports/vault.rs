//! The vault as it lies in the store, and the secrets of the server that there is one of.

use async_trait::async_trait;
use countersign_protocol::AccountId;

use super::{ChangeSigningKeysError, SigningKeyVersion, StoreError};
use crate::model::{audit::AuditEvent, key_life::SealedServerKey};

/// The roots of all secrets, sealed, and what is sealed with keys that follow from them.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// The record, once the first start has made it.
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError>;

    /// Keeps the first record. `false` when there is one already, which then stays.
    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError>;

    /// Puts `next` in the place of `present`, and nothing else: the master key has changed. `false` when
    /// the record is another one, which then stays.
    async fn change_vault(
        &self,
        present: &VaultRecord,
        next: &VaultRecord,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Replaces the record and deletes everything that is sealed, at once: the master key is lost. The
    /// signing keys were `decided_on` at that version, and have another one afterwards, so that no key
    /// comes to them that was sealed for the vault before.
    async fn abandon_vault(
        &self,
        record: &VaultRecord,
        decided_on: SigningKeyVersion,
        event: AuditEvent,
    ) -> Result<(), ChangeSigningKeysError>;

    /// The accounts that the server has a key pair of their own for, of which `at_most` that many are named.
    async fn server_key_owners(&self, at_most: u32) -> Result<ServerKeyOwners, StoreError>;

    /// The key pair of sealed registrations, once it was made.
    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError>;

    /// Keeps the first key pair of sealed registrations. `false` when there is one already, which
    /// then stays.
    async fn create_registration_key(&self, key: &SealedServerKey) -> Result<bool, StoreError>;

    /// The secret of online keyrings, once it was made.
    async fn opaque_setup(&self) -> Result<Option<SealedServerKey>, StoreError>;

    /// Keeps the first secret of online keyrings. `false` when there is one already, which then stays.
    async fn create_opaque_setup(&self, setup: &SealedServerKey) -> Result<bool, StoreError>;
}

/// The accounts that the server has a key pair of their own for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerKeyOwners {
    /// How many there are.
    pub count: usize,
    /// The first of them, in the order in which they were registered.
    pub first: Vec<AccountId>,
}

/// What is stored of the vault: nothing that helps to find the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRecord {
    /// The salt with which a master key given as text is stretched.
    pub salt: [u8; 16],
    /// The nonce of `sealed_roots`.
    pub nonce: [u8; 12],
    /// The roots that every other secret follows from, sealed with the master key (AES-256-GCM). In the
    /// first form a known text: the master key itself was the root.
    pub sealed_roots: Vec<u8>,
}
