//! What a refusal means for an audit trail.

use countersign_protocol::proofs::{dpop::DpopError, self_signed::SelfSignedError};

use super::{Refusal, SignedMessageError};

/// What somebody did who used what is genuine as its owner would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditKind {
    /// He presented a proof or a JWT that had been used.
    Replayed,
    /// He presented a token without a proof.
    NoProof,
    /// He presented a token with a proof by another key than the token's.
    OtherKey,
    /// He presented a token with a proof for another request.
    OtherRequest,
    /// He presented a token with a proof for another token.
    OtherToken,
    /// He presented a token that was revoked.
    Revoked,
    /// He presented a token with a proof whose signature is wrong.
    Signature,
}

impl Refusal {
    /// What an audit trail says of it: whether a genuine token, or a proof for it, is in the wrong
    /// hands. A stale nonce or a clock that is off says no such thing.
    pub const fn audit_kind(&self) -> Option<AuditKind> {
        match self {
            Self::JwtUsed | Self::Replayed => Some(AuditKind::Replayed),
            Self::Revoked => Some(AuditKind::Revoked),
            Self::Downgrade => Some(AuditKind::NoProof),
            Self::Proof(error) => of_proof(error),
            // Nobody is known to have signed anything, or the owner needs only try again.
            Self::BeforeStart
            | Self::Body(_)
            | Self::InsufficientLogin(_)
            | Self::InsufficientScope(_)
            | Self::JustStarted
            | Self::MadeAhead { .. }
            | Self::StartedLately { .. }
            | Self::Malformed
            | Self::Missing
            | Self::SelfSigned(
                SelfSignedError::AccessToken
                | SelfSignedError::Assertion
                | SelfSignedError::Audience { .. }
                | SelfSignedError::BodyHash
                | SelfSignedError::BodyUnseen
                | SelfSignedError::Claim(_)
                | SelfSignedError::Expired
                | SelfSignedError::Issuer
                | SelfSignedError::Jws(_)
                | SelfSignedError::Md5
                | SelfSignedError::NoAccount
                | SelfSignedError::NotYetValid
                | SelfSignedError::Signature
                | SelfSignedError::Source
                | SelfSignedError::TooLongLived { .. }
                | SelfSignedError::TooOld { .. }
                | SelfSignedError::TwoAccounts
                | SelfSignedError::Type,
            )
            | Self::SignedMessage(
                SignedMessageError::Absent
                | SignedMessageError::Malformed
                | SignedMessageError::Refused,
            )
            | Self::ShareUsedUp(_)
            | Self::Token(_)
            | Self::TokenFormat(_)
            | Self::OutOfDate(_)
            | Self::Unavailable(_)
            | Self::UnknownSigningKey => None,
        }
    }
}

const fn of_proof(error: &DpopError) -> Option<AuditKind> {
    match error {
        DpopError::AccessToken => Some(AuditKind::OtherToken),
        DpopError::Absent => Some(AuditKind::NoProof),
        DpopError::Method | DpopError::OtherName(_) | DpopError::Uri => {
            Some(AuditKind::OtherRequest)
        }
        DpopError::OtherKey => Some(AuditKind::OtherKey),
        DpopError::Signature => Some(AuditKind::Signature),
        DpopError::Claim(_)
        | DpopError::FromTheFuture
        | DpopError::Jws(_)
        | DpopError::Key(_)
        | DpopError::NoKey
        | DpopError::Nonce
        | DpopError::Several
        | DpopError::RequestUri
        | DpopError::TooOld
        | DpopError::Type => None,
    }
}
