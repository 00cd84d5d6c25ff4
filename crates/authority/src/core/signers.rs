//! Whose key may have signed: the accounts behind names, and what happens when a key is used.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_protocol::{AccountId, Actor, UnixTime, keys::Thumbprint};

use crate::{
    core::{Core, credential_cache::KnownCredential, key_uses::Noted},
    model::{account::AccountName, credential_kind::Act},
    ports::StoreError,
};

/// The time of a key's last use is written when it is older than this.
const USE_RESOLUTION: Duration = Duration::from_hours(1);

impl Core {
    /// The credentials that can have signed for the account `name` what needs no token: `kid` if it is
    /// one of the account's, live or revoked, or else all live ones, those that were used last first.
    /// Keys that are good for another dialect only are not among them, nor are browsers and passkeys.
    ///
    /// `name` is an id, a username or a fingerprint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signers(
        &self,
        name: &str,
        kid: Option<&Thumbprint>,
        now: UnixTime,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let Some(id) = self.account_id_of(name).await? else { return Ok(Vec::new()) };
        if let Some(kid) = kid
            && let Some(known) = self.credentials.get(kid, self.up_to_date_at(now).await?).await?
            && known.account.id == id
        {
            return Ok(if self.may_sign_jwts(&known) { vec![known] } else { Vec::new() });
        }
        let mut live = self.self_signing_keys(id, now).await?;
        live.retain(|known| known.is_live(now));
        Ok(live)
    }

    /// The live keys of an account that may sign JWTs of their own, those that were used or added last
    /// first. The account may be disabled.
    pub(crate) async fn self_signing_keys(
        &self,
        id: AccountId,
        now: UnixTime,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let mut live = self.credentials.of_account(id, self.up_to_date_at(now).await?, now).await?;
        live.retain(|known| self.may_sign_jwts(known));
        Ok(live)
    }

    /// The live credentials of an account that may do `act` and that the policy admits, those that
    /// were used or added last first. The account may be disabled.
    pub(crate) async fn live_keys(
        &self,
        id: AccountId,
        act: Act,
        now: UnixTime,
    ) -> Result<Vec<Arc<KnownCredential>>, StoreError> {
        let mut live = self.credentials.of_account(id, self.up_to_date_at(now).await?, now).await?;
        live.retain(|known| known.may(act) && self.policy.admits(&known.credential.public_key));
        Ok(live)
    }

    /// Notes that a key of an account has signed an accepted request. If the account only claimed
    /// the key, it now has it as a credential, unless another account was faster.
    pub async fn key_used(&self, id: AccountId, thumbprint: &Thumbprint, now: UnixTime) {
        let store = &*self.ports.store;
        let Ok(current) = self.up_to_date_at(now).await else { return };
        let Ok(known) = self.credentials.get(thumbprint, current).await else { return };
        let is_recent = |last: UnixTime| now < last + USE_RESOLUTION;
        let last_used_at = known.as_ref().and_then(|known| known.credential.last_used_at);
        if last_used_at.is_some_and(is_recent) {
            return;
        }
        if let Err(error) = store.note_use(id, thumbprint, now).await {
            // The next use tries again; the request itself was good.
            tracing::warn!(%error, "the use of a key was not noted");
        }
        self.credentials.forget(thumbprint);
        if known.is_none() {
            self.credentials.forget_keys_of(id);
        }
    }

    /// Counts a request that `actor` made from `address`, and whose proof was accepted: for the audit
    /// trail, which tells for each day which key was used how often from which network.
    pub fn note_key_use(&self, actor: &Actor, address: IpAddr) {
        match self.key_uses.note_use(actor, address, self.now()) {
            Noted::Counted => {}
            Noted::TimeToWrite => self.pending_events.wake(),
            Noted::Dropped => self.pending_events.lost(1),
        }
    }

    pub(crate) async fn account_id_of(&self, name: &str) -> Result<Option<AccountId>, StoreError> {
        let Ok(name) = name.parse::<AccountName>() else { return Ok(None) };
        self.credentials.account_id(&name, &*self.ports.store).await
    }

    /// Whether JWTs signed by the key itself are accepted: if its kind may sign any and it is good
    /// enough for everything, or if its account came by sealed registration, which accepts some keys
    /// only for this use.
    fn may_sign_jwts(&self, known: &KnownCredential) -> bool {
        if !known.may(Act::SignByItself) {
            return false;
        }
        let key = &known.credential.public_key;
        let by_seal = || key.meets(&self.policy.sealed_keys()).is_ok();
        self.policy.admits(key) || known.account.fingerprint.is_some() && by_seal()
    }
}
