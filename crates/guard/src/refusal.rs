//! Why a request is refused, and how the client is told.

use std::sync::Arc;

use countersign_protocol::{
    AccountId, Principal, ProofKind, Scopes,
    keys::Thumbprint,
    proofs::{dpop::DpopError, self_signed::SelfSignedError},
    replay::ReplayShareUsedUp,
    tokens::{issue::AccessTokenClaims, jws::JwsError, verify::AccessTokenError},
};
use http::StatusCode;
use thiserror::Error;

use crate::{ports::PortUnavailable, requirements::InsufficientLogin};

pub(crate) mod audit;

/// A refusal, with the facts that were proven before it, for the audit trail.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The kind of proof that was tried; DPoP when none was.
    pub proof: ProofKind,
    /// The access token, if it was verified.
    pub token: Option<Arc<AccessTokenClaims>>,
    /// The account and key of the token or JWT, if it was verified.
    pub signer: Option<Signer>,
}

/// The account and the key that signed, or to which a token is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The account.
    pub account_id: AccountId,
    /// Its key.
    pub key: Thumbprint,
}

impl Refused {
    /// Nothing was proven.
    pub(crate) const fn early(refusal: Refusal, proof: ProofKind) -> Self {
        Self { refusal, proof, token: None, signer: None }
    }

    /// Everything but one thing was proven.
    pub(crate) fn of_principal(refusal: Refusal, principal: &Principal) -> Self {
        let signer = principal
            .key
            .map(|key| Signer { account_id: principal.account_id, key: key.thumbprint });
        Self { refusal, proof: principal.proof, token: None, signer }
    }

    /// `principal` was let in, and shut out before its request was done.
    pub fn shut_out(principal: &Principal) -> Self {
        Self::of_principal(Refusal::Revoked, principal)
    }

    /// The account and the key of the request are known.
    pub(crate) const fn of_signer(refusal: Refusal, proof: ProofKind, signer: Signer) -> Self {
        Self { refusal, proof, token: None, signer: Some(signer) }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The JWT may have been used before the guard started.
    #[error(
        "the JWT may have been used before this server started: sign another, whose iat is after that"
    )]
    BeforeStart,
    /// The body, which the proof covers, cannot be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// An access token of this product was presented as a bearer token, but it is bound to a key.
    #[error("the token is bound to a key: present it with the DPoP scheme and a proof")]
    Downgrade,
    /// The principal has not logged in as the resource requires.
    #[error(transparent)]
    InsufficientLogin(#[from] InsufficientLogin),
    /// The token does not carry all scopes that the resource needs.
    #[error("the scope {0} is needed")]
    InsufficientScope(Scopes),
    /// The JWT may be from the second in which the guard started, and so may have been used before.
    #[error("this server has just started: sign another JWT in a second")]
    JustStarted,
    /// The JWT was made by a clock that is ahead, and counts as soon as its moment has come.
    #[error("iat is ahead of this server's clock: send the JWT again in {seconds} s")]
    MadeAhead {
        /// In how many seconds.
        seconds: u64,
    },
    /// A clock that is ahead may have made the JWT before the guard started.
    #[error(
        "this server has started lately, and cannot tell whether the JWT was used before: sign \
         another in {seconds} s"
    )]
    StartedLately {
        /// In how many seconds one counts.
        seconds: u64,
    },
    /// The self-signed JWT was used before.
    #[error("the JWT was used before")]
    JwtUsed,
    /// The `Authorization` header is malformed or there are several.
    #[error("exactly one Authorization header of the form `<scheme> <token>` is needed")]
    Malformed,
    /// The request presents nothing.
    #[error("authentication is needed")]
    Missing,
    /// A port that is needed to decide has not heard for too long what was revoked.
    #[error(
        "the server has not heard for too long what was revoked elsewhere, and so cannot say whether this \
         still counts: try again in a moment"
    )]
    OutOfDate(String),
    /// The proof does not verify.
    #[error(transparent)]
    Proof(#[from] DpopError),
    /// The proof was used before.
    #[error("the proof was used before")]
    Replayed,
    /// The token, its key or its account was revoked.
    #[error("the token has been revoked")]
    Revoked,
    /// The self-signed JWT does not verify.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    /// The signed message does not verify.
    #[error(transparent)]
    SignedMessage(#[from] SignedMessageError),
    /// The account, or the client's network, holds its whole share of the replay log.
    #[error(transparent)]
    ShareUsedUp(#[from] ReplayShareUsedUp),
    /// The token does not verify.
    #[error(transparent)]
    Token(#[from] AccessTokenError),
    /// The token is not a JWT of the issuer.
    #[error(transparent)]
    TokenFormat(#[from] JwsError),
    /// A port that is needed to decide cannot answer.
    #[error("the request cannot be verified at the moment")]
    Unavailable(String),
    /// The token names a signing key that the issuer does not publish.
    #[error("the token is signed with an unknown key")]
    UnknownSigningKey,
}

/// Why a body that the proof covers cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It is larger than what is read to be hashed.
    #[error("the body is too large for its hash to be checked")]
    TooLarge,
    /// It broke off.
    #[error("the body could not be read")]
    Unreadable,
}

/// Why a signed message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignedMessageError {
    /// There is no `Signed-Message` header field.
    #[error("a signature is needed: the Signed-Message header is missing")]
    Absent,
    /// There are several `Signed-Message` header fields, or it is not base64.
    #[error("exactly one Signed-Message header with base64 of the signature is needed")]
    Malformed,
    /// Session, nonce or signature is not good.
    #[error("no key of the session's account has signed its nonce and the JWT")]
    Refused,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The status of the answer.
    pub status: StatusCode,
    /// The `error` (RFC 6750 §3.1, RFC 9449 §7.1); none when nothing was presented.
    pub error: Option<&'static str>,
}

impl Refusal {
    /// Status and error code.
    pub const fn challenge(&self) -> Challenge {
        let (status, error) = match self {
            Self::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body(BodyError::Unreadable) | Self::Malformed => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"))
            }
            Self::Missing => (StatusCode::UNAUTHORIZED, None),
            Self::BeforeStart
            | Self::Downgrade
            | Self::JwtUsed
            | Self::Proof(DpopError::OtherKey)
            | Self::Revoked
            | Self::SelfSigned(_)
            | Self::SignedMessage(_)
            | Self::Token(_)
            | Self::TokenFormat(_)
            | Self::UnknownSigningKey => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Self::Proof(DpopError::Nonce) => (StatusCode::UNAUTHORIZED, Some("use_dpop_nonce")),
            Self::Proof(
                DpopError::AccessToken
                | DpopError::Absent
                | DpopError::Claim(_)
                | DpopError::FromTheFuture
                | DpopError::Jws(_)
                | DpopError::Key(_)
                | DpopError::Method
                | DpopError::RequestUri
                | DpopError::NoKey
                | DpopError::OtherName(_)
                | DpopError::Several
                | DpopError::Signature
                | DpopError::TooOld
                | DpopError::Type
                | DpopError::Uri,
            )
            | Self::Replayed => (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof")),
            Self::InsufficientLogin(_) => {
                (StatusCode::UNAUTHORIZED, Some("insufficient_user_authentication"))
            }
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::ShareUsedUp(_) => (StatusCode::TOO_MANY_REQUESTS, None),
            Self::JustStarted
            | Self::MadeAhead { .. }
            | Self::OutOfDate(_)
            | Self::StartedLately { .. }
            | Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        Challenge { status, error }
    }

    /// A short stable name of the reason, for metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::BeforeStart => "before-start",
            Self::Body(_) => "body",
            Self::Downgrade => "downgrade",
            Self::InsufficientLogin(_) => "insufficient-login",
            Self::InsufficientScope(_) => "insufficient-scope",
            Self::JustStarted | Self::StartedLately { .. } => "just-started",
            Self::MadeAhead { .. } => "made-ahead",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::OutOfDate(_) => "out-of-date",
            Self::Proof(DpopError::Nonce) => "nonce",
            Self::Proof(DpopError::OtherKey) => "other-key",
            Self::Proof(_) => "proof",
            Self::JwtUsed | Self::Replayed => "replayed",
            Self::Revoked => "revoked",
            Self::SelfSigned(
                SelfSignedError::BodyHash | SelfSignedError::BodyUnseen | SelfSignedError::Md5,
            ) => "body-hash",
            Self::SignedMessage(_) => "signed-message",
            Self::SelfSigned(SelfSignedError::Expired) | Self::Token(AccessTokenError::Expired) => {
                "expired"
            }
            Self::SelfSigned(_) => "self-signed",
            Self::ShareUsedUp(_) => "share-used-up",
            Self::Token(_) | Self::TokenFormat(_) | Self::UnknownSigningKey => "token",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Refusal {
    /// Why a port cannot answer, for the log alone.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::OutOfDate(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<PortUnavailable> for Refusal {
    fn from(port: PortUnavailable) -> Self {
        match port {
            PortUnavailable::Away(cause) => Self::Unavailable(cause),
            PortUnavailable::OutOfDate(cause) => Self::OutOfDate(cause),
        }
    }
}
