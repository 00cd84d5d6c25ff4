//! The issuer identifier of the last start.

use async_trait::async_trait;

use super::StoreError;

/// The issuer identifier of the last start.
#[async_trait]
pub trait IssuerStore: Send + Sync {
    /// The one that was kept last. `None` in a database that was made before issuers were kept, and in
    /// a new one.
    async fn issuer(&self) -> Result<Option<String>, StoreError>;

    /// Keeps it.
    async fn keep_issuer(&self, origin: &str) -> Result<(), StoreError>;
}
