//! What can go wrong between a client and a server.

use std::time::Duration;

use countersign_protocol::keys::SignError;
use countersign_protocol::tokens::offered_session::UnfitSession;

use super::refusal::Refusal;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is not an address that a request can go to.
    #[error(
        "{address:?} is not an address of a server: it must be an absolute http or https URL without user information"
    )]
    Address {
        /// The text.
        address: String,
    },
    /// The file of a certificate authority cannot be used, or no TLS configuration can be made with
    /// it.
    #[error("cannot set up TLS: {0}")]
    Certificates(String),
    /// The token or the proof would cross a network unencrypted.
    #[error("{origin} would get tokens and proofs unencrypted; use https, or a loopback address")]
    Insecure {
        /// Scheme, host and port.
        origin: String,
    },
    /// The metadata are about another server than the one that was asked for (RFC 8414 §3.3).
    #[error("the server says that it is {found:?}, but {asked:?} was asked for")]
    IssuerMismatch {
        /// The issuer that was asked for.
        asked: String,
        /// The issuer that the metadata name.
        found: String,
    },
    /// There are no usable metadata (RFC 8414) at the address where they should be.
    #[error("{address} does not describe an authorization server: {reason}")]
    NotAnAuthority {
        /// Where the metadata should have been.
        address: String,
        /// What was there instead.
        reason: String,
    },
    /// The text is not an origin.
    #[error(
        "{text:?} is not an origin: write scheme, host and port only, as in https://api.example.com"
    )]
    Origin {
        /// The text.
        text: String,
    },
    /// The server redirects to another address. Tokens and proofs are not sent there.
    #[error("{address} redirects to {location:?}, which is not followed")]
    Redirected {
        /// The address that was asked.
        address: String,
        /// The `Location` that it named.
        location: String,
    },
    /// The server said no, or failed.
    #[error("{0}")]
    Refused(Refusal),
    /// The request has a header field that only this client may set.
    #[error("the header {0} is set by the client itself")]
    ReservedHeader(&'static str),
    /// The answer is longer than the limit.
    #[error("the answer of {origin} is longer than {limit} bytes")]
    ResponseTooLarge {
        /// Scheme, host and port.
        origin: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server did not prove that it is the one with which the account was registered.
    #[error(
        "whoever answers for {issuer} is not the server where this account was registered; nothing was signed"
    )]
    ServerUnproven {
        /// The issuer identifier.
        issuer: String,
    },
    /// The request would carry the signature of a session to somebody else.
    #[error(
        "{origin} is not {issuer}, where the session is: a signature of signjwt covers no method, URL or body, so {origin} could make another request to {issuer} with it; nothing was signed"
    )]
    SessionElsewhere {
        /// Scheme, host and port that the request would go to.
        origin: String,
        /// The issuer identifier.
        issuer: String,
    },
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The server did not answer in time.
    #[error("{origin} did not answer within {} seconds", after.as_secs_f32())]
    Timeout {
        /// Scheme, host and port.
        origin: String,
        /// How long the client waited.
        after: Duration,
    },
    /// The server agreed, but its answer is not what the standard or this product demands.
    #[error("{address} gave an answer that makes no sense: {reason}")]
    UnexpectedAnswer {
        /// The address that was asked.
        address: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("cannot talk to {origin}: {reason}")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// What the network said.
        reason: String,
    },
    /// What the server sent to be signed is no session of its own.
    #[error("{issuer} sent no session of its own to be signed: {reason}; nothing was signed")]
    UnfitSession {
        /// The issuer identifier.
        issuer: String,
        /// What is wrong with it.
        reason: UnfitSession,
    },
    /// The server lacks what the request needs.
    #[error("{issuer} does not support {what}")]
    Unsupported {
        /// The issuer identifier.
        issuer: String,
        /// What is missing.
        what: String,
    },
}

impl ClientError {
    /// Whether the server may have done the request although it did not confirm it: the answer did not
    /// come, or makes no sense, or says that something failed on the way.
    pub fn leaves_open(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.has_done_nothing(),
            Self::ResponseTooLarge { .. }
            | Self::Timeout { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Unreachable { .. } => true,
            Self::Address { .. }
            | Self::Certificates(_)
            | Self::Insecure { .. }
            | Self::IssuerMismatch { .. }
            | Self::NotAnAuthority { .. }
            | Self::Origin { .. }
            | Self::Redirected { .. }
            | Self::ReservedHeader(_)
            | Self::ServerUnproven { .. }
            | Self::SessionElsewhere { .. }
            | Self::Sign(_)
            | Self::UnfitSession { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
