//! The key pairs that the server made for single accounts.

use async_trait::async_trait;
use countersign_protocol::AccountId;

use super::StoreError;
use crate::model::key_life::SealedServerKey;

/// The key pairs that the server made for single accounts, each when its account was created.
#[async_trait]
pub trait ServerKeyStore: Send + Sync {
    /// The key pair of an account, if it has one.
    async fn server_key(&self, id: AccountId) -> Result<Option<SealedServerKey>, StoreError>;
}
