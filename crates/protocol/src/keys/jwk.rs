//! JSON Web Keys (RFC 7517; RSA and EC: RFC 7518 §6; Ed25519: RFC 8037 §2).

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::components::{Components, Curve};
use super::error::KeyError;
use super::thumbprint::Thumbprint;
use crate::strict::base64url;

/// Members that only private and symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
pub(super) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public JWK whose form is right. Only the numbers are yet to be checked: RSA size and
/// weaknesses, points off the curve or of low order.
///
/// Every fault of its text would have been found, so a JWK with the thumbprint of a known key is
/// that key; only its `alg` may differ. So a key that was parsed before need not be parsed again
/// ([`PublicKey::from_presented`](super::PublicKey::from_presented)).
#[derive(Clone, Debug)]
pub struct PresentedJwk {
    pub(super) components: Components,
    pub(super) thumbprint: Thumbprint,
    /// The one algorithm that the key is for, if the JWK says so.
    pub(super) alg: Option<Algorithm>,
}

impl PresentedJwk {
    /// Reads the form of a public JWK. `kid`, `x5c` and other members that say nothing about the
    /// key itself are ignored.
    ///
    /// # Errors
    /// As [`PublicKey::from_jwk`](super::PublicKey::from_jwk), save for what only the numbers tell.
    pub fn read(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.contains_key(*name)) {
            return Err(KeyError::PrivateMember(member));
        }
        if !jwk.contains_key("kty") && jwk.contains_key("keys") {
            return Err(KeyError::JwkSet);
        }
        let components = match string(jwk, "kty")? {
            "OKP" => read_okp(jwk)?,
            "EC" => read_ec(jwk)?,
            "RSA" => read_rsa(jwk)?,
            "oct" => return Err(KeyError::UnsupportedKeyType("symmetric")),
            "AKP" => return Err(KeyError::UnsupportedKeyType("ML-DSA")),
            _ => return Err(KeyError::UnknownKeyType),
        };
        check_use(jwk)?;
        check_key_ops(jwk)?;
        let alg = read_alg(jwk, &components)?;
        // Every value has only one spelling, so the thumbprint can be computed from the text as it
        // is.
        let value = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let members = components.required_members().iter().map(|name| (*name, value(name)));
        Ok(Self { thumbprint: Thumbprint::of_members(members), components, alg })
    }

    /// The RFC 7638 thumbprint.
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

fn read_okp(jwk: &Map<String, Value>) -> Result<Components, KeyError> {
    match string(jwk, "crv")? {
        "Ed25519" => {}
        "X25519" => return Err(KeyError::UnsupportedCurve("X25519")),
        "Ed448" => return Err(KeyError::UnsupportedCurve("Ed448")),
        "X448" => return Err(KeyError::UnsupportedCurve("X448")),
        _ => return Err(KeyError::UnknownCurve),
    }
    let x = bytes(jwk, "x")?.try_into().map_err(|_| KeyError::WrongLength("x"))?;
    Ok(Components::Ed25519 { x })
}

fn read_ec(jwk: &Map<String, Value>) -> Result<Components, KeyError> {
    let curve = match string(jwk, "crv")? {
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        "P-521" => return Err(KeyError::UnsupportedCurve("P-521")),
        "secp256k1" => return Err(KeyError::UnsupportedCurve("secp256k1")),
        _ => return Err(KeyError::UnknownCurve),
    };
    Components::ec(curve, &bytes(jwk, "x")?, &bytes(jwk, "y")?)
}

fn read_rsa(jwk: &Map<String, Value>) -> Result<Components, KeyError> {
    Ok(Components::Rsa { n: number(jwk, "n")?, e: number(jwk, "e")? })
}

/// RFC 7517 §4.2.
fn check_use(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    match jwk.get("use") {
        None => Ok(()),
        Some(Value::String(value)) if value == "sig" => Ok(()),
        Some(_) => Err(KeyError::InvalidUse),
    }
}

/// RFC 7517 §4.3.
fn check_key_ops(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    let Some(value) = jwk.get("key_ops") else { return Ok(()) };
    let operations: Vec<_> = value
        .as_array()
        .and_then(|operations| operations.iter().map(Value::as_str).collect())
        .ok_or(KeyError::InvalidKeyOps)?;
    let mut distinct = operations.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() == operations.len() && operations.contains(&"verify") {
        Ok(())
    } else {
        Err(KeyError::InvalidKeyOps)
    }
}

/// RFC 7517 §4.4.
fn read_alg(
    jwk: &Map<String, Value>,
    components: &Components,
) -> Result<Option<Algorithm>, KeyError> {
    let Some(value) = jwk.get("alg") else { return Ok(None) };
    value
        .as_str()
        .and_then(Algorithm::from_name)
        .filter(|algorithm| algorithm.fits(components.key_type()))
        .map(Some)
        .ok_or(KeyError::AlgorithmMismatch)
}

fn string<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, KeyError> {
    jwk.get(name).and_then(Value::as_str).ok_or(KeyError::MissingMember(name))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    base64url::decode(string(jwk, name)?).map_err(|_| KeyError::NotBase64Url(name))
}

/// A `Base64urlUInt` (RFC 7518 §2): big-endian, as short as possible, here not zero.
fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(jwk, name)?;
    match bytes.first() {
        None => Err(KeyError::WrongLength(name)),
        Some(0) => Err(KeyError::LeadingZero(name)),
        Some(_) => Ok(bytes),
    }
}
