//! The server's signing keys.

use async_trait::async_trait;
use countersign_protocol::keys::Thumbprint;

use super::StoreError;
use crate::model::{audit::AuditEvent, key_life::SealedSigningKey};

/// The server's signing keys.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All of them, by time of activation.
    async fn signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError>;

    /// Inserts the keys in `put`, replacing keys with the same `kid`, and removes the keys in
    /// `remove`.
    async fn change_signing_keys(
        &self,
        put: &[SealedSigningKey],
        remove: &[Thumbprint],
        events: Vec<AuditEvent>,
    ) -> Result<(), StoreError>;
}
