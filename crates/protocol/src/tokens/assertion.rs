//! JWT assertions (RFC 7523): a credential's signed statement "I am this account, now".

use std::time::Duration;

use thiserror::Error;

use crate::{
    CLIENT_CLOCK_AHEAD, ReplayEntry, UnixTime, Unspent, Unverified,
    digest::sha256,
    keys::{Algorithm, BadSignature, PublicKey, Thumbprint},
    tokens::{
        claims::{ClaimError, Claims},
        jws::{Jws, JwsError},
        validity::Validity,
    },
};

/// The type that RFC 7523bis gives to assertions that authenticate a client.
const CLIENT_AUTHENTICATION_TYPE: &str = "client-authentication+jwt";

/// A longer `jti` is refused.
const MAX_JTI: usize = 128;

/// What an assertion is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionUse {
    /// As an authorization grant (RFC 7523 §2.1).
    Grant,
    /// To authenticate the caller of an endpoint (RFC 7523 §2.2).
    ClientAuthentication,
}

/// What an assertion must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct AssertionExpectations<'a> {
    /// What it is presented for.
    pub purpose: AssertionUse,
    /// This server's issuer identifier.
    pub issuer: &'a str,
    /// This server's token endpoint, which a grant may name as its audience instead.
    pub token_endpoint: &'a str,
    /// How far ahead `exp` may lie.
    pub max_lifetime: Duration,
    /// How far the clock of the client may be behind; it may be ahead by [`CLIENT_CLOCK_AHEAD`].
    pub skew: Duration,
}

/// An assertion as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct PresentedAssertion<'a>(Unverified<Jws<'a>>);

/// An assertion whose signature is good; what it says is trusted after [`Self::check`].
#[derive(Debug)]
pub struct SignedAssertion<'a> {
    jws: Jws<'a>,
    signer: Thumbprint,
}

/// A verified assertion.
#[derive(Debug)]
pub struct Assertion {
    /// `iss` and `sub`: the account, by id or username.
    pub subject: String,
    /// `cnf.jkt`: the per-session key that the credential vouches for.
    pub session_key: Option<Thumbprint>,
}

impl<'a> PresentedAssertion<'a> {
    /// Parses the text of an assertion.
    ///
    /// # Errors
    /// When it is not a JWT at all.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        Jws::parse(text).map(Self)
    }

    /// The account that it claims to speak for.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject()
    }

    /// The thumbprint of the key that it claims to be signed by.
    ///
    /// # Errors
    /// When there is a `kid` that is no thumbprint, and so cannot name a credential.
    pub fn kid(&self) -> Result<Option<Thumbprint>, AssertionError> {
        self.0.kid().map(str::parse).transpose().map_err(|_| AssertionError::KeyId)
    }

    /// Checks type, signature by `key`, `iss` = `sub`, audience, times and `jti`.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        expected: &AssertionExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<Assertion>, AssertionError> {
        let jws = self.0.verify(key).map_err(|_| AssertionError::Signature)?;
        SignedAssertion { jws, signer: key.thumbprint() }.check(expected, now)
    }

    /// Checks the signature, by whichever of `keys` can have made it, as far as one request may cost
    /// ([`Verifications`](crate::keys::Verifications)).
    ///
    /// # Errors
    /// When it is by none of them.
    pub fn verify_signature<'k>(
        self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<SignedAssertion<'a>, BadSignature> {
        let (jws, key) = self.0.verify_by_any(keys)?;
        Ok(SignedAssertion { jws, signer: key.thumbprint() })
    }

    /// What [`Self::verify_signature`] costs at most, in verifications by an ordinary key.
    pub fn cost<'k>(&self, keys: impl IntoIterator<Item = &'k PublicKey>) -> u32 {
        self.0.cost_of_any(keys)
    }

    /// Whether `key` can have made the signature, by its algorithm and its length.
    pub fn may_be_by(&self, key: &PublicKey) -> bool {
        self.0.may_be_by(key)
    }

    /// The algorithm that it says it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl SignedAssertion<'_> {
    /// The key that has signed it.
    pub const fn signer(&self) -> Thumbprint {
        self.signer
    }

    /// Checks type, `iss` = `sub`, audience, times and `jti`.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(
        self,
        expected: &AssertionExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<Assertion>, AssertionError> {
        let Self { jws, signer } = self;
        check_type(jws.typ(), expected.purpose)?;
        let claims = Claims::new(jws.payload());
        let subject = claims.string("sub")?;
        if claims.string("iss")? != subject {
            return Err(AssertionError::Issuer);
        }
        check_audience(&claims.audience()?, expected)?;
        let expires_at = check_time(claims, expected, now)?;
        let jti = claims.string_up_to(MAX_JTI, "jti")?;
        let assertion =
            Assertion { subject: subject.to_owned(), session_key: claims.optional_jkt()? };
        let entry = ReplayEntry {
            digest: sha256(&[b"assertion\0", signer.as_bytes(), jti.as_bytes()]),
            forget_at: expires_at + expected.skew,
        };
        Ok(Unspent::new(assertion, entry))
    }
}

/// A token that says it is something else is something else (RFC 8725 §3.11).
fn check_type(typ: Option<&str>, purpose: AssertionUse) -> Result<(), AssertionError> {
    let fits = typ.is_none_or(|typ| {
        typ.eq_ignore_ascii_case("JWT")
            || purpose == AssertionUse::ClientAuthentication
                && typ.eq_ignore_ascii_case(CLIENT_AUTHENTICATION_TYPE)
    });
    fits.then_some(()).ok_or(AssertionError::Type)
}

/// For client authentication the issuer must be the sole audience: a token endpoint's URL could
/// have been injected by another server (RFC 7523bis §4).
fn check_audience(
    audience: &[&str],
    expected: &AssertionExpectations<'_>,
) -> Result<(), AssertionError> {
    let names_server =
        audience.contains(&expected.issuer) || audience.contains(&expected.token_endpoint);
    let issuer = || expected.issuer.to_owned();
    match expected.purpose {
        AssertionUse::ClientAuthentication if audience == [expected.issuer] => Ok(()),
        AssertionUse::Grant if names_server => Ok(()),
        AssertionUse::ClientAuthentication if names_server => {
            Err(AssertionError::AudienceNotAlone { issuer: issuer() })
        }
        AssertionUse::ClientAuthentication | AssertionUse::Grant => {
            let token_endpoint = expected.token_endpoint.to_owned();
            Err(AssertionError::Audience { issuer: issuer(), token_endpoint })
        }
    }
}

fn check_time(
    claims: Claims<'_>,
    expected: &AssertionExpectations<'_>,
    now: UnixTime,
) -> Result<UnixTime, AssertionError> {
    let validity = Validity::read(claims)?;
    let expires_at = validity.end()?;
    if validity.has_ended(expected.skew, now) {
        return Err(AssertionError::Expired);
    }
    let latest = now + expected.skew.max(CLIENT_CLOCK_AHEAD);
    if expires_at > latest + expected.max_lifetime {
        return Err(AssertionError::TooLongLived { allowed: expected.max_lifetime.as_secs() });
    }
    if validity.begins_after(latest) {
        return Err(AssertionError::NotYetValid);
    }
    Ok(expires_at)
}

/// Why an assertion is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// It is meant for another server.
    #[error(
        "aud does not name this server: it must be its issuer identifier, {issuer}, or its token endpoint, \
         {token_endpoint}, letter by letter; localhost and 127.0.0.1 are two names"
    )]
    Audience {
        /// The issuer identifier.
        issuer: String,
        /// The URL of the token endpoint.
        token_endpoint: String,
    },
    /// To authenticate a client it must be meant for this server's issuer identifier alone.
    #[error(
        "to authenticate a client, aud must be the issuer identifier alone, {issuer}: not the token endpoint, \
         and no list with further names"
    )]
    AudienceNotAlone {
        /// The issuer identifier.
        issuer: String,
    },
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It has expired.
    #[error(
        "the assertion has expired by the clock here, which the Date header tells; check the clock"
    )]
    Expired,
    /// `iss` is not `sub`: nobody can vouch for somebody else here.
    #[error("iss and sub must be the same account")]
    Issuer,
    /// `kid` is not a thumbprint.
    #[error("kid is not the RFC 7638 thumbprint of a key, 43 characters; send that, or no kid")]
    KeyId,
    /// Its time has not come.
    #[error(
        "iat or nbf lies in the future, more than {} s ahead of the clock here, which the Date header \
         tells; check the clock",
        CLIENT_CLOCK_AHEAD.as_secs()
    )]
    NotYetValid,
    /// The signature is not by the credential.
    #[error("the signature is wrong")]
    Signature,
    /// It would live longer than allowed.
    #[error("exp lies too far in the future: at most {allowed} s ahead are accepted")]
    TooLongLived {
        /// How far ahead it may lie, in seconds.
        allowed: u64,
    },
    /// It is another kind of JWT.
    #[error("typ says that this is another kind of token")]
    Type,
}

#[cfg(test)]
mod tests;
