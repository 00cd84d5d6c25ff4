//! Passkeys: what browsers need to make and use them, and whether their answers are good.
//!
//! A browser has a key of its own, and gets a challenge that is bound to that key. The passkey signs the
//! challenge, and the browser presents the answer with a proof by its key. Nothing is stored in
//! between: the challenge itself says what it was made for, and counts as used with the change that it
//! allows.

pub mod answer;
pub mod options;
pub mod registration;

use std::{sync::Arc, time::Duration};

use countersign_protocol::{
    challenges::passkeys::PasskeyChallenges,
    proofs::webauthn::{CeremonyExpectations, Challenge, Origin, UserVerification},
};
use thiserror::Error;

use crate::{core::Core, model::passkey::PasskeyPolicy, ports::StoreError};

/// How long a browser may take to answer a challenge.
const LIFETIME: Duration = Duration::from_mins(10);

/// What passkeys have to do with the accounts and logins of one server.
pub struct Passkeys {
    core: Arc<Core>,
    challenges: PasskeyChallenges,
}

impl Passkeys {
    /// Over what the wings share. The passkeys that there are must be for the relying party of the
    /// policy.
    pub(crate) async fn open(core: Arc<Core>) -> Result<Self, OpenPasskeysError> {
        if let Some(policy) = &core.policy.passkeys
            && let Some((recorded, count)) =
                core.ports.store.passkeys_of_others(Some(&policy.rp_id)).await?
        {
            let configured = policy.rp_id.to_string();
            return Err(OpenPasskeysError::OtherRpId { recorded, count, configured });
        }
        // The challenges that were answered are remembered across restarts, so challenges of before
        // a start are good.
        let key = core.vault.key("passkey challenges");
        let challenges = PasskeyChallenges::new(key, LIFETIME, core.policy.skew);
        Ok(Self { core, challenges })
    }

    /// Which passkeys are taken.
    ///
    /// # Errors
    /// When none are.
    pub fn policy(&self) -> Result<&PasskeyPolicy, PasskeysOff> {
        self.core.policy.passkeys.as_ref().ok_or(PasskeysOff)
    }

    /// The origins whose pages may use the passkeys of this server; `None` when there are none.
    pub fn origins(&self) -> Option<&[Origin]> {
        self.core.policy.passkeys.as_ref().map(|policy| &*policy.origins)
    }
}

/// What every answer to `challenge` must say.
const fn expected<'a>(
    policy: &'a PasskeyPolicy,
    challenge: &'a Challenge,
) -> CeremonyExpectations<'a> {
    CeremonyExpectations {
        challenge,
        rp_id: &policy.rp_id,
        origins: policy.origins.as_slice(),
        top_origins: &[],
        user_verification: UserVerification::Required,
    }
}

/// Why the passkeys that there are cannot be used.
#[derive(Debug, Error)]
pub enum OpenPasskeysError {
    /// They were made for another relying party.
    #[error(
        "the passkeys of this database ({count}) were made for the RP ID {recorded:?}, and this server's RP ID \
         is {configured:?}, to which no browser would show them. Where {recorded:?} is \
         the host of the issuer or a domain above it, set passkeys.rp_id to it; to give those passkeys up, start once \
         with passkeys.enabled = false, revoke them, and let their owners make new ones"
    )]
    OtherRpId {
        /// The RP ID that they were made for.
        recorded: String,
        /// How many of them are live.
        count: u64,
        /// The RP ID of the server.
        configured: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The server takes no passkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "there are no passkeys at this server: they are switched off (passkeys.enabled), or browsers make \
     none for its issuer, which is an IP address, or plain http on another host than localhost"
)]
pub struct PasskeysOff;
