//! Standard base64 (RFC 4648 §4) with padding required, in its one canonical spelling.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

/// The text is not canonical padded base64: a foreign character, wrong padding, or stray bits in
/// the last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64 with padding")]
pub struct Base64Error;

/// Decodes canonical padded base64 (RFC 4648 §4).
///
/// # Errors
/// [`Base64Error`] for whitespace, missing or surplus padding, characters outside the alphabet and
/// nonzero trailing bits.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    STANDARD.decode(text).map_err(|_| Base64Error)
}

/// Encodes with padding (RFC 4648 §4).
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
