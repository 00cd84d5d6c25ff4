//! Tokens after they were issued: whether they are good, and how others learn that they are not.

pub mod feed;
pub mod issuance;
pub mod latest_feed;
pub(crate) mod revoked;
pub mod standing;

use std::sync::Arc;

use countersign_protocol::{keys::Thumbprint, tokens::session::SessionSealer};

use self::{
    latest_feed::RevocationFeed,
    revoked::{READ, RevokedTokens},
};
use crate::{core::Core, ports::StoreError};

/// Tokens that were issued.
pub struct Tokens {
    core: Arc<Core>,
    pub(crate) revoked: RevokedTokens,
    pub(crate) feed: RevocationFeed,
    /// Tells sessions from tokens: they end otherwise.
    sessions: Arc<SessionSealer>,
}

impl Tokens {
    /// Loads the tokens that were revoked.
    pub(crate) async fn load(
        core: Arc<Core>,
        sessions: Arc<SessionSealer>,
    ) -> Result<Self, StoreError> {
        let revoked = RevokedTokens::default();
        let ended = core.forgets_up_to();
        revoked.add(core.ports.store.revoked_tokens(ended, READ).await?);
        let feed = RevocationFeed::new(core.ports.clock.monotonic());
        Ok(Self { core, revoked, feed, sessions })
    }

    /// These credentials were revoked in the store: nothing in memory says otherwise from now on.
    pub(crate) fn note_revoked(&self, keys: &[Thumbprint]) {
        for key in keys {
            self.core.credentials.forget(key);
        }
        if !keys.is_empty() {
            self.feed.forget();
        }
    }
}
