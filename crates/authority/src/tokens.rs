//! Tokens after they were issued: whether they are good, and how others learn that they are not.

pub mod feed;
pub mod issuance;
pub mod standing;

use std::sync::Arc;

use countersign_protocol::keys::Thumbprint;

use crate::core::{Core, session_sealers::SessionSealers};

/// Tokens that were issued.
pub struct Tokens {
    core: Arc<Core>,
    /// Tells sessions from tokens: they end otherwise.
    sessions: Arc<SessionSealers>,
}

impl Tokens {
    pub(crate) const fn new(core: Arc<Core>, sessions: Arc<SessionSealers>) -> Self {
        Self { core, sessions }
    }

    /// These credentials were revoked in the store: nothing in memory says otherwise from now on.
    pub(crate) fn note_revoked(&self, keys: &[Thumbprint]) {
        for key in keys {
            self.core.credentials.forget(key);
        }
        if !keys.is_empty() {
            self.core.feed.forget();
        }
    }
}
