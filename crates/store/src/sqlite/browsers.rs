//! Browsers that are remembered, and what ends by itself.

use async_trait::async_trait;
use countersign_authority::ports::{BrowserStore, SignIn, SignInError, SignedIn, StoreError};
use countersign_protocol::{UnixTime, keys::Thumbprint};

use super::SqliteStore;

mod expiry;
mod sign_ins;

#[async_trait]
impl BrowserStore for SqliteStore {
    async fn sign_in(&self, sign_in: SignIn) -> Result<SignedIn, SignInError> {
        self.write(move |connection| sign_ins::sign_in(connection, &sign_in)).await
    }

    async fn expire_credentials(
        &self,
        ended: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Thumbprint>, StoreError> {
        self.write(move |connection| Ok(expiry::expire(connection, ended, limit, now)?)).await
    }
}
