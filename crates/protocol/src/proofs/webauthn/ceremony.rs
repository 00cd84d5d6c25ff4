//! What registration and authentication check alike.

use thiserror::Error;

use super::{
    authenticator_data::AuthenticatorData,
    client_data::{ClientData, ClientDataError},
    identifiers::Challenge,
    relying_party::{Origin, RpId},
};

/// Whether the authenticator must have recognised its owner, by a PIN or biometrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserVerification {
    /// It must.
    Required,
    /// It need not. The verdict says whether it did.
    Optional,
}

/// What both ceremonies expect.
#[derive(Clone, Copy, Debug)]
pub struct CeremonyExpectations<'a> {
    /// The challenge that was handed out for this occasion.
    pub challenge: &'a Challenge,
    /// The domain that the passkey is for.
    pub rp_id: &'a RpId,
    /// The origins whose pages may ask.
    pub origins: &'a [Origin],
    /// The origins whose pages may show such a page within them. If there are none, it must not be
    /// shown within a page of another origin.
    pub top_origins: &'a [Origin],
    /// Whether the owner must have been recognised.
    pub user_verification: UserVerification,
}

impl CeremonyExpectations<'_> {
    /// WebAuthn §7.1 and §7.2 from the check of `type` to that of the flag UV.
    pub(super) fn check(
        &self,
        ceremony: &'static str,
        client: &ClientData,
        authenticator: &AuthenticatorData,
    ) -> Result<(), CeremonyError> {
        client.check_type(ceremony)?;
        if client.challenge != *self.challenge {
            return Err(CeremonyError::Challenge);
        }
        client.check_page(self.origins, self.top_origins)?;
        if authenticator.rp_id_hash != self.rp_id.hash() {
            return Err(CeremonyError::RpId);
        }
        if !authenticator.user_present {
            return Err(CeremonyError::UserNotPresent);
        }
        if self.user_verification == UserVerification::Required && !authenticator.user_verified {
            return Err(CeremonyError::UserNotVerified);
        }
        Ok(())
    }
}

/// Why a ceremony of either kind is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CeremonyError {
    /// It answers another challenge.
    #[error("the challenge is not the one that was handed out for this")]
    Challenge,
    /// What the browser says about the page.
    #[error(transparent)]
    ClientData(#[from] ClientDataError),
    /// The passkey is for another domain.
    #[error("the passkey is for another RP ID than this server's")]
    RpId,
    /// Nobody touched the authenticator.
    #[error("the authenticator does not say that a person was present (UP)")]
    UserNotPresent,
    /// The authenticator has not recognised its owner.
    #[error(
        "the authenticator does not say that it has recognised its owner (UV), by PIN or biometrics"
    )]
    UserNotVerified,
}
