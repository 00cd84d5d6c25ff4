//! The texts that a client signs to prove that it holds a key: DPoP proofs, JWT assertions, and
//! JWTs in place of a token.

use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::digest::sha256;
use countersign_protocol::keys::{PrivateKey, SignError, Thumbprint};
use countersign_protocol::ports::{Random, random_bytes};
use countersign_protocol::proofs::body_hash;
use countersign_protocol::proofs::dpop;
use countersign_protocol::strict::base64url;
use countersign_protocol::tokens::jws;
use serde_json::{Map, Value, json};

use crate::token::AccessToken;

/// How long an assertion is valid: enough for a clock that is a little off and a slow network.
pub const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// The request that a DPoP proof is for.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The method, in the case in which it is sent (`htm`).
    pub method: &'a str,
    /// The URI as it is sent, without query and fragment (`htu`): RFC 9449 §4.2 leaves normalising
    /// it to the verifier.
    pub uri: &'a str,
    /// The access token that the request carries (`ath`).
    pub access_token: Option<&'a AccessToken>,
    /// The newest nonce that the server supplied.
    pub nonce: Option<&'a str>,
    /// The body of the request, if the proof shall be good for no other (`tha`). A server demands it
    /// where keys are changed; others do not look at it.
    pub body: Option<&'a [u8]>,
}

impl Proof<'_> {
    /// The value of the `DPoP` header (RFC 9449 §4.2), signed by `key` and good for one use.
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn sign(
        &self,
        key: &PrivateKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<String, SignError> {
        let hash = |token: &AccessToken| base64url::encode(&sha256(&[token.expose().as_bytes()]));
        let claims = [
            ("jti", fresh_id(random).into()),
            ("htm", self.method.into()),
            ("htu", self.uri.into()),
            ("iat", now.as_secs().into()),
            ("ath", self.access_token.map(hash).into()),
            ("nonce", self.nonce.into()),
            (body_hash::CLAIM, self.body.map(body_hash::sha256_hex).into()),
        ];
        jws::sign_with_jwk(dpop::TYPE, key, &object(claims))
    }
}

/// The proof that a new key signs to be added to one account.
#[derive(Clone, Copy)]
pub struct NewKeyProof<'a> {
    /// The URI that the keys of an account are added at (`htu`); the method is POST.
    pub uri: &'a str,
    /// The username or the id of the account (`sub`).
    pub account: &'a str,
}

impl NewKeyProof<'_> {
    /// A proof in the form of DPoP, signed by the new key `key` and good for one use.
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn sign(
        &self,
        key: &PrivateKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<String, SignError> {
        // Without a nonce: nonces of a resource are for proofs with a token (RFC 9449 §9).
        let claims = [
            ("jti", fresh_id(random).into()),
            ("htm", "POST".into()),
            ("htu", self.uri.into()),
            ("iat", now.as_secs().into()),
            ("sub", self.account.into()),
        ];
        jws::sign_with_jwk(dpop::TYPE, key, &object(claims))
    }
}

/// The statement "I am this account, now", by which a key logs in (RFC 7523 §3).
#[derive(Clone, Copy)]
pub struct Assertion<'a> {
    /// The account id or the username (`iss` and `sub`).
    pub subject: &'a str,
    /// The issuer identifier of the server (`aud`).
    pub audience: &'a str,
    /// Another key, to which the token shall be bound (`cnf.jkt`). Without it, the token is bound
    /// to the key that signs the assertion.
    pub session_key: Option<Thumbprint>,
}

impl Assertion<'_> {
    /// The value of the `assertion` parameter, signed by `key`, good for one use and for
    /// [`ASSERTION_LIFETIME`].
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn sign(
        &self,
        key: &PrivateKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<String, SignError> {
        let confirmation = |key: Thumbprint| json!({ "jkt": key.to_string() });
        let claims = [
            ("iss", self.subject.into()),
            ("sub", self.subject.into()),
            ("aud", self.audience.into()),
            ("iat", now.as_secs().into()),
            ("exp", (now + ASSERTION_LIFETIME).as_secs().into()),
            ("jti", fresh_id(random).into()),
            ("cnf", self.session_key.map(confirmation).into()),
        ];
        jws::sign_typed("JWT", key, key.algorithm(), &object(claims))
    }
}

/// How long a self-signed JWT is valid.
pub const SELF_SIGNED_LIFETIME: Duration = Duration::from_mins(1);

/// A JWT that authenticates one request all by itself, in the *self-signed* dialect.
#[derive(Clone, Copy)]
pub struct SelfSigned<'a> {
    /// The account id or the username (`sub`).
    pub account: &'a str,
    /// The server that it is for (`aud`).
    pub audience: &'a str,
    /// The body of the request that it is for, if it shall be good for no other (`tha`).
    pub body: Option<&'a [u8]>,
}

impl SelfSigned<'_> {
    /// The bearer token, signed by `key`, good for one use and for [`SELF_SIGNED_LIFETIME`].
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn sign(
        &self,
        key: &PrivateKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<String, SignError> {
        // Without `iss`, which would make it an assertion.
        let claims = [
            ("sub", self.account.into()),
            ("aud", self.audience.into()),
            ("iat", now.as_secs().into()),
            ("exp", (now + SELF_SIGNED_LIFETIME).as_secs().into()),
            ("jti", fresh_id(random).into()),
            (body_hash::CLAIM, self.body.map(body_hash::sha256_hex).into()),
        ];
        jws::sign_typed("JWT", key, key.algorithm(), &object(claims))
    }
}

/// 128 random bits: RFC 9449 §4.2 asks for at least 96.
fn fresh_id(random: &dyn Random) -> String {
    base64url::encode(&random_bytes::<16>(random))
}

/// A JSON object of the members that have a value.
fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    members.map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
