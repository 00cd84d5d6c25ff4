//! What a browser needs before it makes or uses a passkey: above all, a challenge.
//!
//! Nothing is stored, so whoever asks for a million challenges has filled nothing.

use std::time::Duration;

use countersign_protocol::{
    AccountId, Principal,
    challenges::{
        passkeys::{AccountHandle, Ceremony},
        request_digest::RequestDigest,
    },
    keys::{CoseAlgorithm, Thumbprint},
    proofs::webauthn::{CredentialId, RpId, Transport},
};
use thiserror::Error;

use super::{Passkeys, PasskeysOff};
use crate::{
    model::{
        account::{AccountName, Username},
        passkey::Passkey,
    },
    ports::StoreError,
};

/// How long a browser waits for its user.
const TIMEOUT: Duration = Duration::from_mins(5);

/// A passkey that a browser may know.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Its id.
    pub id: CredentialId,
    /// The ways to reach its authenticator.
    pub transports: Vec<Transport>,
}

/// What a browser needs to use a passkey (WebAuthn §5.5).
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// What the passkey is to sign.
    pub challenge: Vec<u8>,
    /// The relying party.
    pub rp_id: RpId,
    /// The passkeys that will do. If there are none, any will, and the user chooses.
    pub allowed: Vec<Descriptor>,
    /// How long the browser should wait for its user.
    pub timeout: Duration,
}

/// What a browser needs to make a passkey (WebAuthn §5.4).
#[derive(Clone, Debug)]
pub struct CreationOptions {
    /// What the passkey is made with.
    pub challenge: Vec<u8>,
    /// The relying party.
    pub rp_id: RpId,
    /// The user handle.
    pub user_handle: AccountHandle,
    /// The name of the account.
    pub username: Username,
    /// The kinds of key that will do, the preferred one first.
    pub algorithms: [CoseAlgorithm; 3],
    /// The passkeys that the account has: their authenticators need not make another.
    pub excluded: Vec<Descriptor>,
    /// How long the browser should wait for its user.
    pub timeout: Duration,
}

impl Passkeys {
    /// For signing in, with whichever passkey the user chooses. Nobody learns who has an account.
    ///
    /// The challenge is made for `key`, the key of the browser. That it is the key of who asks is not
    /// proven here: the answer counts with a proof by this key alone, so a challenge for somebody else's
    /// key is of no use (as with `dpop_jkt`, RFC 9449 §10).
    ///
    /// # Errors
    /// When there are no passkeys here.
    pub fn to_sign_in(&self, key: Thumbprint) -> Result<RequestOptions, OptionsError> {
        self.request_options(&Ceremony::SignIn, key, Vec::new())
    }

    /// For the first passkey of an account that is to be called `username`, by the browser whose key
    /// is `key`.
    pub(crate) fn to_register(
        &self,
        key: Thumbprint,
        username: Username,
    ) -> Result<CreationOptions, OptionsError> {
        let handle = AccountHandle::generate(&*self.core.ports.random);
        self.creation_options(&Ceremony::Register(handle), key, (username, handle), Vec::new())
    }

    /// For another passkey of the principal's account.
    ///
    /// # Errors
    /// When there are no passkeys here, the token is bound to no key, or the store fails.
    pub async fn to_add(&self, principal: &Principal) -> Result<CreationOptions, OptionsError> {
        self.policy()?;
        let key = bound_key(principal)?;
        let account = self.core.ports.store.account(&AccountName::Id(principal.account_id)).await?;
        let username = account.ok_or(OptionsError::NoAccount)?.username;
        let live = self.live_passkeys(principal.account_id).await?;
        let handle = live.last().map(|passkey| passkey.user_handle);
        let handle = handle.unwrap_or_else(|| AccountHandle::generate(&*self.core.ports.random));
        let ceremony = Ceremony::Add(principal.account_id, handle);
        self.creation_options(&ceremony, key, (username, handle), descriptors(live))
    }

    /// For a request that changes the principal's account: a passkey of the account is to allow that
    /// very request.
    ///
    /// # Errors
    /// When there are no passkeys here, the account has none that is taken here, the token is bound to
    /// no key, or the store fails.
    pub async fn to_step_up(
        &self,
        principal: &Principal,
        request: RequestDigest,
    ) -> Result<RequestOptions, OptionsError> {
        let policy = self.policy()?;
        let key = bound_key(principal)?;
        let mut live = self.live_passkeys(principal.account_id).await?;
        if live.is_empty() {
            return Err(OptionsError::NoPasskey);
        }
        // The browser offers none whose answer would be refused.
        live.retain(|passkey| policy.takes(passkey));
        if live.is_empty() {
            return Err(OptionsError::OnlySynced);
        }
        let ceremony = Ceremony::StepUp(principal.account_id, request);
        self.request_options(&ceremony, key, descriptors(live))
    }

    /// The live passkeys of the account, oldest first.
    pub(crate) async fn live_passkeys(&self, id: AccountId) -> Result<Vec<Passkey>, StoreError> {
        let all = self.core.ports.store.passkeys_of(id).await?;
        Ok(all.into_iter().filter(|own| own.is_live).map(|own| own.passkey).collect())
    }

    /// Whether the account has a live passkey that can answer here.
    pub(crate) async fn has_any(&self, id: AccountId) -> Result<bool, StoreError> {
        Ok(self.policy().is_ok() && !self.live_passkeys(id).await?.is_empty())
    }

    fn request_options(
        &self,
        ceremony: &Ceremony,
        key: Thumbprint,
        allowed: Vec<Descriptor>,
    ) -> Result<RequestOptions, OptionsError> {
        let rp_id = self.policy()?.rp_id.clone();
        let challenge = self.challenge(ceremony, key);
        Ok(RequestOptions { challenge, rp_id, allowed, timeout: TIMEOUT })
    }

    fn creation_options(
        &self,
        ceremony: &Ceremony,
        key: Thumbprint,
        (username, user_handle): (Username, AccountHandle),
        excluded: Vec<Descriptor>,
    ) -> Result<CreationOptions, OptionsError> {
        let rp_id = self.policy()?.rp_id.clone();
        let challenge = self.challenge(ceremony, key);
        let (algorithms, timeout) = (Passkey::ALGORITHMS, TIMEOUT);
        Ok(CreationOptions {
            challenge,
            rp_id,
            user_handle,
            username,
            algorithms,
            excluded,
            timeout,
        })
    }

    fn challenge(&self, ceremony: &Ceremony, key: Thumbprint) -> Vec<u8> {
        self.challenges.issue(ceremony, key, self.core.now(), &*self.core.ports.random)
    }
}

/// The key that the token is bound to.
fn bound_key(principal: &Principal) -> Result<Thumbprint, OptionsError> {
    principal.key.map(|key| key.thumbprint).ok_or(OptionsError::Unbound)
}

fn descriptors(passkeys: Vec<Passkey>) -> Vec<Descriptor> {
    let describe = |Passkey { id, transports, .. }| Descriptor { id, transports };
    passkeys.into_iter().map(describe).collect()
}

/// Why a browser does not get what it needs for a passkey.
#[derive(Debug, Error)]
pub enum OptionsError {
    /// The account is gone.
    #[error("no such account")]
    NoAccount,
    /// The account has no passkey.
    #[error(
        "the account has no passkey: log in anew with the key of this browser, and send the request \
         within 5 minutes"
    )]
    NoPasskey,
    /// Every passkey of the account could be on several devices, which this server does not allow any
    /// more. The account is not like one without passkeys, for which less would do.
    #[error(
        "every passkey of the account can be copied to other devices, and this server takes only those \
         that stay on one (passkeys.synced): change keys with a key in a file, or get a recovery code from \
         the administrator"
    )]
    OnlySynced,
    /// There are no passkeys here.
    #[error(transparent)]
    Off(#[from] PasskeysOff),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token is bound to no key.
    #[error("the token is bound to no key, so no challenge can be")]
    Unbound,
}
