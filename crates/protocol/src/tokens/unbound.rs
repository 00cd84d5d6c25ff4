//! Tokens that are bound to no key: anybody who holds one may use it, where such tokens are
//! accepted at all.
//!
//! Their `typ` is `JWT` (RFC 8725 §3.11), so they cannot be mistaken for access tokens, nor access
//! tokens for them.

use std::time::Duration;

use serde::Serialize;

use crate::{
    AccountId, UnixTime, Unverified,
    keys::{Algorithm, PrivateKey, PublicKey, SignError, Thumbprint},
    tokens::{
        claims::{ClaimError, Claims},
        issue::ACCESS_TOKEN_TYPE,
        jws::{self, Jws, JwsError},
        validity::Validity,
        verify::{AccessTokenError, check_validity},
    },
};

const TYPE: &str = "JWT";

/// What an unbound token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnboundClaims {
    /// `iss`: who issued it.
    pub issuer: String,
    /// `sub`: whom it speaks for.
    pub account_id: AccountId,
    /// `name`: the account's name.
    pub name: String,
    /// `jti`.
    pub token_id: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
}

impl UnboundClaims {
    /// Signs the claims with the signing key `key`, whose thumbprint becomes the `kid`.
    ///
    /// # Errors
    /// When the key cannot sign with `algorithm`.
    pub fn sign(&self, key: &PrivateKey, algorithm: Algorithm) -> Result<String, SignError> {
        let payload = Payload {
            exp: self.expires_at.as_secs(),
            iat: self.issued_at.as_secs(),
            iss: &self.issuer,
            jti: &self.token_id,
            name: &self.name,
            sub: self.account_id,
        };
        jws::sign_typed(TYPE, key, algorithm, &payload)
    }
}

/// The claims as they are written. There is no `aud`: common libraries refuse a token that has one
/// unless they are told which to expect, and the clients of these were written for tokens without.
#[derive(Serialize)]
struct Payload<'a> {
    exp: u64,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    name: &'a str,
    sub: AccountId,
}

/// An unbound token as it was presented: nothing in it is trusted until [`Self::verify`].
#[derive(Debug)]
pub struct UnboundToken<'a>(Unverified<Jws<'a>>);

impl<'a> UnboundToken<'a> {
    /// Parses the text of a token.
    ///
    /// # Errors
    /// When it is not a JWT at all.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        Jws::parse(text).map(Self)
    }

    /// Whether it says that `issuer` issued it, unlike a JWT that a client signed itself.
    pub fn claims_to_be_from(&self, issuer: &str) -> bool {
        Claims::new(self.0.content().payload()).optional_string("iss") == Ok(Some(issuer))
    }

    /// Whether it says that it is an access token, which is bound to a key.
    pub fn claims_to_be_an_access_token(&self) -> bool {
        let typ = self.0.content().typ();
        typ.is_some_and(|typ| typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE))
    }

    /// The thumbprint of the signing key that the token claims to be signed by.
    pub fn kid(&self) -> Option<Thumbprint> {
        self.0.kid()?.parse().ok()
    }

    /// Checks type, signature by `key`, issuer and time. Its audience is missing or the issuer:
    /// such a token is for every API that trusts the issuer's keys.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        issuer: &str,
        skew: Duration,
        now: UnixTime,
    ) -> Result<UnboundClaims, AccessTokenError> {
        let jws = self.0.verify(key).map_err(|_| AccessTokenError::Signature)?;
        if jws.typ() != Some(TYPE) {
            return Err(AccessTokenError::Type);
        }
        let claims = read_claims(Claims::new(jws.payload()))?;
        if claims.issuer != issuer {
            return Err(AccessTokenError::Issuer);
        }
        let payload = Claims::new(jws.payload());
        if payload.has("aud") && payload.audience()? != [issuer] {
            return Err(AccessTokenError::Audience { expected: issuer.to_owned() });
        }
        check_validity(Validity::read(payload)?, skew, now)?;
        Ok(claims)
    }
}

fn read_claims(claims: Claims<'_>) -> Result<UnboundClaims, ClaimError> {
    Ok(UnboundClaims {
        issuer: claims.string("iss")?.to_owned(),
        account_id: claims.string("sub")?.parse().map_err(|_| ClaimError::Malformed("sub"))?,
        name: claims.string("name")?.to_owned(),
        token_id: claims.string("jti")?.to_owned(),
        issued_at: claims.date("iat")?,
        expires_at: claims.date("exp")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_support::{NOW, ec_p256, ed25519, object};

    const ISSUER: &str = "https://auth.example";
    const SKEW: Duration = Duration::from_secs(5);

    fn claims() -> UnboundClaims {
        UnboundClaims {
            issuer: ISSUER.to_owned(),
            account_id: AccountId::from_bytes([7; 16]),
            name: "alice".to_owned(),
            token_id: "token 1".to_owned(),
            issued_at: NOW,
            expires_at: NOW + Duration::from_mins(5),
        }
    }

    fn verify(token: &str, now: UnixTime) -> Result<UnboundClaims, AccessTokenError> {
        let token = UnboundToken::parse(token).unwrap();
        token.verify(ed25519(1).public_key(), ISSUER, SKEW, now)
    }

    fn signed(claims: &UnboundClaims) -> String {
        claims.sign(&ed25519(1), Algorithm::EdDsa).unwrap()
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let token = signed(&claims());
        assert_eq!(verify(&token, NOW), Ok(claims()));
        let token = UnboundToken::parse(&token).unwrap();
        assert_eq!(token.kid(), Some(ed25519(1).public_key().thumbprint()));
        assert!(token.claims_to_be_from(ISSUER));
        assert!(!token.claims_to_be_from("https://other.example"));
    }

    #[test]
    fn members_are_written_in_alphabetical_order() {
        let header = json!({ "typ": TYPE, "kid": ed25519(1).public_key().thumbprint() });
        let payload = json!({
            "iss": ISSUER,
            "sub": claims().account_id,
            "name": "alice",
            "jti": "token 1",
            "iat": NOW.as_secs(),
            "exp": NOW.as_secs() + 300,
        });
        let expected = jws::sign(&ed25519(1), Algorithm::EdDsa, &object(header), &payload);
        assert_eq!(Ok(signed(&claims())), expected);
    }

    #[test]
    fn another_key_issuer_type_or_time_is_refused() {
        let other = claims().sign(&ec_p256(), Algorithm::Es256).unwrap();
        assert_eq!(verify(&other, NOW), Err(AccessTokenError::Signature));
        let other = UnboundClaims { issuer: "https://other.example".to_owned(), ..claims() };
        assert_eq!(verify(&signed(&other), NOW), Err(AccessTokenError::Issuer));
        let end = claims().expires_at + SKEW;
        assert_eq!(verify(&signed(&claims()), end), Err(AccessTokenError::Expired));
        let before = NOW - SKEW - Duration::from_secs(1);
        assert_eq!(verify(&signed(&claims()), before), Err(AccessTokenError::NotYetValid));
        for typ in ["at+jwt", "jwt", "dpop+jwt"] {
            let header = [("typ".to_owned(), typ.into())].into_iter().collect();
            let token = signed(&claims());
            let payload = Jws::parse(&token).unwrap().content().payload().to_map();
            let token = jws::sign(&ed25519(1), Algorithm::EdDsa, &header, &payload).unwrap();
            assert_eq!(verify(&token, NOW), Err(AccessTokenError::Type), "{typ}");
        }
    }

    #[test]
    fn an_audience_is_the_issuer_or_none() {
        let token = signed(&claims());
        let mut payload = Jws::parse(&token).unwrap().content().payload().to_map();
        assert_eq!(payload.get("aud"), None);
        let header = [("typ".to_owned(), TYPE.into())].into_iter().collect();
        let mut with = |aud: serde_json::Value| {
            payload.insert("aud".to_owned(), aud);
            let token = jws::sign(&ed25519(1), Algorithm::EdDsa, &header, &payload).unwrap();
            verify(&token, NOW).map(drop)
        };
        let other = || Err(AccessTokenError::Audience { expected: ISSUER.to_owned() });
        assert_eq!(with(json!("https://api.example")), other());
        assert_eq!(with(json!([ISSUER, "https://api.example"])), other());
        assert_eq!(with(json!([ISSUER])), Ok(()));
    }

    #[test]
    fn an_account_that_is_none_is_refused() {
        let token = signed(&claims());
        let mut payload = Jws::parse(&token).unwrap().content().payload().to_map();
        payload.insert("sub".to_owned(), "alice".into());
        let header = [("typ".to_owned(), TYPE.into())].into_iter().collect();
        let token = jws::sign(&ed25519(1), Algorithm::EdDsa, &header, &payload).unwrap();
        let expected = AccessTokenError::Claim(ClaimError::Malformed("sub"));
        assert_eq!(verify(&token, NOW), Err(expected));
    }
}
