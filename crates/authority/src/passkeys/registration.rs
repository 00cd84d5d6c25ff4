//! New passkeys: whether what an authenticator made is good.

use countersign_protocol::{
    AccountId, UnixTime, Unspent,
    challenges::passkeys::{AccountHandle, Ceremony, ChallengeError, Expected},
    keys::{PublicKey, Thumbprint},
    proofs::webauthn::{
        RegistrationError as WebauthnError, RegistrationExpectations, RegistrationResponse,
        ResponseError,
    },
};
use thiserror::Error;

use super::{Passkeys, PasskeysOff, expected};
use crate::model::{
    credential::{Credential, InvalidLabel, Label},
    credential_kind::CredentialKind,
    passkey::{Passkey, SyncedPasskeys},
};

/// A passkey that was made, nothing in it trusted.
#[derive(Clone, Copy, Debug)]
pub struct PresentedPasskey<'a> {
    /// A `RegistrationResponseJSON` (WebAuthn §5.1).
    pub json: &'a str,
    /// A name for it.
    pub label: Option<&'a str>,
}

/// A passkey that verified and is not stored yet.
pub(crate) struct VerifiedNewPasskey {
    public_key: PublicKey,
    pub(crate) passkey: Passkey,
    label: Label,
    /// To be recorded as used with the passkey.
    pub(crate) challenge: Unspent<Ceremony>,
}

impl VerifiedNewPasskey {
    /// Its key as a credential of the account.
    pub(crate) fn credential(
        &self,
        account_id: AccountId,
        added_by: Option<Thumbprint>,
        now: UnixTime,
    ) -> Credential {
        let (key, label) = (self.public_key.clone(), self.label.clone());
        Credential {
            kind: CredentialKind::Passkey,
            added_by,
            ..Credential::new(account_id, key, label, now)
        }
    }
}

impl Passkeys {
    /// Verifies a passkey that a browser whose key is `key` has made (WebAuthn §7.1).
    pub(crate) fn verify_new(
        &self,
        presented: PresentedPasskey<'_>,
        wanted: &Expected,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<VerifiedNewPasskey, NewPasskeyError> {
        let policy = self.policy()?;
        let response = RegistrationResponse::parse(presented.json)?;
        let challenge = response.challenge().clone();
        let spent_with = self.challenges.recognise(challenge.as_bytes(), wanted, key, now)?;
        let user_handle = handle(spent_with.peek()).ok_or(ChallengeError::Unknown)?;
        let expected = RegistrationExpectations {
            ceremony: expected(policy, &challenge),
            algorithms: &Passkey::ALGORITHMS,
            key_policy: &self.core.policy.keys,
        };
        let new = response.verify(&expected)?;
        if policy.synced == SyncedPasskeys::Refuse && new.backup.is_eligible() {
            return Err(NewPasskeyError::Synced);
        }
        let label = match presented.label {
            Some(label) => label.parse()?,
            None => Label::of_passkey(&new.transports),
        };
        let passkey = Passkey {
            id: new.id,
            rp_id: policy.rp_id.clone(),
            user_handle,
            sign_count: new.sign_count,
            backup_eligible: new.backup.is_eligible(),
            backed_up: new.backup.is_backed_up(),
            aaguid: new.aaguid,
            transports: new.transports,
            unvouched_since: None,
        };
        let public_key = new.public_key;
        Ok(VerifiedNewPasskey { public_key, passkey, label, challenge: spent_with })
    }
}

/// The user handle that a new passkey gets.
const fn handle(ceremony: &Ceremony) -> Option<AccountHandle> {
    match ceremony {
        Ceremony::Register(handle) | Ceremony::Add(_, handle) => Some(*handle),
        Ceremony::SignIn | Ceremony::StepUp(..) => None,
    }
}

/// Why a new passkey is refused.
#[derive(Debug, Error)]
pub enum NewPasskeyError {
    /// Its challenge does not count.
    #[error("passkey: {0}")]
    Challenge(#[from] ChallengeError),
    /// Its challenge was answered before.
    #[error("passkey: the challenge was answered before: ask for a new one")]
    ChallengeUsed,
    /// It cannot be read.
    #[error("passkey: {0}")]
    Format(#[from] ResponseError),
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// There are no passkeys here.
    #[error(transparent)]
    Off(#[from] PasskeysOff),
    /// It could be on several devices, which this server does not allow.
    #[error(
        "passkey: it can be copied to other devices (BE), and this server takes only those that stay \
         on one (passkeys.synced)"
    )]
    Synced,
    /// It breaks a rule of WebAuthn §7.1.
    #[error("passkey: {0}")]
    Verification(#[from] WebauthnError),
}
