//! The values by which a ceremony, a passkey and its owner are known. All of them are bytes that
//! somebody else may have chosen, so each has its bounds.

use std::{fmt, str::FromStr};

use thiserror::Error;
use uuid::Uuid;

use crate::strict::base64url;

/// A challenge: the bytes that an authenticator signs, so that its answer is for one occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(Box<[u8]>);

impl Challenge {
    /// The fewest bytes (WebAuthn §13.4.3).
    pub const MIN_LEN: usize = 16;
    /// The most bytes. The specification has no bound.
    pub const MAX_LEN: usize = 1024;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Challenge {
    type Error = InvalidChallenge;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        let fits = (Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len());
        fits.then(|| Self(bytes.into())).ok_or(InvalidChallenge(bytes.len()))
    }
}

/// These bytes are no challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a challenge has {min} to {max} bytes, this one has {0}", min = Challenge::MIN_LEN, max = Challenge::MAX_LEN)]
pub struct InvalidChallenge(usize);

/// The id of a passkey, which its authenticator has chosen. Its text is base64url.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialId(Box<[u8]>);

impl CredentialId {
    /// The longest id, in bytes (WebAuthn §4).
    pub const MAX_LEN: usize = 1023;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for CredentialId {
    type Error = InvalidCredentialId;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        match bytes.len() {
            0 => Err(InvalidCredentialId::Empty),
            1..=Self::MAX_LEN => Ok(Self(bytes.into())),
            length => Err(InvalidCredentialId::TooLong(length)),
        }
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// Why bytes are not the id of a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidCredentialId {
    /// No byte at all.
    #[error("the credential id is empty")]
    Empty,
    /// Longer than [`CredentialId::MAX_LEN`].
    #[error("a credential id has at most {max} bytes, this one has {0}", max = CredentialId::MAX_LEN)]
    TooLong(usize),
}

/// The user handle: by which an authenticator knows the account that a passkey is for (`user.id`).
/// Its text is base64url.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserHandle(Box<[u8]>);

impl UserHandle {
    /// The longest handle, in bytes (WebAuthn §4).
    pub const MAX_LEN: usize = 64;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for UserHandle {
    type Error = InvalidUserHandle;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        let fits = (1..=Self::MAX_LEN).contains(&bytes.len());
        fits.then(|| Self(bytes.into())).ok_or(InvalidUserHandle(bytes.len()))
    }
}

impl From<[u8; 32]> for UserHandle {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for UserHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

/// These bytes are no user handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a user handle has 1 to {max} bytes, this one has {0}", max = UserHandle::MAX_LEN)]
pub struct InvalidUserHandle(usize);

/// The AAGUID: which model of authenticator says it made a passkey. Nothing proves it without
/// attestation. Its text is that of a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aaguid([u8; 16]);

impl Aaguid {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether the authenticator withholds its model: all bytes are zero.
    pub fn is_unknown(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Aaguid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl FromStr for Aaguid {
    type Err = InvalidAaguid;

    /// Accepts only the form that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidAaguid)?;
        let canonical = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        canonical.then_some(Self(id.into_bytes())).ok_or(InvalidAaguid)
    }
}

/// Not an AAGUID in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an AAGUID: expected a UUID in lower case with hyphens")]
pub struct InvalidAaguid;

/// A way in which a browser can reach an authenticator, such as `internal`, `hybrid` or `usb`
/// (WebAuthn §5.8.4). New ones are invented, so any short word will do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transport(Box<str>);

impl Transport {
    /// The longest word, in characters.
    pub const MAX_LEN: usize = 32;

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Transport {
    type Err = InvalidTransport;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(plain);
        good.then(|| Self(text.into())).ok_or(InvalidTransport)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the name of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a transport is a word of 1 to {} lower-case ASCII letters, digits and hyphens",
    Transport::MAX_LEN
)]
pub struct InvalidTransport;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_bounds() {
        let bytes = [7; 1025];
        let challenge = |length| Challenge::try_from(&bytes[..length]).is_ok();
        let id = |length| CredentialId::try_from(&bytes[..length]).is_ok();
        let handle = |length| UserHandle::try_from(&bytes[..length]).is_ok();
        assert!(!challenge(15) && challenge(16) && challenge(1024) && !challenge(1025));
        assert!(!id(0) && id(1) && id(1023) && !id(1024));
        assert!(!handle(0) && handle(1) && handle(64) && !handle(65));
    }

    #[test]
    fn an_aaguid_has_one_spelling() {
        let text = "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4";
        let aaguid: Aaguid = text.parse().unwrap();
        assert_eq!(aaguid.to_string(), text);
        assert!(!aaguid.is_unknown() && Aaguid::from_bytes([0; 16]).is_unknown());
        for other in [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}")] {
            assert_eq!(other.parse::<Aaguid>(), Err(InvalidAaguid), "{other}");
        }
    }

    #[test]
    fn a_transport_is_a_short_word() {
        for text in ["usb", "nfc", "ble", "smart-card", "hybrid", "internal", "cable2"] {
            assert_eq!(text.parse::<Transport>().unwrap().as_str(), text);
        }
        for text in ["", "USB", "a b", "ü", &"a".repeat(33)] {
            assert_eq!(text.parse::<Transport>(), Err(InvalidTransport), "{text}");
        }
    }
}
