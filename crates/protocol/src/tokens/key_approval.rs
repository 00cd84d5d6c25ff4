//! Key approvals: a credential's signed statement "this new key shall log in to my account too".
//!
//! Some DPoP libraries cannot put the hash of the body into a proof, so a proof by them says
//! nothing about the key that the request adds. Their clients send a key approval as well. Its
//! `typ` keeps it apart from every other JWT that a credential signs.

use std::time::Duration;

use thiserror::Error;

use crate::{
    CLIENT_CLOCK_AHEAD, ReplayEntry, UnixTime, Unspent, Unverified,
    digest::sha256,
    keys::{PrivateKey, PublicKey, SignError, Thumbprint},
    tokens::{
        claims::{ClaimError, Claims},
        jws::{self, Jws, JwsError},
        validity::Validity,
    },
};

/// The `typ` of a key approval.
pub const TYPE: &str = "key-approval+jwt";

/// A longer `jti` is refused.
const MAX_JTI: usize = 128;

/// A key approval as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct PresentedKeyApproval<'a>(Unverified<Jws<'a>>);

/// What a key approval must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct KeyApprovalExpectations<'a> {
    /// This server's issuer identifier, which must be the sole audience.
    pub issuer: &'a str,
    /// The key that is to be added.
    pub new_key: Thumbprint,
    /// How far ahead `exp` may lie.
    pub max_lifetime: Duration,
    /// How far the clocks of client and server may be apart.
    pub skew: Duration,
}

/// A verified key approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyApproval {
    /// The key that it lets in.
    pub new_key: Thumbprint,
}

impl<'a> PresentedKeyApproval<'a> {
    /// Parses the text of an approval.
    ///
    /// # Errors
    /// When it is not a JWT, or one of another type.
    pub fn parse(text: &'a str) -> Result<Self, KeyApprovalError> {
        let jws = Jws::parse(text)?;
        let typ = jws.content().typ();
        let fits = typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE));
        fits.then_some(Self(jws)).ok_or(KeyApprovalError::Type)
    }

    /// The thumbprint of the credential that it says has signed it.
    ///
    /// # Errors
    /// When there is no `kid`, or it is no thumbprint.
    pub fn kid(&self) -> Result<Thumbprint, KeyApprovalError> {
        let kid = self.0.kid().and_then(|kid| kid.parse().ok());
        kid.ok_or(KeyApprovalError::KeyId)
    }

    /// Checks audience, times, `jti` and the new key, and last the signature by `key`.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        expected: &KeyApprovalExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<KeyApproval>, KeyApprovalError> {
        let claims = Claims::new(self.0.content().payload());
        if claims.audience()? != [expected.issuer] {
            return Err(KeyApprovalError::Audience { issuer: expected.issuer.to_owned() });
        }
        let expires_at = check_time(claims, expected, now)?;
        let jti = claims.string_up_to(MAX_JTI, "jti")?;
        if claims.string("new_key")?.parse() != Ok(expected.new_key) {
            return Err(KeyApprovalError::OtherKey);
        }
        let entry = ReplayEntry {
            digest: sha256(&[b"key-approval\0", key.thumbprint().as_bytes(), jti.as_bytes()]),
            forget_at: expires_at + expected.skew,
        };
        self.0.verify(key).map_err(|_| KeyApprovalError::Signature)?;
        Ok(Unspent::new(KeyApproval { new_key: expected.new_key }, entry))
    }
}

fn check_time(
    claims: Claims<'_>,
    expected: &KeyApprovalExpectations<'_>,
    now: UnixTime,
) -> Result<UnixTime, KeyApprovalError> {
    let validity = Validity::read(claims)?;
    let expires_at = validity.end()?;
    if validity.has_ended(expected.skew, now) {
        return Err(KeyApprovalError::Expired);
    }
    let latest = now + expected.skew.max(CLIENT_CLOCK_AHEAD);
    if expires_at > latest + expected.max_lifetime {
        return Err(KeyApprovalError::TooLongLived(expected.max_lifetime.as_secs()));
    }
    if validity.begins_after(latest) {
        return Err(KeyApprovalError::NotYetValid);
    }
    Ok(expires_at)
}

/// What a credential signs to let `new_key` in at `audience`, once and until `expires_at`. `jti` is
/// a fresh random text.
#[derive(Clone, Copy, Debug)]
pub struct NewKeyApproval<'a> {
    /// The issuer identifier of the server (`aud`).
    pub audience: &'a str,
    /// The key to let in (`new_key`).
    pub new_key: Thumbprint,
    /// `exp`.
    pub expires_at: UnixTime,
    /// `jti`.
    pub jti: &'a str,
}

impl NewKeyApproval<'_> {
    /// The JWT, signed by the credential `key`.
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn sign(&self, key: &PrivateKey) -> Result<String, SignError> {
        let claims = serde_json::json!({
            "aud": self.audience,
            "new_key": self.new_key,
            "exp": self.expires_at.as_secs(),
            "jti": self.jti,
        });
        jws::sign_typed(TYPE, key, key.algorithm(), &claims)
    }
}

/// Why a key approval is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyApprovalError {
    /// `aud` is not this server alone.
    #[error("aud does not name this server alone: it must be its issuer identifier, {issuer}")]
    Audience {
        /// The issuer identifier.
        issuer: String,
    },
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// It is not a JWT.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// `kid` does not name a credential.
    #[error("kid is not the thumbprint of a key")]
    KeyId,
    /// Its time has not come.
    #[error("iat or nbf lies in the future; check the clock")]
    NotYetValid,
    /// It is for another key than the one that is to be added.
    #[error("new_key is not the thumbprint of the key that is to be added")]
    OtherKey,
    /// The signature is not by the credential that `kid` names.
    #[error("the signature is wrong")]
    Signature,
    /// It would live longer than allowed; with the limit in seconds.
    #[error("exp lies more than {0} seconds ahead")]
    TooLongLived(u64),
    /// It is another kind of JWT.
    #[error("typ is not key-approval+jwt")]
    Type,
}

#[cfg(test)]
mod tests;
