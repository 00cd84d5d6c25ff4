//! Accounts: the people and programs that log in.

use std::{fmt, str::FromStr};

use countersign_protocol::{AccountId, Scopes, UnixTime};
use thiserror::Error;

/// A person or a program that can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, which never changes.
    pub id: AccountId,
    /// Its unique name.
    pub username: Username,
    /// Whether it may act.
    pub status: AccountStatus,
    /// The scopes that its tokens may carry.
    pub scopes: Scopes,
    /// When it was registered.
    pub registered_at: UnixTime,
    /// When it last logged in.
    pub last_login_at: Option<UnixTime>,
}

/// Whether an account may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may log in and use its tokens.
    Active,
    /// Every login and every token of it is refused.
    Disabled,
}

impl AccountStatus {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// A username: 1 to 64 ASCII letters, digits and `. _ - @ +`, beginning with a letter or digit.
///
/// Two names that differ only in case name the same account. A name never looks like an account id
/// or a thumbprint, so one text can stand for either without ambiguity.
#[derive(Clone, Debug)]
pub struct Username(String);

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
        if !text.bytes().all(allowed) || !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(InvalidUsername::Character);
        }
        let is_id = text.to_ascii_lowercase().parse::<AccountId>().is_ok();
        if is_id || text.parse::<countersign_protocol::keys::Thumbprint>().is_ok() {
            return Err(InvalidUsername::LooksLikeId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    /// It could be mistaken for an account id or a key thumbprint.
    #[error("a username must not look like an account id or a key thumbprint")]
    LooksLikeId,
}

/// One of the two ways to name an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountName {
    /// By its id.
    Id(AccountId),
    /// By its username.
    Username(Username),
}

impl FromStr for AccountName {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_or_else(|_| text.parse().map(Self::Username), |id| Ok(Self::Id(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_usernames() {
        for name in ["alice", "john_doe", "e123456", "Bob.Smith@example.org", "7", "ci-runner+1"] {
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
    fn a_username_cannot_pose_as_an_id() {
        let id = "01234567-89ab-7000-8000-000000000000";
        assert_eq!(id.parse::<Username>(), Err(InvalidUsername::LooksLikeId));
        assert_eq!(id.to_uppercase().parse::<Username>(), Err(InvalidUsername::LooksLikeId));
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(thumbprint.parse::<Username>(), Err(InvalidUsername::LooksLikeId));
    }

    #[test]
    fn other_texts_are_refused_with_their_reason() {
        assert_eq!("".parse::<Username>(), Err(InvalidUsername::Empty));
        assert_eq!("a".repeat(65).parse::<Username>(), Err(InvalidUsername::TooLong));
        for name in ["-rf", "a b", "ä", "a\0", "a/b", "a'--", "\u{430}lice", "a\n"] {
            assert_eq!(name.parse::<Username>(), Err(InvalidUsername::Character), "{name:?}");
        }
    }
}
