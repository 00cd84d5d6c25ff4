//! COSE keys (RFC 9052 §7; RFC 9053 §7; RFC 8230 §4) as authenticators write them (WebAuthn §6.5.1).

use thiserror::Error;

use super::algorithm::{Algorithm, KeyType};
use super::components::{Components, Curve};
use super::error::{BadSignature, KeyError};
use super::public::PublicKey;
use super::rsa::KeyPolicy;
use crate::strict::cbor::{Key, Map, Value};

/// `kty` (RFC 9052 §7.1).
const KEY_TYPE: i128 = 1;
/// `alg` (RFC 9052 §7.1).
const ALGORITHM: i128 = 3;
/// `crv` of OKP and EC2 keys, `n` of RSA keys.
const CURVE_OR_N: i128 = -1;
/// `x` of OKP and EC2 keys, `e` of RSA keys.
const X_OR_E: i128 = -2;
/// `y` of EC2 keys.
const Y: i128 = -3;

/// An algorithm with which an authenticator can sign. Each is for one kind of key and one curve
/// (WebAuthn §5.8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoseAlgorithm {
    /// EdDSA with Ed25519: −8.
    EdDsa,
    /// ECDSA on P-256 with SHA-256: −7.
    Es256,
    /// ECDSA on P-384 with SHA-384: −35.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256: −257.
    Rs256,
}

impl CoseAlgorithm {
    /// Every algorithm that is supported.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Es256, Self::Es384, Self::Rs256];

    /// The number by which COSE and WebAuthn know it.
    pub const fn id(self) -> i32 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Rs256 => -257,
        }
    }

    /// The algorithm with this number.
    pub fn from_id(id: i128) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| i128::from(algorithm.id()) == id)
    }

    /// The name that JOSE has for it.
    pub const fn jose(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDsa,
            Self::Es256 => Algorithm::Es256,
            Self::Es384 => Algorithm::Es384,
            Self::Rs256 => Algorithm::Rs256,
        }
    }

    /// The labels of a key for it, besides `kty` and `alg`.
    const fn labels(self) -> &'static [i128] {
        match self {
            Self::EdDsa | Self::Rs256 => &[CURVE_OR_N, X_OR_E],
            Self::Es256 | Self::Es384 => &[CURVE_OR_N, X_OR_E, Y],
        }
    }

    /// `kty` of a key for it: OKP, EC2 or RSA.
    const fn key_type(self) -> i128 {
        match self {
            Self::EdDsa => 1,
            Self::Es256 | Self::Es384 => 2,
            Self::Rs256 => 3,
        }
    }
}

/// A COSE key whose form is right. Only the numbers are yet to be checked.
#[derive(Clone, Debug)]
pub struct CoseKey {
    algorithm: CoseAlgorithm,
    components: Components,
}

impl CoseKey {
    /// Reads the form of a public key: `kty`, `alg` and the numbers, and nothing besides them.
    ///
    /// # Errors
    /// [`CoseKeyError`] says which part is missing, wrong or too many.
    pub fn read(key: &Value<'_>) -> Result<Self, CoseKeyError> {
        let key = key.as_map().ok_or(CoseKeyError::NotAMap)?;
        let id = integer(key, ALGORITHM, "alg")?;
        let algorithm = CoseAlgorithm::from_id(id).ok_or(CoseKeyError::UnknownAlgorithm(id))?;
        if integer(key, KEY_TYPE, "kty")? != algorithm.key_type() {
            return Err(CoseKeyError::KeyType(algorithm));
        }
        let known = |label: Key<'_>| match label {
            Key::Integer(KEY_TYPE | ALGORITHM) => true,
            Key::Integer(label) => algorithm.labels().contains(&label),
            Key::Text(_) => false,
        };
        if !key.keys().all(known) {
            return Err(CoseKeyError::OtherLabels);
        }
        Ok(Self { algorithm, components: read_numbers(key, algorithm)? })
    }

    /// The algorithm that the key is for.
    pub const fn algorithm(&self) -> CoseAlgorithm {
        self.algorithm
    }

    /// The key, for this algorithm only.
    ///
    /// # Errors
    /// [`KeyError`] for RSA keys that `policy` refuses, and for points that are not on their curve or
    /// of low order.
    pub fn to_public_key(&self, policy: &KeyPolicy) -> Result<PublicKey, KeyError> {
        let key = PublicKey::from_components(self.components.clone(), policy)?;
        Ok(key.restricted_to(self.algorithm.jose())?.of_passkey())
    }
}

impl PublicKey {
    /// Checks a signature in the form that authenticators make (WebAuthn §6.5.5): DER for EC keys,
    /// PKCS#1 v1.5 for RSA.
    ///
    /// # Errors
    /// [`BadSignature`] when it does not verify, or the key may not be used with that algorithm.
    pub fn verify_webauthn(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match self.key_type() {
            KeyType::EcP256 | KeyType::EcP384 => self.verify_ecdsa_der(message, signature),
            KeyType::Ed25519 => self.verify(Algorithm::EdDsa, message, signature),
            KeyType::Rsa => self.verify(Algorithm::Rs256, message, signature),
        }
    }
}

fn read_numbers(key: &Map<'_>, algorithm: CoseAlgorithm) -> Result<Components, CoseKeyError> {
    let curve = |expected: i128| match integer(key, CURVE_OR_N, "crv")? {
        curve if curve == expected => Ok(()),
        _ => Err(CoseKeyError::Curve(algorithm)),
    };
    match algorithm {
        CoseAlgorithm::EdDsa => {
            curve(6)?;
            let x = bytes(key, X_OR_E, "x")?;
            let x = x.try_into().map_err(|_| CoseKeyError::WrongLength("x"))?;
            Ok(Components::Ed25519 { x })
        }
        CoseAlgorithm::Es256 => {
            curve(1)?;
            ec(key, Curve::P256)
        }
        CoseAlgorithm::Es384 => {
            curve(2)?;
            ec(key, Curve::P384)
        }
        CoseAlgorithm::Rs256 => Ok(Components::Rsa {
            n: number(key, CURVE_OR_N, "n")?.to_vec(),
            e: number(key, X_OR_E, "e")?.to_vec(),
        }),
    }
}

fn ec(key: &Map<'_>, curve: Curve) -> Result<Components, CoseKeyError> {
    // COSE has compressed points, whose y is the sign alone; WebAuthn §5.8.5 has not.
    if key.integer(Y).is_some_and(|y| matches!(y, Value::Bool(_))) {
        return Err(CoseKeyError::CompressedPoint);
    }
    let (x, y) = (bytes(key, X_OR_E, "x")?, bytes(key, Y, "y")?);
    for (name, coordinate) in [("x", x), ("y", y)] {
        if coordinate.len() != curve.coordinate_length() {
            return Err(CoseKeyError::WrongLength(name));
        }
    }
    Ok(Components::Ec { curve, point: [&[0x04], x, y].concat() })
}

fn integer(key: &Map<'_>, label: i128, name: &'static str) -> Result<i128, CoseKeyError> {
    key.integer(label).and_then(Value::as_integer).ok_or(CoseKeyError::Missing(name))
}

fn bytes<'a>(key: &Map<'a>, label: i128, name: &'static str) -> Result<&'a [u8], CoseKeyError> {
    key.integer(label).and_then(Value::as_bytes).ok_or(CoseKeyError::Missing(name))
}

/// RFC 8230 §4: big-endian, as short as possible; here not zero.
fn number<'a>(key: &Map<'a>, label: i128, name: &'static str) -> Result<&'a [u8], CoseKeyError> {
    match bytes(key, label, name)? {
        [] => Err(CoseKeyError::WrongLength(name)),
        [0, ..] => Err(CoseKeyError::LeadingZero(name)),
        number => Ok(number),
    }
}

/// Why something is not the key of an authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CoseKeyError {
    /// `y` is a sign instead of a coordinate.
    #[error("the COSE key has a compressed point, which WebAuthn does not allow")]
    CompressedPoint,
    /// The algorithm belongs to another curve.
    #[error(
        "the COSE key has another curve than its alg {} ({}) belongs to",
        .0.id(),
        .0.jose(),
    )]
    Curve(CoseAlgorithm),
    /// The algorithm belongs to another kind of key.
    #[error("the COSE key is of another kind (kty) than its alg {} ({}) belongs to", .0.id(), .0.jose())]
    KeyType(CoseAlgorithm),
    /// A number has a leading zero byte.
    #[error("the number {0} of the COSE key has a leading zero byte")]
    LeadingZero(&'static str),
    /// A part is missing or of another type.
    #[error("the COSE key lacks {0}, or it is of another type")]
    Missing(&'static str),
    /// Not a map.
    #[error("the COSE key is not a map of CBOR")]
    NotAMap,
    /// More than the parts that a public key of its kind has (WebAuthn §6.5.1).
    #[error("the COSE key has other parts than kty, alg and the numbers of a public key")]
    OtherLabels,
    /// An algorithm that is not supported.
    #[error(
        "the COSE key is for the algorithm {0}; supported are -8 (Ed25519), -7 (ES256), -35 (ES384) and -257 (RS256)"
    )]
    UnknownAlgorithm(i128),
    /// A coordinate or number of the wrong length.
    #[error("{0} of the COSE key has the wrong length")]
    WrongLength(&'static str),
}
