//! The durable store as a whole.

use async_trait::async_trait;

use super::StoreError;

/// The durable store as a whole.
#[async_trait]
pub trait StoreWatch: Send + Sync {
    /// Whether another process changed the store since this was last asked.
    async fn changed_elsewhere(&self) -> Result<bool, StoreError>;

    /// Reads and writes something, to see that both work.
    async fn check(&self) -> Result<(), StoreError>;
}
