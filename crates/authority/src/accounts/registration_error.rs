//! Why a registration is refused, whichever it is.

use countersign_protocol::keys::KeyError;
use thiserror::Error;

use crate::{
    core::dpop::ProofError,
    model::{account::InvalidUsername, credential::InvalidLabel, limits::NotAdmitted},
    passkeys::{options::OptionsError, registration::NewPasskeyError},
    ports::{CreateAccountError, StoreError},
};

/// Why a registration is refused.
#[derive(Debug, Error)]
pub enum RegistrationError {
    /// Nobody may register.
    #[error("registration is closed on this server")]
    Closed,
    /// Only those with a code may register.
    #[error("this server registers by invitation: an enrolment_code is needed")]
    CodeNeeded,
    /// The code is malformed, unknown, used, expired, or for another username.
    #[error("the enrolment code does not work")]
    CodeUnusable,
    /// The key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key belongs to an account already.
    #[error("the key is registered already")]
    KeyTaken,
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The name is given by invitation alone.
    #[error(
        "the username is reserved (accounts.reserved_names, accounts.email_names): an administrator \
         gives it by an invitation for that very name"
    )]
    NameReserved,
    /// The passkey is refused.
    #[error(transparent)]
    Passkey(#[from] NewPasskeyError),
    /// The proof of possession is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many registrations from that address.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The username is not one.
    #[error(transparent)]
    Username(#[from] InvalidUsername),
    /// The username is taken.
    #[error("the username is taken")]
    UsernameTaken,
}

/// Why a browser does not get what it needs for the passkey of a new account.
#[derive(Debug, Error)]
pub enum RegistrationOptionsError {
    /// The registration would be refused.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// There are no options.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

impl RegistrationError {
    /// Whether the refusal belongs in the audit trail: somebody without permission tried to
    /// register.
    pub(crate) const fn is_of_consequence(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::CodeNeeded
                | Self::CodeUnusable
                | Self::Proof(ProofError::Replayed)
        )
    }
}

impl From<CreateAccountError> for RegistrationError {
    fn from(error: CreateAccountError) -> Self {
        match error {
            CreateAccountError::ChallengeUsed => Self::Passkey(NewPasskeyError::ChallengeUsed),
            CreateAccountError::InvitationUnusable => Self::CodeUnusable,
            CreateAccountError::KeyTaken => Self::KeyTaken,
            CreateAccountError::Store(error) => Self::Store(error),
            CreateAccountError::UsernameTaken => Self::UsernameTaken,
        }
    }
}
