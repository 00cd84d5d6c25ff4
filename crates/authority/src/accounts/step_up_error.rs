//! Why a request may not change its account.

use std::time::Duration;

use countersign_protocol::{tokens::key_approval::KeyApprovalError, wire};
use thiserror::Error;

use crate::{
    model::{audit::Reason, credential_kind::NotForThisKind, limits::NotAdmitted},
    passkeys::answer::AnswerError,
    ports::StoreError,
};

/// How old a login may be that stands in for a passkey.
pub const FRESH: Duration = Duration::from_mins(5);

/// Why a request may not change the credentials of its account.
#[derive(Debug, Error)]
pub enum StepUpError {
    /// The approval does not hold.
    #[error("approval: {0}")]
    Approval(#[from] KeyApprovalError),
    /// The approval is by no live key of the account.
    #[error("approval: kid is not the thumbprint of a live key of the account")]
    Approver,
    /// The proof does not cover the body.
    #[error(
        "the proof does not cover the body: put its SHA-256, in lower-case hexadecimal, into the claim tha"
    )]
    BodyUnsigned,
    /// The approval is by a credential of a kind that may approve of none.
    #[error("approval: {0}")]
    Kind(#[from] NotForThisKind),
    /// The key of a browser has logged in too long ago. The account has no passkey, or it is one in doubt that
    /// is to be removed.
    #[error(
        "no passkey allows it, and this browser has logged in more than {} minutes ago: log in anew with \
         its key",
        FRESH.as_secs() / 60
    )]
    FreshLogin,
    /// The key is one that a page keeps for the mutual login, and the account has no passkey.
    #[error(
        "the key that a page keeps for the mutual login changes nothing but its own end, and the account has \
         no passkey that could allow it"
    )]
    MutualKey,
    /// The token was given fewer scopes than the account had.
    #[error(
        "the token was narrowed to some scopes of the account: log in without the parameter scope"
    )]
    NarrowedToken,
    /// The self-signed JWT is for any server.
    #[error("the JWT works at any server: sign one with aud, this server alone, and tha")]
    NoAudience,
    /// The key that signed is no live credential of the account any more.
    #[error("the key that signed is no live key of the account")]
    NotLive,
    /// The proof is for another body.
    #[error("the claim tha of the proof does not match the body")]
    OtherBody,
    /// The answer of the passkey does not count.
    #[error("Passkey-Assertion: {0}")]
    Passkey(AnswerError),
    /// A passkey must allow it.
    #[error(
        "a browser changes nothing by itself: a passkey of the account must allow this very request, by \
         its answer to a challenge of {} in the header Passkey-Assertion",
        wire::path::PASSKEY_OPTIONS_STEP_UP
    )]
    PasskeyNeeded,
    /// A password vouches for the key that signed, while the account has keys of its own.
    #[error("the account has keys: log in with one of them, not with the password")]
    Password,
    /// There were too many changes.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The token is bound to a session key.
    #[error(
        "the token is bound to a session key: log in with a key of the account and bind the token to that"
    )]
    SessionKey,
    /// The proof is a signed message.
    #[error(
        "a signjwt signature covers nothing of the request: log in at the token endpoint and send a DPoP proof"
    )]
    SignedMessage,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The proof is by no key.
    #[error("the token is bound to no key: log in with a key of the account")]
    Unbound,
    /// There is a body that nothing is said in, or signed of.
    #[error("the request must have no body")]
    UnexpectedBody,
    /// The self-signed JWT is for any method and URL.
    #[error(
        "a self-signed JWT covers neither method nor URL: log in at the token endpoint and send a DPoP proof"
    )]
    UrlUnsigned,
}

impl StepUpError {
    /// A short stable name of what the proof lacks, if the proof is the problem.
    pub const fn lack(&self) -> Option<&'static str> {
        match self {
            Self::BodyUnsigned => Some("body-unsigned"),
            Self::FreshLogin => Some("fresh-login"),
            Self::MutualKey => Some("mutual-key"),
            Self::NarrowedToken => Some("narrowed-token"),
            Self::NoAudience => Some("no-audience"),
            Self::NotLive => Some("not-live"),
            Self::OtherBody => Some("other-body"),
            Self::Passkey(_) | Self::PasskeyNeeded => Some("passkey"),
            Self::Password => Some("password"),
            Self::SessionKey => Some("session-key"),
            Self::SignedMessage => Some("signjwt"),
            Self::Unbound => Some("unbound-token"),
            Self::UrlUnsigned => Some("url-unsigned"),
            Self::Approval(_)
            | Self::Approver
            | Self::Kind(_)
            | Self::NotAdmitted(_)
            | Self::Store(_)
            | Self::UnexpectedBody => None,
        }
    }

    /// What the audit trail says of it to programs. It has the name of the lack where there is one.
    pub(crate) const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Approval(_) | Self::Approver => Some(Reason::Approval),
            Self::BodyUnsigned => Some(Reason::BodyUnsigned),
            Self::FreshLogin => Some(Reason::FreshLogin),
            Self::Kind(_) => Some(Reason::WrongKind),
            Self::MutualKey => Some(Reason::MutualKey),
            Self::NarrowedToken => Some(Reason::NarrowedToken),
            Self::NoAudience => Some(Reason::NoAudience),
            Self::NotLive => Some(Reason::NotLive),
            Self::OtherBody => Some(Reason::OtherBody),
            Self::Passkey(error) => error.reason(),
            Self::PasskeyNeeded => Some(Reason::Passkey),
            Self::Password => Some(Reason::Password),
            Self::SessionKey => Some(Reason::SessionKey),
            Self::SignedMessage => Some(Reason::SignedMessage),
            Self::Unbound => Some(Reason::UnboundToken),
            Self::UnexpectedBody => Some(Reason::UnexpectedBody),
            Self::UrlUnsigned => Some(Reason::UrlUnsigned),
            Self::NotAdmitted(_) | Self::Store(_) => None,
        }
    }

    /// Whether the owner of the account should know of it.
    pub(crate) const fn is_of_consequence(&self) -> bool {
        match self {
            // A page asks for the passkey after it was told so.
            Self::PasskeyNeeded | Self::NotAdmitted(_) | Self::Store(_) | Self::UnexpectedBody => {
                false
            }
            Self::Approval(_)
            | Self::Approver
            | Self::BodyUnsigned
            | Self::FreshLogin
            | Self::Kind(_)
            | Self::MutualKey
            | Self::NarrowedToken
            | Self::NoAudience
            | Self::NotLive
            | Self::OtherBody
            | Self::Passkey(_)
            | Self::Password
            | Self::SessionKey
            | Self::SignedMessage
            | Self::Unbound
            | Self::UrlUnsigned => true,
        }
    }
}

impl From<AnswerError> for StepUpError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Store(error) => Self::Store(error),
            error => Self::Passkey(error),
        }
    }
}
