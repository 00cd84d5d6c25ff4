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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("/+8=").unwrap(), [0xff, 0xef]);
        for wrong in [
            "/+8", "/+8==", "/+9=", "_-8=", "/+8= ", " /+8=", "/+8=\n", "/+\n8=", "=", "A", "A===",
            "AA=A", "/+8=/+8=", "ä",
        ] {
            assert_eq!(decode(wrong), Err(Base64Error), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn what_is_read_is_written_back(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
