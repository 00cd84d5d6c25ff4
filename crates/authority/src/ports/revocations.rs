//! What was revoked before its time.

use async_trait::async_trait;
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::StoreError;
use crate::audit::AuditEvent;

/// What was revoked before its time.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Revokes the token `jti`, which would have ended at `expires_at`. Revoking twice is fine.
    async fn revoke_token(
        &self,
        jti: &str,
        expires_at: UnixTime,
        event: AuditEvent,
    ) -> Result<(), StoreError>;

    /// The revoked tokens that would not have ended at `now`.
    async fn revoked_tokens(&self, now: UnixTime) -> Result<Vec<(String, UnixTime)>, StoreError>;

    /// Whose tokens died by a revocation after `since`: at most `limit` keys and as many accounts,
    /// the earliest first.
    async fn shut_out(&self, since: UnixTime, limit: u32) -> Result<ShutOut, StoreError>;
}

/// Keys and accounts that may no longer act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutOut {
    /// The keys that were revoked.
    pub keys: Vec<Thumbprint>,
    /// The accounts that were disabled, and still are.
    pub accounts: Vec<AccountId>,
}
