//! Credentials kept in memory, so that a request need not ask the store.

use std::{collections::HashSet, sync::Arc};

use countersign_protocol::{
    AccountId, UnixTime,
    keys::{PublicKey, Thumbprint},
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::{
    core::news::UpToDate,
    model::{
        account::{Account, AccountName, AccountStatus},
        credential::{BrowserLives, Credential},
        credential_kind::{Act, CredentialKind},
        user_agent::UserAgent,
    },
    ports::{AccountStore, ChangedKey, Renewal, StoreError},
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
    /// Whether the credential may act at `now`: it has not expired, and neither it nor its account has
    /// been shut out.
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.credential.is_live(now) && self.account.status == AccountStatus::Active
    }

    /// What a login by the credential at `now` changes about it, if it is the key of a browser.
    pub fn renewal(
        &self,
        now: UnixTime,
        user_agent: Option<&[u8]>,
        lives: BrowserLives,
    ) -> Option<Renewal> {
        let Credential { kind, expiry, .. } = &self.credential;
        (*kind == CredentialKind::Browser).then(|| Renewal {
            expiry: expiry.after_login(now, lives),
            user_agent: user_agent.and_then(UserAgent::of),
        })
    }

    /// Whether a signature of the credential may do `act`.
    pub const fn may(&self, act: Act) -> bool {
        self.credential.kind.may(act)
    }
}

/// Whose key a thumbprint belongs to.
#[derive(Debug)]
pub(crate) enum KeyHolder {
    /// Nobody: the key is no credential, and never was one.
    Nobody,
    /// A credential, live or revoked.
    Credential(Arc<KnownCredential>),
    /// A credential that was revoked so long ago that no more than its thumbprint is kept.
    Gone,
}

/// A bounded cache of credentials.
pub(crate) struct CredentialCache {
    known: Cache<Thumbprint, Arc<KnownCredential>>,
    /// Ids by folded username. An account keeps both for as long as there is one.
    names: Cache<String, AccountId>,
    /// The keys that were live when they were read.
    keys: Cache<AccountId, Arc<[Thumbprint]>>,
    /// Thumbprints that are no credential of anybody, and never were.
    strangers: Cache<Thumbprint, ()>,
    /// Counts changes. A value that was read from the store before a change is not cached after it.
    changes: Mutex<u64>,
}

impl CredentialCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            known: Cache::new(capacity),
            names: Cache::new(capacity),
            keys: Cache::new(capacity),
            strangers: Cache::new(capacity),
            changes: Mutex::new(0),
        }
    }

    /// The credential of that thumbprint, from memory or from the store: proven, live or revoked.
    pub(crate) async fn get(
        &self,
        thumbprint: &Thumbprint,
        current: UpToDate<'_>,
    ) -> Result<Option<Arc<KnownCredential>>, StoreError> {
        if let Some(known) = self.known.get(thumbprint) {
            return Ok(Some(known));
        }
        let changes_before = *self.changes.lock();
        let Some((credential, account)) = current.store.credential(thumbprint).await? else {
            return Ok(None);
        };
        let known = Arc::new(KnownCredential { credential, account });
        let changes = self.changes.lock();
        if *changes == changes_before {
            self.known.insert(*thumbprint, Arc::clone(&known));
        }
        Ok(Some(known))
    }

    /// The credential of that thumbprint as the store has it now.
    pub(crate) async fn read_anew(
        &self,
        thumbprint: &Thumbprint,
        current: UpToDate<'_>,
    ) -> Result<Option<Arc<KnownCredential>>, StoreError> {
        self.forget(thumbprint);
        self.get(thumbprint, current).await
    }

    /// Whether the key of that thumbprint is, or was, a credential that may not act at `now`. A key that
    /// never was one may.
    pub(crate) async fn is_shut_out(
        &self,
        thumbprint: &Thumbprint,
        current: UpToDate<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        Ok(match self.holder(thumbprint, current).await? {
            KeyHolder::Nobody => false,
            KeyHolder::Credential(known) => !known.credential.is_live(now),
            KeyHolder::Gone => true,
        })
    }

    /// Whose key it is, from memory or from the store. Keys of nobody take one question to the store.
    pub(crate) async fn holder(
        &self,
        thumbprint: &Thumbprint,
        current: UpToDate<'_>,
    ) -> Result<KeyHolder, StoreError> {
        if let Some(known) = self.known.get(thumbprint) {
            return Ok(KeyHolder::Credential(known));
        }
        if self.strangers.get(thumbprint).is_some() {
            return Ok(KeyHolder::Nobody);
        }
        let changes_before = *self.changes.lock();
        if current.store.is_taken(thumbprint).await? {
            let known = self.get(thumbprint, current).await?;
            return Ok(known.map_or(KeyHolder::Gone, KeyHolder::Credential));
        }
        let changes = self.changes.lock();
        if *changes == changes_before {
            self.strangers.insert(*thumbprint, ());
        }
        Ok(KeyHolder::Nobody)
    }

    /// The key of that thumbprint, if the credential is in memory: parsed, and no more than that.
    pub(crate) fn known_key(&self, thumbprint: &Thumbprint) -> Option<PublicKey> {
        self.known.get(thumbprint).map(|known| known.credential.public_key.clone())
    }

    /// The id of the account `name`, if there is one.
    pub(crate) async fn account_id(
        &self,
        name: &AccountName,
        store: &dyn AccountStore,
    ) -> Result<Option<AccountId>, StoreError> {
        let folded = match name {
            AccountName::Id(id) => return Ok(Some(*id)),
            // Not kept: the account may lose it, with the key.
            AccountName::Fingerprint(_) => {
                return Ok(store.account(name).await?.map(|account| account.id));
            }
            AccountName::Username(username) => username.folded(),
        };
        if let Some(id) = self.names.get(&folded) {
            return Ok(Some(id));
        }
        let changes_before = *self.changes.lock();
        let account = store.account(name).await?;
        let changes = self.changes.lock();
        Ok(account.map(|account| {
            if *changes == changes_before {
                self.names.insert(folded, account.id);
            }
            account.id
        }))
    }

    /// The credentials of the account `id` that are neither revoked nor expired at `now`, those that
    /// were used or added last first. A key that it only claims is among them, and is read from the store each time: another
    /// account may prove it at any moment.
    pub(crate) async fn of_account(
        &self,
        id: AccountId,
        current: UpToDate<'_>,
        now: UnixTime,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let mut live = match self.keys.get(&id) {
            Some(keys) => self.get_all(&keys, current).await?,
            None => self.read_all(id, current).await?,
        };
        live.retain(|known| known.credential.is_live(now) && known.account.id == id);
        live.sort_by_key(|known| std::cmp::Reverse(known.credential.last_seen_at()));
        Ok(live)
    }

    async fn get_all(
        &self,
        keys: &[Thumbprint],
        current: UpToDate<'_>,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            all.extend(self.get(key, current).await?);
        }
        Ok(all)
    }

    async fn read_all(
        &self,
        id: AccountId,
        current: UpToDate<'_>,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let changes_before = *self.changes.lock();
        let Some((account, credentials)) = current.store.live_credentials(id).await? else {
            return Ok(Vec::new());
        };
        let all: Vec<_> = credentials
            .into_iter()
            .map(|credential| Arc::new(KnownCredential { credential, account: account.clone() }))
            .collect();
        let all_proven = all.iter().all(|known| known.credential.is_proven);
        let changes = self.changes.lock();
        if *changes == changes_before && all_proven && !all.is_empty() {
            for known in &all {
                self.known.insert(known.credential.thumbprint(), Arc::clone(known));
            }
            let keys = all.iter().map(|known| known.credential.thumbprint()).collect();
            self.keys.insert(id, keys);
        }
        Ok(all)
    }

    /// Forgets which keys an account has: it got another.
    pub(crate) fn forget_keys_of(&self, id: AccountId) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.keys.remove(&id);
    }

    /// Forgets one credential, which is new or has changed.
    pub(crate) fn forget(&self, thumbprint: &Thumbprint) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.known.remove(thumbprint);
        self.strangers.remove(thumbprint);
    }

    /// Forgets what others have changed, and nothing else.
    pub(crate) fn forget_changed(&self, keys: &[ChangedKey], accounts: Vec<AccountId>) {
        if keys.is_empty() && accounts.is_empty() {
            return;
        }
        let mut changes = self.changes.lock();
        *changes += 1;
        for ChangedKey { thumbprint, account_id } in keys {
            self.known.remove(thumbprint);
            self.strangers.remove(thumbprint);
            self.keys.remove(account_id);
        }
        if accounts.is_empty() {
            return;
        }
        // Nothing says which keys of an account are here. It is rare, and one pass does for all accounts.
        let accounts: HashSet<_> = accounts.into_iter().collect();
        self.keys.retain(|id, _| !accounts.contains(id));
        self.known.retain(|_, known| !accounts.contains(&known.account.id));
        // The name of an account that is gone may belong to another one.
        self.names.retain(|_, id| !accounts.contains(id));
    }

    /// Forgets all: anything may have changed.
    pub(crate) fn forget_all(&self) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.known.clear();
        self.names.clear();
        self.keys.clear();
        self.strangers.clear();
    }
}

#[cfg(test)]
mod tests;
