//! base64url without padding (RFC 7515 §2), in its one canonical spelling.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not canonical unpadded base64url: a foreign character, padding, or stray bits in
/// the last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64url without padding")]
pub struct Base64UrlError;

/// Decodes canonical unpadded base64url (RFC 7515 §2, RFC 4648 §3.5).
///
/// # Errors
/// [`Base64UrlError`] for padding, whitespace, `+`, `/`, any other foreign character and nonzero
/// trailing bits.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64UrlError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Base64UrlError)
}

/// The text of 32 bytes, in place.
#[derive(Clone, Copy)]
pub(crate) struct Encoded32([u8; 43]);

impl Encoded32 {
    /// Encodes `bytes`.
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        let mut text = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written, Ok(text.len()));
        Self(text)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Encodes without padding (RFC 7515 §2).
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("_-8").unwrap(), [0xff, 0xef]);
        for wrong in ["_-8=", "_-9", "/+8", "_-8 ", " _-8", "_-8\n", "_-\n8", "A", "AAAAA", "ä"] {
            assert_eq!(decode(wrong), Err(Base64UrlError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn thirty_two_bytes(bytes: [u8; 32]) {
            let encoded = Encoded32::new(&bytes);
            prop_assert_eq!(encoded.as_str(), encode(&bytes));
        }

        #[test]
        fn what_is_read_is_written_back(text in "[A-Za-z0-9_=-]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
