//! What is this text? Recognises the many forms of keys, and names the common things that are no
//! key.

use zeroize::Zeroizing;

use super::error::KeyError;
use super::{foreign, openssh};
use crate::strict::{base64, base64url};

/// The longest text of a key, in bytes, that anything here looks at.
pub const MAX_KEY_TEXT: usize = 16 * 1024;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The first byte of a key in DER.
const DER_SEQUENCE: u8 = 0x30;

/// The text of a key, by its form. Its content has not been looked at.
pub(super) enum KeyText<'a> {
    /// A JWK.
    Json(&'a str),
    /// One or more PEM blocks.
    Pem(&'a str),
    /// A line of OpenSSH.
    OpenSshLine(&'a str),
    /// A public key of OpenSSH or others in a file of its own (RFC 4716).
    OpenSshFile(&'a str),
    /// A private key file of `PuTTY`.
    Putty(&'a str),
    /// A private key of ssh.com.
    SshCom,
    /// Standard base64 of this DER.
    Base64(Zeroizing<Vec<u8>>),
}

impl<'a> KeyText<'a> {
    /// Tells the form of `text`. White space around it means nothing, nor does a byte order mark,
    /// save before JSON.
    pub(super) fn recognize(text: &'a str) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_TEXT {
            return Err(KeyError::TooLong);
        }
        let marked = text.trim_ascii();
        let text = marked.trim_start_matches(BYTE_ORDER_MARK).trim_ascii();
        if text.is_empty() {
            Err(KeyError::Empty)
        } else if text.starts_with('{') {
            // JSON has no byte order mark (RFC 8259 §8.1); the JSON reader refuses it.
            Ok(Self::Json(marked))
        } else if let Some(error) = foreign::in_text(text) {
            Err(error)
        } else if text.contains("-----BEGIN") || text.starts_with("-----") {
            Ok(Self::Pem(text))
        } else if openssh::is_public(text) {
            Ok(Self::OpenSshLine(text))
        } else if text.starts_with(openssh::BEGIN_FILE) {
            Ok(Self::OpenSshFile(text))
        } else if text.starts_with(foreign::PUTTY) {
            Ok(Self::Putty(text))
        } else if text.starts_with(foreign::SSH_COM) {
            Ok(Self::SshCom)
        } else {
            der_in(text).map(Self::Base64)
        }
    }
}

/// The text of a file: UTF-8, with or without a byte order mark.
pub(super) fn utf8(content: &[u8]) -> Result<&str, KeyError> {
    match content {
        // The second of them without a mark: a text of a key begins with a character of ASCII.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..] => {
            Err(KeyError::Utf16)
        }
        _ => str::from_utf8(content).map_err(|_| KeyError::Unrecognized),
    }
}

/// The DER in standard base64, whose lines may be broken.
fn der_in(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if is_hexadecimal(text) {
        return Err(KeyError::Hexadecimal);
    }
    let Ok(content) = base64::decode_wrapped(text).map(Zeroizing::new) else {
        let unpadded = text.replace('+', "-").replace('/', "_");
        let is_other = base64url::decode(unpadded.trim_end_matches('='))
            .is_ok_and(|content| content.first() == Some(&DER_SEQUENCE) && content.len() > 32);
        return Err(if is_other { KeyError::Base64UrlOfDer } else { KeyError::Unrecognized });
    };
    match (content.as_slice(), content.len()) {
        ([b'-', b'-', b'-', b'-', b'-', ..], _) => Err(KeyError::Base64OfPem),
        // Ed25519, and the uncompressed points of P-256 and P-384.
        (_, length @ 32) | ([0x04, ..], length @ (65 | 97)) => Err(KeyError::RawKey(length)),
        (bytes, _) => foreign::in_bytes(bytes).map_or(Ok(content), Err),
    }
}

/// Whether these are hexadecimal digits of DER, or of a bare key.
fn is_hexadecimal(text: &str) -> bool {
    let starts = text.starts_with("30") || text.starts_with("04") || text.len() == 64;
    starts && text.len() >= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
