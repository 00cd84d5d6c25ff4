//! Why a proof is refused.

use thiserror::Error;

use crate::{
    CLIENT_CLOCK_AHEAD,
    keys::KeyError,
    tokens::{claims::ClaimError, jws::JwsError},
};

/// Why a proof is for no account, or for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// There is no `sub`.
    #[error(
        "the claim sub is missing: put the username or the id of the account into it, so that the proof \
         adds the key to no other"
    )]
    Missing,
    /// `sub` is not a name of the account.
    #[error("the claim sub does not name this account")]
    Other,
}

/// Two origins on one machine, such as those of `localhost` and 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherName {
    /// The origin of the server.
    pub here: String,
    /// The origin that the proof is for.
    pub named: String,
}

/// Why a DPoP proof is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DpopError {
    /// `ath` is of another token.
    #[error("ath does not match the access token")]
    AccessToken,
    /// There is no `DPoP` header field.
    #[error("a DPoP proof is needed: the DPoP header is missing")]
    Absent,
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// `iat` or `nbf` lies too far ahead.
    #[error(
        "the proof is from the future: iat or nbf is more than {} s ahead of the clock here, which \
         the Date header tells; check the clock",
        CLIENT_CLOCK_AHEAD.as_secs()
    )]
    FromTheFuture,
    /// The proof is not a JWT.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The `jwk` in the header is not an acceptable public key.
    #[error("the jwk in the proof is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// `htm` is another method.
    #[error("htm does not match the request's method")]
    Method,
    /// There is no `jwk` in the header.
    #[error("the proof carries no jwk")]
    NoKey,
    /// The `nonce` is missing, stale, or was not made here.
    #[error("a fresh nonce from the DPoP-Nonce header is needed in the proof")]
    Nonce,
    /// The token is bound to another key than the one that signed the proof.
    #[error("the token is bound to another key")]
    OtherKey,
    /// There is more than one `DPoP` header field.
    #[error("more than one DPoP header")]
    Several,
    /// The request itself is for no URI that a proof could name.
    #[error(
        "no proof is for this request: it has no absolute path, or one that is too long, not ASCII or \
         has dot segments, which another server may take for another resource"
    )]
    RequestUri,
    /// The signature is not by the key in the header.
    #[error("the proof's signature is wrong")]
    Signature,
    /// `iat` lies too far back, or `exp` has passed.
    #[error(
        "the proof is too old: iat is too far behind the clock here, which the Date header tells, or \
         exp has passed; sign one for each request, and check the clock"
    )]
    TooOld,
    /// `typ` is not `dpop+jwt`.
    #[error("not a DPoP proof: its typ is not dpop+jwt")]
    Type,
    /// `htu` has another name of this machine than the one that the server goes by.
    #[error(
        "this server calls itself {}; the proof is for {}. Even on one machine these are two names: use \
         the first one",
        .0.here, .0.named
    )]
    OtherName(Box<OtherName>),
    /// `htu` is another URI.
    #[error("htu does not match the request's URI")]
    Uri,
}
