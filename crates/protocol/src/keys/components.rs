//! The numbers that a public key consists of, and what follows from them alone.

use serde_json::{Map, Value};

use super::algorithm::KeyType;
use super::ed25519;
use super::error::KeyError;
use super::rsa::{self, KeyPolicy};
use super::thumbprint::Thumbprint;
use crate::digest::sha256;
use crate::strict::base64url;

/// The public numbers of a key in their one canonical form: right lengths, no leading zeros.
/// Whether they make a good key is for [`Components::check`] and the cryptographic library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Components {
    Ed25519 { x: [u8; 32] },
    Ec { curve: Curve, point: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A NIST curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// The `crv` value (RFC 7518 §6.2.1.1).
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Bytes per coordinate.
    pub(super) const fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl Components {
    /// From coordinates of full length (RFC 7518 §6.2.1.2).
    pub(super) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        for (name, coordinate) in [("x", x), ("y", y)] {
            if coordinate.len() != curve.coordinate_length() {
                return Err(KeyError::WrongLength(name));
            }
        }
        Ok(Self::Ec { curve, point: [&[0x04], x, y].concat() })
    }

    /// From an encoded point (SEC 1 §2.3.3), which must be uncompressed.
    pub(super) fn ec_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        match point {
            [0x04, coordinates @ ..] if coordinates.len() == 2 * curve.coordinate_length() => {
                Ok(Self::Ec { curve, point: point.to_vec() })
            }
            [0x02 | 0x03 | 0x06 | 0x07, ..] => Err(KeyError::CompressedPoint),
            [0x00] => Err(KeyError::PointNotOnCurve),
            _ => Err(KeyError::WrongLength("point")),
        }
    }

    /// What the cryptographic library does not check, or only at each use.
    pub(super) fn check(&self, policy: &KeyPolicy) -> Result<(), KeyError> {
        match self {
            Self::Ed25519 { x } if !ed25519::is_canonical(x) => Err(KeyError::NonCanonicalPoint),
            Self::Ed25519 { x } if ed25519::is_low_order(x) => Err(KeyError::LowOrderPoint),
            Self::Ed25519 { .. } | Self::Ec { .. } => Ok(()),
            Self::Rsa { n, e } => rsa::check(n, e, policy),
        }
    }

    pub(super) const fn key_type(&self) -> KeyType {
        match self {
            Self::Ed25519 { .. } => KeyType::Ed25519,
            Self::Ec { curve: Curve::P256, .. } => KeyType::EcP256,
            Self::Ec { curve: Curve::P384, .. } => KeyType::EcP384,
            Self::Rsa { .. } => KeyType::Rsa,
        }
    }

    /// The required members of the JWK in the order of RFC 7638 §3.3, with their values.
    fn members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Ed25519 { x } => vec![
                ("crv", "Ed25519".to_owned()),
                ("kty", "OKP".to_owned()),
                ("x", base64url::encode(x)),
            ],
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.coordinate_length());
                vec![
                    ("crv", curve.name().to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", base64url::encode(x)),
                    ("y", base64url::encode(y)),
                ]
            }
            Self::Rsa { n, e } => vec![
                ("e", base64url::encode(e)),
                ("kty", "RSA".to_owned()),
                ("n", base64url::encode(n)),
            ],
        }
    }

    pub(super) fn to_jwk(&self) -> Map<String, Value> {
        self.members().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// RFC 7638 §3. No value needs escaping: all are base64url or plain names.
    pub(super) fn thumbprint(&self) -> Thumbprint {
        let members: Vec<_> =
            self.members().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        Thumbprint::from_bytes(sha256(&[b"{", members.join(",").as_bytes(), b"}"]))
    }
}
