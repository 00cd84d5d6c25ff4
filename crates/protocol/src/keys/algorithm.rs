//! Signature algorithms and key types.

use std::fmt;

/// A JWS signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1) that this product signs and verifies.
///
/// There is no `none`, no MAC and no SHA-1 here, so none can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037); 64-byte signatures.
    EdDsa,
    /// ECDSA on P-256 with SHA-256; 64-byte `r‖s`.
    Es256,
    /// ECDSA on P-384 with SHA-384; 96-byte `r‖s`.
    Es384,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a 32-byte salt.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// Every algorithm, by name.
    pub const ALL: [Self; 5] = [Self::EdDsa, Self::Es256, Self::Es384, Self::Ps256, Self::Rs256];

    /// Every `alg` value that is accepted: `Ed25519` is RFC 9864's name for what RFC 8037 calls
    /// `EdDSA`.
    pub const NAMES: [&str; 6] = ["EdDSA", "Ed25519", "ES256", "ES384", "PS256", "RS256"];

    /// The `alg` value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm that an `alg` value names, which is case-sensitive (RFC 7515 §4.1.1).
    ///
    /// `Ed25519` (RFC 9864) is the newer name of what `EdDSA` means with the one curve that is
    /// supported here.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    /// Whether keys of this type sign with it.
    pub(super) const fn fits(self, key_type: KeyType) -> bool {
        matches!(
            (self, key_type),
            (Self::EdDsa, KeyType::Ed25519)
                | (Self::Es256, KeyType::EcP256)
                | (Self::Es384, KeyType::EcP384)
                | (Self::Ps256 | Self::Rs256, KeyType::Rsa)
        )
    }

    /// The one-element list of this algorithm.
    pub(super) const fn alone(self) -> &'static [Self] {
        match self {
            Self::EdDsa => &[Self::EdDsa],
            Self::Es256 => &[Self::Es256],
            Self::Es384 => &[Self::Es384],
            Self::Ps256 => &[Self::Ps256],
            Self::Rs256 => &[Self::Rs256],
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A kind of public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// An elliptic-curve key on NIST P-256.
    EcP256,
    /// An elliptic-curve key on NIST P-384.
    EcP384,
    /// RSA.
    Rsa,
}

impl KeyType {
    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EcP256 => "EC P-256",
            Self::EcP384 => "EC P-384",
            Self::Rsa => "RSA",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
