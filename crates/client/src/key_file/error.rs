//! Why a file has no private key to use, and how to get one from it.

use std::fmt;

use countersign_protocol::keys::KeyError;

/// Why the content of a key file is no private key that can be used.
///
/// [`KeyError`] speaks to programs that must send a public key, and its advice is how to make one. Its
/// text is replaced here where that advice is of no use to a person who needs a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFileError(pub KeyError);

impl std::error::Error for KeyFileError {}

/// The forms in which a private key may be given.
const FORMS: &str = "a private key in PEM or DER, a private JWK, or a private key file of OpenSSH";

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            KeyError::Base64UrlOfDer => {
                write!(f, "this is base64url or lacks its padding; {FORMS} is needed here")
            }
            KeyError::Certificate => f.write_str(
                "this is an X.509 certificate, in which there is no private key; the private key is \
                 needed here: the file that the certificate was made with, often called .key",
            ),
            KeyError::CompressedPoint => f.write_str(
                "the EC point is compressed; write the private key with the uncompressed one \
                 (openssl ec -in KEY -conv_form uncompressed -out NEW)",
            ),
            KeyError::Empty => write!(f, "the file is empty; {FORMS} is needed here"),
            KeyError::Hexadecimal => {
                write!(f, "these are hexadecimal digits; {FORMS} is needed here")
            }
            KeyError::HybridPoint => f.write_str(
                "the EC point is in hybrid form; write the private key with the uncompressed one \
                 (openssl ec -in KEY -conv_form uncompressed -out NEW)",
            ),
            KeyError::JwkSet => f.write_str(
                "this is a JWK Set; a single private JWK is needed here, one from its member keys",
            ),
            KeyError::OpenSshCertificate => f.write_str(
                "this is an OpenSSH certificate, in which there is no private key; the private key is \
                 needed here: the file without -cert.pub at the end of its name",
            ),
            KeyError::RawKey(length) => write!(
                f,
                "these {length} bytes are a bare key, without the structure that says of which kind and \
                 whether it is private; {FORMS} is needed here"
            ),
            KeyError::Unrecognized => {
                write!(f, "this is no private key of a form that is known here: {FORMS} is needed")
            }
            KeyError::UnsupportedPemLabel => f.write_str(
                "no PEM block here is labelled as a private key of a supported kind, such as PRIVATE \
                 KEY",
            ),
            // The texts of all others speak of the key, whichever half is needed.
            error => error.fmt(f),
        }
    }
}
