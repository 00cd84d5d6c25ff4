//! The numbers that a public key consists of, and the forms and checks that need nothing else.

use serde_json::{Map, Value};

use super::algorithm::KeyType;
use super::ed25519;
use super::error::KeyError;
use super::rsa::{self, KeyPolicy};
use super::thumbprint::Thumbprint;
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
            [0x02 | 0x03, ..] => Err(KeyError::CompressedPoint),
            [0x06 | 0x07, ..] => Err(KeyError::HybridPoint),
            [0x00] => Err(KeyError::PointNotOnCurve),
            _ => Err(KeyError::WrongLength("point")),
        }
    }

    /// Checks what the cryptographic library does not, or only at each use.
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

    /// The names of the required members of the JWK, in the order of RFC 7638 §3.3.
    pub(super) const fn required_members(&self) -> &'static [&'static str] {
        match self {
            Self::Ed25519 { .. } => &["crv", "kty", "x"],
            Self::Ec { .. } => &["crv", "kty", "x", "y"],
            Self::Rsa { .. } => &["e", "kty", "n"],
        }
    }

    /// The required members of the JWK in that order, with their values.
    fn members(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = match self {
            Self::Ed25519 { x } => {
                vec!["Ed25519".to_owned(), "OKP".to_owned(), base64url::encode(x)]
            }
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.coordinate_length());
                let (x, y) = (base64url::encode(x), base64url::encode(y));
                vec![curve.name().to_owned(), "EC".to_owned(), x, y]
            }
            Self::Rsa { n, e } => {
                vec![base64url::encode(e), "RSA".to_owned(), base64url::encode(n)]
            }
        };
        self.required_members().iter().copied().zip(values)
    }

    pub(super) fn to_jwk(&self) -> Map<String, Value> {
        self.members().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    /// RFC 7638 §3.
    pub(super) fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of_members(self.members())
    }
}
