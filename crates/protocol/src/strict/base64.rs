//! Standard base64 (RFC 4648 §4) with padding required, in its one canonical spelling.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

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

/// Decodes canonical padded base64 in which white space may stand anywhere: MIME writers and command
/// line tools break lines (RFC 2045 §6.8).
///
/// # Errors
/// [`Base64Error`] for everything else that [`decode`] refuses.
pub fn decode_wrapped(text: &str) -> Result<Vec<u8>, Base64Error> {
    // As large as it can become: a text that grows leaves copies of a private key behind.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.split_ascii_whitespace());
    decode(&compact)
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

    #[test]
    fn white_space_may_stand_anywhere_in_wrapped_text() {
        for text in ["/+8=", " /+8=\n", "/+\r\n8=", "/\t+8 ="] {
            assert_eq!(decode_wrapped(text).unwrap(), [0xff, 0xef], "{text:?}");
        }
        for wrong in ["/+8", "/+9=", "_-8=", "/+\u{a0}8="] {
            assert_eq!(decode_wrapped(wrong), Err(Base64Error), "{wrong:?}");
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
