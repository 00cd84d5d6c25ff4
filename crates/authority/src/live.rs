//! Credentials kept in memory, so that a request need not ask the store.

use std::sync::Arc;

use countersign_protocol::keys::Thumbprint;
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::{
    account::{Account, AccountStatus},
    credential::Credential,
    ports::{CredentialStore, StoreError},
};

/// A credential and the account that it belongs to, as the store has them.
#[derive(Debug)]
pub struct KnownCredential {
    /// The credential, live or revoked.
    pub credential: Credential,
    /// Its account.
    pub account: Account,
}

impl KnownCredential {
    /// Whether the credential may act: neither it nor its account has been shut out.
    pub fn is_live(&self) -> bool {
        self.credential.revoked_at.is_none() && self.account.status == AccountStatus::Active
    }
}

/// A bounded cache of credentials.
pub(crate) struct LiveCredentials {
    known: Cache<Thumbprint, Arc<KnownCredential>>,
    /// Counts the changes. What was read from the store before a change is not kept after it.
    changes: Mutex<u64>,
}

impl LiveCredentials {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { known: Cache::new(capacity), changes: Mutex::new(0) }
    }

    /// The credential of that thumbprint, from memory or from the store.
    pub(crate) async fn get(
        &self,
        thumbprint: &Thumbprint,
        store: &dyn CredentialStore,
    ) -> Result<Option<Arc<KnownCredential>>, StoreError> {
        if let Some(known) = self.known.get(thumbprint) {
            return Ok(Some(known));
        }
        let changes_before = *self.changes.lock();
        let Some((credential, account)) = store.credential(thumbprint).await? else {
            return Ok(None);
        };
        let known = Arc::new(KnownCredential { credential, account });
        let changes = self.changes.lock();
        if *changes == changes_before {
            self.known.insert(*thumbprint, Arc::clone(&known));
        }
        Ok(Some(known))
    }

    /// Forgets one credential, which has changed.
    pub(crate) fn forget(&self, thumbprint: &Thumbprint) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.known.remove(thumbprint);
    }

    /// Forgets all: anything may have changed.
    pub(crate) fn forget_all(&self) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.known.clear();
    }
}

#[cfg(test)]
mod tests;
