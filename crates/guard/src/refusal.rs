//! Why a request is refused, and what the client is told.

use std::{fmt::Write as _, sync::Arc};

use countersign_protocol::{
    keys::Algorithm,
    proofs::dpop::DpopError,
    tokens::{issue::AccessTokenClaims, jws::JwsError, verify::AccessTokenError},
};
use http::{HeaderValue, StatusCode};
use thiserror::Error;

/// A refusal with the token that was presented, when that verified: for the audit trail.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Whose token it was.
    pub token: Option<Arc<AccessTokenClaims>>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A token of this product was presented as a bearer token, which none is.
    #[error("the token is bound to a key: present it with the DPoP scheme and a proof")]
    Downgrade,
    /// The token does not carry a scope that the resource needs.
    #[error("the scope {0} is needed")]
    InsufficientScope(String),
    /// The `Authorization` header is malformed or there are several.
    #[error("exactly one Authorization header of the form `DPoP <token>` is needed")]
    Malformed,
    /// The request presents nothing.
    #[error("authentication is needed")]
    Missing,
    /// The proof does not verify.
    #[error(transparent)]
    Proof(#[from] DpopError),
    /// The proof was used before.
    #[error("the proof was used before")]
    Replayed,
    /// The token, its key or its account was revoked.
    #[error("the token has been revoked")]
    Revoked,
    /// The token does not verify.
    #[error(transparent)]
    Token(#[from] AccessTokenError),
    /// The token is not a JWT of the issuer.
    #[error(transparent)]
    TokenFormat(#[from] JwsError),
    /// Something that is needed to decide is away.
    #[error("the request cannot be verified at the moment")]
    Unavailable(String),
    /// The token names a signing key that the issuer does not publish.
    #[error("the token is signed with an unknown key")]
    UnknownSigningKey,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The status of the answer.
    pub status: StatusCode,
    /// The `error` of RFC 6750 §3.1 and RFC 9449 §7.1; none when nothing was presented.
    pub error: Option<&'static str>,
}

impl Refusal {
    /// Status and error code.
    pub const fn challenge(&self) -> Challenge {
        let (status, error) = match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, Some("invalid_request")),
            Self::Missing => (StatusCode::UNAUTHORIZED, None),
            Self::Downgrade
            | Self::Proof(DpopError::OtherKey)
            | Self::Revoked
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
                | DpopError::NoKey
                | DpopError::Several
                | DpopError::Signature
                | DpopError::TooOld
                | DpopError::Type
                | DpopError::Uri,
            )
            | Self::Replayed => (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof")),
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        Challenge { status, error }
    }

    /// A short stable name of the reason, for metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Downgrade => "downgrade",
            Self::InsufficientScope(_) => "insufficient-scope",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Proof(DpopError::Nonce) => "nonce",
            Self::Proof(DpopError::OtherKey) => "other-key",
            Self::Proof(_) => "proof",
            Self::Replayed => "replayed",
            Self::Revoked => "revoked",
            Self::Token(AccessTokenError::Expired) => "expired",
            Self::Token(_) | Self::TokenFormat(_) | Self::UnknownSigningKey => "token",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The value of `WWW-Authenticate`; none for answers that no other credentials would change.
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        let challenge = self.challenge();
        if challenge.status == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let mut value = format!("DPoP algs=\"{}\"", algorithm_names());
        if let Some(error) = challenge.error {
            // The texts are ours and of fixed ASCII, but for what a claim or scope is called.
            let description: String =
                self.to_string().chars().filter(|c| is_quotable(*c)).collect();
            let _ = write!(value, ", error=\"{error}\", error_description=\"{description}\"");
        }
        if let Self::InsufficientScope(scope) = self {
            let _ = write!(value, ", scope=\"{scope}\"");
        }
        HeaderValue::try_from(value).ok()
    }
}

/// The algorithms that proofs may be signed with, separated by spaces.
fn algorithm_names() -> String {
    Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" ")
}

/// RFC 6750 §3: what `error_description` may contain.
const fn is_quotable(c: char) -> bool {
    matches!(c, ' '..='!' | '#'..='[' | ']'..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_credentials_is_challenged_without_an_error() {
        let header = Refusal::Missing.www_authenticate().unwrap();
        assert_eq!(header, "DPoP algs=\"EdDSA ES256 ES384 PS256 RS256\"");
    }

    #[test]
    fn a_refusal_names_its_error_code() {
        let header = Refusal::Proof(DpopError::OtherKey).www_authenticate().unwrap();
        assert_eq!(
            header,
            "DPoP algs=\"EdDSA ES256 ES384 PS256 RS256\", error=\"invalid_token\", \
             error_description=\"the token is bound to another key\""
        );
        let header = Refusal::InsufficientScope("read".to_owned()).www_authenticate().unwrap();
        assert!(header.to_str().unwrap().ends_with("scope=\"read\""));
    }

    #[test]
    fn an_outage_is_not_blamed_on_the_client() {
        let refusal = Refusal::Unavailable("disk".to_owned());
        assert_eq!(refusal.challenge().status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refusal.www_authenticate(), None);
        assert!(!refusal.to_string().contains("disk"), "the cause stays inside");
    }
}
