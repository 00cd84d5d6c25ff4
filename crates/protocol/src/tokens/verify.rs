//! Verifies access tokens (RFC 9068 §4), as every resource server must.

use std::time::Duration;

use thiserror::Error;

use crate::{
    AccountId, AuthenticationContext, AuthenticationMethods, Scopes, UnixTime, Unverified,
    keys::{PublicKey, Thumbprint},
    tokens::{
        claims::{ClaimError, Claims},
        issue::{ACCESS_TOKEN_TYPE, AccessTokenClaims},
        jws::{Jws, JwsError},
        validity::Validity,
    },
};

/// An access token as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct AccessToken<'a>(Unverified<Jws<'a>>);

/// What an access token must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct AccessTokenExpectations<'a> {
    /// The `iss`, exactly.
    pub issuer: &'a str,
    /// An `aud` that must be among the token's.
    pub audience: &'a str,
    /// How far the clocks of issuer and verifier may be apart.
    pub skew: Duration,
}

impl<'a> AccessToken<'a> {
    /// Parses the text of a token.
    ///
    /// # Errors
    /// When it is not a JWT at all.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        Jws::parse(text).map(Self)
    }

    /// The thumbprint of the signing key that the token claims to be signed by.
    pub fn kid(&self) -> Option<Thumbprint> {
        self.0.kid()?.parse().ok()
    }

    /// Checks everything that RFC 9068 §4 demands: type, signature by `key`, issuer, audience and
    /// time; and that the token is bound to a key.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        expected: &AccessTokenExpectations<'_>,
        now: UnixTime,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let claims = self.verify_as_issuer(key, expected.issuer, expected.skew, now)?;
        let meant = claims.audience.iter().any(|audience| audience == expected.audience);
        let expected = || expected.audience.to_owned();
        meant.then_some(claims).ok_or_else(|| AccessTokenError::Audience { expected: expected() })
    }

    /// The same for the issuer itself, which accepts all its own tokens, whatever their audience.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify_as_issuer(
        self,
        key: &PublicKey,
        issuer: &str,
        skew: Duration,
        now: UnixTime,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let jws = self.0.verify(key).map_err(|_| AccessTokenError::Signature)?;
        if !jws.typ().is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)) {
            return Err(AccessTokenError::Type);
        }
        let claims = read_claims(Claims::new(jws.payload()))?;
        if claims.issuer != issuer {
            return Err(AccessTokenError::Issuer);
        }
        let not_before = Claims::new(jws.payload()).optional_date("nbf")?;
        check_time(&claims, not_before, skew, now)?;
        Ok(claims)
    }
}

/// Whether `claims` are within their time at `now`; also for a token that was verified before.
///
/// # Errors
/// When the token is expired or from the future.
pub fn check_time(
    claims: &AccessTokenClaims,
    not_before: Option<UnixTime>,
    skew: Duration,
    now: UnixTime,
) -> Result<(), AccessTokenError> {
    let (issued_at, expires_at) = (Some(claims.issued_at), Some(claims.expires_at));
    check_validity(Validity { issued_at, not_before, expires_at }, skew, now)
}

/// Whether `now` is between `iat`, or `nbf`, and `exp`, where the clocks of issuer and verifier may be
/// `skew` apart.
pub(super) fn check_validity(
    validity: Validity,
    skew: Duration,
    now: UnixTime,
) -> Result<(), AccessTokenError> {
    if validity.has_ended(skew, now) {
        return Err(AccessTokenError::Expired);
    }
    if validity.begins_after(now + skew) {
        return Err(AccessTokenError::NotYetValid);
    }
    Ok(())
}

fn read_claims(claims: Claims<'_>) -> Result<AccessTokenClaims, AccessTokenError> {
    let malformed = |name| move |_| ClaimError::Malformed(name);
    let parsed = |name: &str| name.parse().ok();
    Ok(AccessTokenClaims {
        issuer: claims.string("iss")?.to_owned(),
        account_id: claims
            .string("sub")?
            .parse::<AccountId>()
            .map_err(|_| ClaimError::Malformed("sub"))?,
        audience: claims.audience()?.into_iter().map(str::to_owned).collect(),
        credential: claims.string("client_id")?.parse().map_err(malformed("client_id"))?,
        name: claims.optional_string("name")?.map(str::to_owned),
        // The name is only for people to read, so an invalid one is ignored.
        username: claims.optional_string("preferred_username").ok().flatten().and_then(parsed),
        bound_to: claims.optional_jkt()?.ok_or(AccessTokenError::Unbound)?,
        scopes: match claims.optional_string("scope")? {
            None => Scopes::none(),
            Some(text) => text.parse().map_err(|_| ClaimError::Malformed("scope"))?,
        },
        // The member's presence is enough: the issuer writes it only into narrowed tokens.
        narrowed: claims.has("narrowed"),
        token_id: claims.string("jti")?.to_owned(),
        authentication: read_authentication(claims)?,
        issued_at: claims.date("iat")?,
        expires_at: claims.date("exp")?,
    })
}

/// The login that a token says it comes from. Classes and methods that are not known here vouch for
/// nothing. Without its time, a login is none.
fn read_authentication(claims: Claims<'_>) -> Result<Option<AuthenticationContext>, ClaimError> {
    let methods = AuthenticationMethods::from_names(claims.strings("amr")?);
    let class = claims.optional_string("acr")?.and_then(|name| name.parse().ok());
    let at = claims.optional_date("auth_time")?;
    Ok(at.map(|at| AuthenticationContext { at, methods, class }))
}

/// Why an access token is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessTokenError {
    /// It is meant for other resource servers.
    #[error("the token is meant for another audience than {expected}")]
    Audience {
        /// The one that it must be for.
        expected: String,
    },
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// Somebody else issued it.
    #[error("the token is from another issuer")]
    Issuer,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The signature is not by the issuer's key.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is another kind of JWT.
    #[error("not an access token: its typ says otherwise")]
    Type,
    /// It is bound to no key.
    #[error("the token is not bound to a key")]
    Unbound,
}

#[cfg(test)]
mod tests;
