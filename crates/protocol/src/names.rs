//! The three kinds of account name. No text can be read as two of them.
//!
//! Every look-up of a name parses an [`AccountName`] first. So one text means the same account at
//! every endpoint of the server, and at every resource server elsewhere.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;
use uuid::Uuid;

use crate::{digest::sha256, ids::AccountId, strict::hex};

/// A username: 1 to 64 ASCII letters, digits and `. _ - @ +`, beginning with a letter or digit.
///
/// Two names that differ only in case name the same account. A name never looks like an account id,
/// a fingerprint or a thumbprint, however these are spelled, so one text can stand for any of them
/// without ambiguity. Clones share the text.
#[derive(Clone, Debug)]
pub struct Username(Arc<str>);

impl Username {
    /// The longest name, in characters.
    pub const MAX_LEN: usize = 64;

    /// The name as it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that is unique: lower case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether a mail program would take the name for a mail address.
    pub fn looks_like_email(&self) -> bool {
        self.0.contains('@')
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Username {}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-@+".contains(&b);
        if text.is_empty() {
            return Err(InvalidUsername::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidUsername::TooLong);
        }
        if is_mistakable(text) {
            return Err(InvalidUsername::LooksLikeId);
        }
        if !text.bytes().all(allowed) || !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(InvalidUsername::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` could be taken for an identifier of another kind: for a UUID or a SHA-256 in
/// hexadecimal digits of either case, with or without separators, or for a SHA-256 in base64 or
/// base64url, be its last character canonical or not.
fn is_mistakable(text: &str) -> bool {
    let mut digits = text.bytes().filter(|b| !b"._-".contains(b));
    let hexadecimal = digits.try_fold(0, |count, b| b.is_ascii_hexdigit().then_some(count + 1));
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"-_+/".contains(&b);
    matches!(hexadecimal, Some(32 | 64))
        || Uuid::try_parse(text).is_ok()
        || text.len() == 43 && text.bytes().all(is_base64)
}

/// Why a text is not a username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidUsername {
    /// No character at all.
    #[error("a username is needed")]
    Empty,
    /// Longer than [`Username::MAX_LEN`].
    #[error("a username has at most 64 characters")]
    TooLong,
    /// A character outside the allowed set, or a first character that is no letter or digit.
    #[error(
        "a username consists of ASCII letters, digits and . _ - @ + and begins with a letter or digit"
    )]
    Character,
    /// It could be mistaken for an identifier of another kind.
    #[error(
        "a username must not look like an account id (32 hexadecimal digits), a fingerprint (64) or \
         a key thumbprint (43 characters of base64url)"
    )]
    LooksLikeId,
}

/// The fingerprint of a text, such as a public key as it was sent: SHA-256, written as 64 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `text`.
    pub fn of(text: &str) -> Self {
        Self(sha256(&[text.as_bytes()]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    /// Accepts only the form that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode(text).map(Self).ok_or(InvalidFingerprint)
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Not a fingerprint in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a fingerprint: expected 64 lower-case hexadecimal digits")]
pub struct InvalidFingerprint;

/// One of the three ways to name an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountName {
    /// By its id.
    Id(AccountId),
    /// By the fingerprint of its first key, if it was registered by fingerprint.
    Fingerprint(Fingerprint),
    /// By its username.
    Username(Username),
}

impl FromStr for AccountName {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if let Ok(fingerprint) = text.parse() {
            return Ok(Self::Fingerprint(fingerprint));
        }
        text.parse().map(Self::Username)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Fingerprint(fingerprint) => fingerprint.fmt(f),
            Self::Username(username) => username.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_usernames() {
        for name in [
            "alice",
            "john_doe",
            "e123456",
            "Bob.Smith@example.org",
            "7",
            "ci-runner+1",
            "deadbeef",
            "a-name-of-forty-four-characters-is-a-name-ok",
        ] {
            assert_eq!(name.parse::<Username>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn case_does_not_make_another_name() {
        let (lower, mixed): (Username, Username) =
            ("alice".parse().unwrap(), "Alice".parse().unwrap());
        assert_eq!(lower, mixed);
        assert_eq!(mixed.folded(), "alice");
    }

    #[test]
    fn a_username_cannot_pose_as_an_identifier_in_any_spelling() {
        let id = "01234567-89ab-7000-8000-000000000000";
        let fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        for text in [
            id.to_owned(),
            id.to_uppercase(),
            id.replace('-', ""),
            id.replace('-', "").to_uppercase(),
            id.replace('-', "."),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            "0123-4567-89ab-7000-8000-0000-0000-0000".to_owned(),
            fingerprint.to_owned(),
            fingerprint.to_uppercase(),
            thumbprint.to_owned(),
            // The same 32 bytes, with bits in the last character that mean nothing.
            thumbprint.replace("9Xs", "9Xt"),
            thumbprint.replace('-', "+").replace('_', "/"),
            thumbprint.replace('-', "+"),
            thumbprint.to_lowercase(),
        ] {
            assert_eq!(text.parse::<Username>(), Err(InvalidUsername::LooksLikeId), "{text}");
        }
        assert!(format!("{thumbprint}=").parse::<Username>().is_err());
    }

    #[test]
    fn other_texts_are_refused_with_their_reason() {
        assert_eq!("".parse::<Username>(), Err(InvalidUsername::Empty));
        assert_eq!("a".repeat(65).parse::<Username>(), Err(InvalidUsername::TooLong));
        for name in ["-rf", "a b", "ä", "a\0", "a/b", "a'--", "\u{430}lice", "a\n"] {
            assert_eq!(name.parse::<Username>(), Err(InvalidUsername::Character), "{name:?}");
        }
    }

    #[test]
    fn a_text_names_an_account_in_one_way() {
        let fingerprint = Fingerprint::of("abc");
        let text = fingerprint.to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(text.parse(), Ok(AccountName::Fingerprint(fingerprint)));
        let id = "01234567-89ab-7000-8000-000000000000";
        assert!(matches!(id.parse(), Ok(AccountName::Id(_))));
        assert!(matches!("alice".parse(), Ok(AccountName::Username(_))));
        for other in [text.to_uppercase(), id.to_uppercase(), id.replace('-', "")] {
            assert_eq!(other.parse::<AccountName>(), Err(InvalidUsername::LooksLikeId));
        }
    }

    #[test]
    fn a_fingerprint_has_one_spelling() {
        let text = Fingerprint::of("abc").to_string();
        for other in ["", &text[2..], &text.to_uppercase(), &format!("{text}00"), &"g".repeat(64)] {
            assert_eq!(other.parse::<Fingerprint>(), Err(InvalidFingerprint), "{other}");
        }
        assert!("é".repeat(32).parse::<Fingerprint>().is_err());
    }
}
