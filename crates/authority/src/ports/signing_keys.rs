//! The server's signing keys.

use async_trait::async_trait;
use countersign_protocol::keys::Thumbprint;
use thiserror::Error;

use super::StoreError;
use crate::model::{audit::AuditEvent, key_life::SealedSigningKey};

/// The server's signing keys. Several processes may change them, so a change says which keys it was
/// decided on, and is refused when another was faster.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All of them. Their version is never a newer one than theirs, so that a change is refused that
    /// was decided on older keys.
    async fn signing_keys(&self) -> Result<StoredSigningKeys, StoreError>;

    /// Makes `change`, and another version. Of many changes that were decided on one version, one is
    /// made.
    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
    ) -> Result<(), ChangeSigningKeysError>;
}

/// How often the signing keys of a store were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigningKeyVersion(pub u64);

/// All signing keys of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSigningKeys {
    /// Another one after each change.
    pub version: SigningKeyVersion,
    /// By time of activation.
    pub keys: Vec<SealedSigningKey>,
}

/// A change of the signing keys.
#[derive(Clone, Debug, Default)]
pub struct SigningKeyChange {
    /// The version of the keys that it was decided on.
    pub decided_on: SigningKeyVersion,
    /// Keys to be inserted. They replace those with the same `kid`.
    pub put: Vec<SealedSigningKey>,
    /// Keys to be removed. They need not be there.
    pub remove: Vec<Thumbprint>,
    /// What the audit trail says.
    pub events: Vec<AuditEvent>,
}

/// Why the signing keys were not changed.
#[derive(Debug, Error)]
pub enum ChangeSigningKeysError {
    /// They were changed after they were read. Nothing was done.
    #[error("another process changed the signing keys at the same time")]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
