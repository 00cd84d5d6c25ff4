//! Keys and their identity: JWK (RFC 7517, 7518, 8037), PEM, DER and COSE in, thumbprints (RFC 7638)
//! out.
//!
//! A [`PublicKey`] has been checked when it exists: right type, right size, on its curve, one
//! canonical form. It stays parsed, so verifying costs no more than the signature itself. Two
//! encodings of one key always give one [`Thumbprint`], and two keys never do.

mod algorithm;
mod components;
mod cose;
mod cost;
mod decoy;
mod der;
mod ecdsa_der;
mod ed25519;
mod error;
mod foreign;
mod jwk;
mod openssh;
mod private;
mod public;
pub mod raw_rsa;
mod rsa;
mod spki;
mod text;
mod thumbprint;

pub use algorithm::{Algorithm, KeyType};
pub use cose::{CoseAlgorithm, CoseKey, CoseKeyError};
pub use cost::{VERIFICATIONS, Verifications};
pub use decoy::decoy;
pub use error::{BadSignature, KeyError, SignError};
pub use jwk::PresentedJwk;
pub use private::{NewKey, PrivateKey};
pub use public::PublicKey;
pub use rsa::KeyPolicy;
pub use text::MAX_KEY_TEXT;
pub use thumbprint::{InvalidThumbprint, Thumbprint};

#[cfg(test)]
mod tests;
