//! Authentication with a passkey (WebAuthn §7.2).

use thiserror::Error;

use super::{
    authenticator_data::{AuthenticatorData, Backup},
    ceremony::{CeremonyError, CeremonyExpectations},
    client_data::{self, ClientData},
    identifiers::{Challenge, CredentialId, UserHandle},
    response::{CredentialJson, ResponseError},
};
use crate::{Unverified, keys::PublicKey};

/// An `AuthenticationResponseJSON`, read. Nothing in it is trusted until it is verified.
#[derive(Debug)]
pub struct AuthenticationResponse {
    id: CredentialId,
    user_handle: Option<UserHandle>,
    client: ClientData,
    data: AuthenticatorData,
    /// The bytes of `data`, which are signed.
    data_bytes: Vec<u8>,
    signature: Vec<u8>,
}

/// What is stored of the passkey that the response names.
#[derive(Clone, Copy, Debug)]
pub struct StoredPasskey<'a> {
    /// Its id.
    pub id: &'a CredentialId,
    /// The user handle of the account that it belongs to.
    pub user_handle: &'a UserHandle,
    /// Its key.
    pub public_key: &'a PublicKey,
    /// The greatest signature counter that it has shown.
    pub sign_count: u32,
    /// Whether it may be copied.
    pub backup_eligible: bool,
}

/// Which passkeys may answer.
#[derive(Clone, Copy, Debug)]
pub enum AllowedPasskeys<'a> {
    /// Any. The account is not known before, so the authenticator must name it by its user handle.
    Any,
    /// Only these, because the account is known. The authenticator need not name it.
    Only(&'a [CredentialId]),
}

/// What an authentication must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationExpectations<'a> {
    /// What both ceremonies expect.
    pub ceremony: CeremonyExpectations<'a>,
    /// Which passkeys may answer.
    pub allowed: AllowedPasskeys<'a>,
}

/// A verified authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyAssertion {
    /// The signature counter. If it has advanced, the new value is to be stored.
    pub sign_count: SignCounter,
    /// Whether the passkey can be copied, and is; to be stored.
    pub backup: Backup,
    /// Whether the authenticator has recognised its owner.
    pub user_verified: bool,
}

/// What the signature counter says about copies of the passkey (WebAuthn §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignCounter {
    /// The authenticator does not count: it has shown nothing but zero.
    NotCounting,
    /// It has counted on, to this.
    Advanced(u32),
    /// It has not: somebody may have a copy of the passkey.
    Regressed {
        /// The greatest counter before.
        stored: u32,
        /// The counter now, which is not greater.
        received: u32,
    },
}

impl SignCounter {
    const fn compare(stored: u32, received: u32) -> Self {
        match (stored, received) {
            (0, 0) => Self::NotCounting,
            _ if received > stored => Self::Advanced(received),
            _ => Self::Regressed { stored, received },
        }
    }
}

impl AuthenticationResponse {
    /// Reads what `PublicKeyCredential.toJSON` makes of a passkey's answer.
    ///
    /// # Errors
    /// [`ResponseError`] says what is missing or malformed.
    pub fn parse(json: &str) -> Result<Unverified<Self>, ResponseError> {
        let credential = CredentialJson::parse(json)?;
        let client = ClientData::parse(&credential.bytes("clientDataJSON")?)?;
        let data_bytes = credential.bytes("authenticatorData")?;
        let data = AuthenticatorData::parse(&data_bytes)?;
        let signature = credential.bytes("signature")?;
        let user_handle = credential.user_handle()?;
        let id = credential.id;
        Ok(Unverified::new(Self { id, user_handle, client, data, data_bytes, signature }))
    }
}

impl Unverified<AuthenticationResponse> {
    /// The passkey that it says it is by.
    pub const fn credential_id(&self) -> &CredentialId {
        &self.content().id
    }

    /// The account that it says it is for.
    pub const fn user_handle(&self) -> Option<&UserHandle> {
        self.content().user_handle.as_ref()
    }

    /// The challenge that it answers.
    pub const fn challenge(&self) -> &Challenge {
        &self.content().client.challenge
    }

    /// Checks all that §7.2 demands, with what is stored of the passkey that it names.
    ///
    /// # Errors
    /// The first rule that does not hold. A counter that has not advanced is no error: the caller
    /// decides.
    pub fn verify(
        self,
        stored: &StoredPasskey<'_>,
        expected: &AuthenticationExpectations<'_>,
    ) -> Result<PasskeyAssertion, AuthenticationError> {
        let response = self.into_verified();
        response.check_owner(stored, expected.allowed)?;
        expected.ceremony.check(client_data::GET, &response.client, &response.data)?;
        if response.data.attested.is_some() {
            return Err(AuthenticationError::NewPasskey);
        }
        if response.data.backup.is_eligible() != stored.backup_eligible {
            return Err(AuthenticationError::BackupEligibility);
        }
        let signed = [&response.data_bytes[..], &response.client.hash].concat();
        if stored.public_key.verify_webauthn(&signed, &response.signature).is_err() {
            return Err(AuthenticationError::Signature);
        }
        Ok(PasskeyAssertion {
            sign_count: SignCounter::compare(stored.sign_count, response.data.sign_count),
            backup: response.data.backup,
            user_verified: response.data.user_verified,
        })
    }
}

impl AuthenticationResponse {
    /// WebAuthn §7.2, steps 5 and 6.
    fn check_owner(
        &self,
        stored: &StoredPasskey<'_>,
        allowed: AllowedPasskeys<'_>,
    ) -> Result<(), AuthenticationError> {
        let is_allowed = match allowed {
            AllowedPasskeys::Any => true,
            AllowedPasskeys::Only(ids) => ids.contains(&self.id),
        };
        if !is_allowed {
            return Err(AuthenticationError::NotAllowed);
        }
        if self.id != *stored.id {
            return Err(AuthenticationError::OtherPasskey);
        }
        match (&self.user_handle, allowed) {
            (Some(handle), _) if handle == stored.user_handle => Ok(()),
            (Some(_), _) => Err(AuthenticationError::OtherUser),
            (None, AllowedPasskeys::Only(_)) => Ok(()),
            (None, AllowedPasskeys::Any) => Err(AuthenticationError::NoUserHandle),
        }
    }
}

/// Why an authentication is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthenticationError {
    /// BE is not what it was at the registration.
    #[error(
        "the authenticator says otherwise than at the registration whether the passkey may be copied (BE)"
    )]
    BackupEligibility,
    /// Challenge, page, RP ID or owner.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// It tells of a new passkey, as only a registration does.
    #[error(
        "the authenticator data has a new passkey (the flag AT is set), which only a registration has"
    )]
    NewPasskey,
    /// The account is not known, and the authenticator does not name it.
    #[error("the authenticator names no account (userHandle), and no account was named before")]
    NoUserHandle,
    /// The passkey is not among those that may answer.
    #[error("the passkey is not among those that were asked for")]
    NotAllowed,
    /// The stored passkey has another id.
    #[error("the response is by another passkey")]
    OtherPasskey,
    /// The passkey belongs to another account than the authenticator says.
    #[error("the passkey does not belong to the account that the authenticator names (userHandle)")]
    OtherUser,
    /// The signature is not by the passkey.
    #[error("the signature is wrong")]
    Signature,
}
