//! JWK thumbprints (RFC 7638): the identity of a key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::sha256;
use crate::strict::base64url::{self, Encoded32};

/// The RFC 7638 SHA-256 thumbprint of a public key.
///
/// As text it is 43 characters of base64url, the form of `cnf.jkt` (RFC 9449 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

/// The text is not the 43-character base64url form of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is 43 characters of unpadded base64url")]
pub struct InvalidThumbprint;

impl Thumbprint {
    /// From the 32 bytes of the digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The thumbprint of the JWK with these members: the required ones, in the order of RFC 7638
    /// §3.3. No value needs escaping: all are base64url or plain names.
    pub(super) fn of_members<'a, V: AsRef<str>>(
        members: impl Iterator<Item = (&'a str, V)>,
    ) -> Self {
        // Room for an RSA key of 2048 bits.
        let mut json = String::with_capacity(384);
        for (name, value) in members {
            json.push(if json.is_empty() { '{' } else { ',' });
            for part in ["\"", name, "\":\"", value.as_ref(), "\""] {
                json.push_str(part);
            }
        }
        json.push('}');
        Self(sha256(&[json.as_bytes()]))
    }

    /// The 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(Encoded32::new(&self.0).as_str())
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Thumbprint({self})")
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, InvalidThumbprint> {
        // The length comes first, so that a long text costs nothing.
        if text.len() != 43 {
            return Err(InvalidThumbprint);
        }
        let bytes = base64url::decode(text).map_err(|_| InvalidThumbprint)?;
        bytes.try_into().map(Self).map_err(|_| InvalidThumbprint)
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Encoded32::new(&self.0).as_str())
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_is_read() {
        let thumbprint = Thumbprint::from_bytes([0xfb; 32]);
        let text = thumbprint.to_string();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse(), Ok(thumbprint));
        assert_eq!(format!("{thumbprint:?}"), format!("Thumbprint({text})"));

        let stray_bits = format!("{}t", &text[..42]);
        let standard_alphabet = text.replace('-', "+").replace('_', "/");
        for wrong in [
            &text[..42],
            &format!("{text}="),
            &format!("{text}A"),
            &stray_bits,
            &standard_alphabet,
            "",
        ] {
            assert_eq!(wrong.parse::<Thumbprint>(), Err(InvalidThumbprint), "{wrong}");
        }
    }

    #[test]
    fn serde_uses_the_text() {
        let thumbprint = Thumbprint::from_bytes([7; 32]);
        let json = serde_json::to_string(&thumbprint).unwrap();
        assert_eq!(json, format!("\"{thumbprint}\""));
        assert_eq!(serde_json::from_str::<Thumbprint>(&json).unwrap(), thumbprint);
        assert!(serde_json::from_str::<Thumbprint>("\"AA\"").is_err());
        assert!(serde_json::from_str::<Thumbprint>("[7]").is_err());
    }
}
