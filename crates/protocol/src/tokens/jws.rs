//! JWS in compact serialisation (RFC 7515 §3.1, §7.1): the one way in and the one way out.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Unverified,
    keys::{Algorithm, BadSignature, PrivateKey, PublicKey, SignError, Thumbprint, Verifications},
    strict::{base64url, json::Object},
};

/// A longer token is refused before anything else is looked at, unless its kind may be longer.
pub const MAX_LEN: usize = 8 * 1024;

/// A token whose header and payload are JSON objects.
#[derive(Debug)]
pub struct Jws<'a> {
    signing_input: &'a str,
    header: Arc<Header>,
    payload: Object,
    signature: Vec<u8>,
}

/// A protected header (RFC 7515 §4), as strictly read as [`Jws::parse`] says.
#[derive(Debug)]
pub(crate) struct Header {
    algorithm: Algorithm,
    members: Map<String, Value>,
}

/// The text of a token in its three segments (RFC 7515 §3.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments<'a> {
    signing_input: &'a str,
    pub(crate) header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Parses `text`, strictly: three segments of canonical base64url, JSON objects without
    /// duplicate members, an asymmetric algorithm that this product supports, and no extension
    /// that it would have to understand (`crit`, `b64`).
    ///
    /// # Errors
    /// One [`JwsError`] for each of these rules.
    pub fn parse(text: &'a str) -> Result<Unverified<Self>, JwsError> {
        Self::parse_up_to(MAX_LEN, text)
    }

    /// The same for a kind of token that may be longer: up to `max_len` bytes.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_up_to(max_len: usize, text: &'a str) -> Result<Unverified<Self>, JwsError> {
        let segments = Segments::split(max_len, text)?;
        let header = Header::parse(segments.header)?;
        Self::under(Arc::new(header), segments)
    }

    /// The token in `segments`, whose header was read before.
    pub(crate) fn under(
        header: Arc<Header>,
        Segments { signing_input, payload, signature, .. }: Segments<'a>,
    ) -> Result<Unverified<Self>, JwsError> {
        let payload = decode_object(payload).ok_or(JwsError::Payload)?;
        let signature = base64url::decode(signature).map_err(|_| JwsError::Signature)?;
        if is_ecdsa_der(header.algorithm, &signature) {
            return Err(JwsError::DerSignature);
        }
        Ok(Unverified::new(Self { signing_input, header, payload, signature }))
    }

    /// The protected header.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header.members
    }

    /// The claims.
    pub const fn payload(&self) -> &Object {
        &self.payload
    }

    /// The `typ` header parameter without the `application/` that RFC 7515 §4.1.9 lets one omit.
    pub fn typ(&self) -> Option<&str> {
        self.header.typ()
    }
}

impl Header {
    /// Reads the first segment of a token.
    pub(crate) fn parse(segment: &str) -> Result<Self, JwsError> {
        let members = decode_object(segment).ok_or(JwsError::Header)?.to_map();
        Ok(Self { algorithm: checked_algorithm(&members)?, members })
    }

    /// As [`Jws::typ`].
    pub(crate) fn typ(&self) -> Option<&str> {
        let typ = self.members.get("typ")?.as_str()?;
        let prefix = typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/"));
        Some(prefix.map_or(typ, |prefix| &typ[prefix.len()..]))
    }

    /// Takes the parameter `name` out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }
}

impl<'a> Segments<'a> {
    /// Splits a text of at most `max_len` bytes.
    pub(crate) fn split(max_len: usize, text: &'a str) -> Result<Self, JwsError> {
        if text.len() > max_len {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        Ok(Self { signing_input, header, payload, signature })
    }
}

impl<'a> Unverified<Jws<'a>> {
    /// The algorithm that the header names.
    pub fn algorithm(&self) -> Algorithm {
        self.content().header.algorithm
    }

    /// The `kid` header parameter, to look a key up by.
    pub fn kid(&self) -> Option<&str> {
        self.content().header().get("kid")?.as_str()
    }

    /// Header and payload as they are signed.
    pub(crate) const fn signing_input(&self) -> &'a str {
        self.content().signing_input
    }

    /// The `sub` claim, to look a key up by.
    pub fn subject(&self) -> Option<&str> {
        self.content().payload.get("sub")?.as_str()
    }

    /// Checks the signature by `key`, with the header's algorithm if the key may be used with it.
    ///
    /// # Errors
    /// When the algorithm does not fit the key or the signature is not by it.
    pub fn verify(self, key: &PublicKey) -> Result<Jws<'a>, BadSignature> {
        let jws = self.content();
        key.verify(jws.header.algorithm, jws.signing_input.as_bytes(), &jws.signature)?;
        Ok(self.into_verified())
    }

    /// The same, by whichever of `keys` has signed it. Keys that cannot have signed it are skipped,
    /// and no more are tried than one request may cost ([`Verifications`]).
    ///
    /// # Errors
    /// When none of them has.
    pub fn verify_by_any<'k>(
        self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<(Jws<'a>, &'k PublicKey), BadSignature> {
        let mut budget = Verifications::default();
        let mut keys = keys.into_iter().filter(|key| self.may_be_by(key) && budget.afford(key, 1));
        let jws = self.content();
        let signed = jws.signing_input.as_bytes();
        let has_signed =
            |key: &&PublicKey| key.verify(jws.header.algorithm, signed, &jws.signature).is_ok();
        let signer = keys.find(has_signed).ok_or(BadSignature)?;
        drop(keys);
        Ok((self.into_verified(), signer))
    }

    /// What [`Self::verify_by_any`] costs at most, in verifications by an ordinary key.
    pub fn cost_of_any<'k>(&self, keys: impl IntoIterator<Item = &'k PublicKey>) -> u32 {
        let mut budget = Verifications::default();
        for key in keys.into_iter().filter(|key| self.may_be_by(key)) {
            budget.afford(key, 1);
        }
        budget.spent()
    }

    /// Whether `key` can have made the signature, by its algorithm and its length.
    pub fn may_be_by(&self, key: &PublicKey) -> bool {
        let jws = self.content();
        key.can_have_made(jws.header.algorithm, &jws.signature)
    }
}

/// Signs `claims`, which must be an object, as a JWT of the type `typ`. The thumbprint of `key` becomes
/// the `kid`, by which verifiers know the key.
///
/// # Errors
/// When the key cannot sign with `algorithm`.
pub fn sign_typed(
    typ: &str,
    key: &PrivateKey,
    algorithm: Algorithm,
    claims: &impl Serialize,
) -> Result<String, SignError> {
    let kid = Some(key.public_key().thumbprint());
    write(key, algorithm, &TypedHeader { alg: algorithm.name(), jwk: None, kid, typ }, claims)
}

/// The same for verifiers that may not know `key`: the header carries it as `jwk`.
///
/// # Errors
/// When the cryptographic library cannot sign.
pub fn sign_with_jwk(
    typ: &str,
    key: &PrivateKey,
    claims: &impl Serialize,
) -> Result<String, SignError> {
    let (algorithm, jwk) = (key.algorithm(), Some(key.public_key().to_jwk()));
    write(key, algorithm, &TypedHeader { alg: algorithm.name(), jwk, kid: None, typ }, claims)
}

/// Signs `payload`, which must be an object, under a header of any form, to which `alg` is added: for
/// those who try what verifiers refuse.
///
/// # Errors
/// When the key cannot sign with `algorithm`.
pub fn sign(
    key: &PrivateKey,
    algorithm: Algorithm,
    header: &Map<String, Value>,
    payload: &impl Serialize,
) -> Result<String, SignError> {
    let mut protected = header.clone();
    protected.insert("alg".to_owned(), algorithm.name().into());
    write(key, algorithm, &protected, payload)
}

/// The header of what is signed here, its parameters in alphabetical order.
#[derive(Serialize)]
struct TypedHeader<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Thumbprint>,
    typ: &'a str,
}

fn write(
    key: &PrivateKey,
    algorithm: Algorithm,
    header: &impl Serialize,
    payload: &impl Serialize,
) -> Result<String, SignError> {
    let header = base64url::encode(&to_json(header)?);
    let input = signing_input(header, payload)?;
    let signature = key.sign(algorithm, input.as_bytes())?;
    Ok(with_signature(input, &signature))
}

/// What is signed: the encoded header and the payload (RFC 7515 §5.1).
pub(super) fn signing_input(header: String, payload: &impl Serialize) -> Result<String, SignError> {
    let mut input = header;
    input.push('.');
    input.push_str(&base64url::encode(&to_json(payload)?));
    Ok(input)
}

/// The token of a signing input and its signature.
pub(super) fn with_signature(input: String, signature: &[u8]) -> String {
    let mut token = input;
    token.push('.');
    token.push_str(&base64url::encode(signature));
    token
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, SignError> {
    serde_json::to_vec(value).map_err(|_| SignError::Payload)
}

fn decode_object(segment: &str) -> Option<Object> {
    Object::parse(base64url::decode(segment).ok()?).ok()
}

/// What a `SEQUENCE` in DER begins with.
const SEQUENCE: u8 = 0x30;

/// Whether this is an ECDSA signature in DER (RFC 3279 §2.2.3). Most programs make that form by
/// default, but JWS does not know it (RFC 7518 §3.4).
fn is_ecdsa_der(algorithm: Algorithm, signature: &[u8]) -> bool {
    let length = match algorithm {
        Algorithm::Es256 => 64,
        Algorithm::Es384 => 96,
        Algorithm::EdDsa | Algorithm::Ps256 | Algorithm::Rs256 => return false,
    };
    signature.len() != length
        && matches!(signature, [SEQUENCE, rest, ..] if usize::from(*rest) == signature.len() - 2)
}

fn checked_algorithm(header: &Map<String, Value>) -> Result<Algorithm, JwsError> {
    // RFC 7515 §4.1.11: an extension in `crit` that is not understood makes the token invalid, and
    // none is understood here. RFC 7797 §6 lets `b64` stand only together with `crit`.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(JwsError::Critical);
    }
    let text = |name| header.get(name).is_none_or(Value::is_string);
    if !text("typ") || !text("kid") {
        return Err(JwsError::Header);
    }
    if header.get("cty").and_then(Value::as_str).is_some_and(|cty| cty.eq_ignore_ascii_case("JWT"))
    {
        return Err(JwsError::Nested);
    }
    let name = header.get("alg").and_then(Value::as_str).ok_or(JwsError::Algorithm)?;
    Algorithm::from_name(name).ok_or(JwsError::Algorithm)
}

/// Why a text is not a token that could be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JwsError {
    /// `alg` is missing, `none`, symmetric or unknown.
    #[error("the token's algorithm is not one of EdDSA, Ed25519, ES256, ES384, PS256, RS256")]
    Algorithm,
    /// `crit` or `b64` demands an extension that is not understood.
    #[error("the token demands an extension that is not supported")]
    Critical,
    /// The signature is in DER.
    #[error(
        "the signature is an ECDSA signature in DER; JWS wants r and s one after the other, 64 bytes \
         for ES256 and 96 for ES384 (RFC 7518 section 3.4)"
    )]
    DerSignature,
    /// The header is not base64url of a JSON object, or a parameter has the wrong type.
    #[error("the token's header is malformed")]
    Header,
    /// `cty` says that the payload is another JWT (RFC 7519 §5.2, §7.2 step 8).
    #[error("cty says that there is another JWT inside; nested JWTs are not accepted")]
    Nested,
    /// There are not three segments.
    #[error("not a compact JWT of three segments")]
    NotCompact,
    /// The payload is not base64url of a JSON object.
    #[error("the token's payload is malformed")]
    Payload,
    /// The signature is not base64url.
    #[error("the token's signature is malformed")]
    Signature,
    /// Longer than [`MAX_LEN`], or what its kind allows.
    #[error("the token is too long")]
    TooLong,
}

#[cfg(test)]
mod tests;
