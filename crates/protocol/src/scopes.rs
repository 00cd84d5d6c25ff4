//! What a token allows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A set of scopes (RFC 6749 §3.3): sorted, without duplicates, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// More scopes than this in one set are refused.
    pub const MAX_COUNT: usize = 32;
    /// A longer scope is refused.
    pub const MAX_LEN: usize = 64;

    /// No scope.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|own| own == scope)
    }

    /// Whether every scope of `other` is in this set.
    pub fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.contains(scope))
    }

    /// The union of both sets.
    ///
    /// # Errors
    /// When the union has more than [`Self::MAX_COUNT`] members.
    pub fn union(&self, other: &Self) -> Result<Self, InvalidScopes> {
        Self::collect(self.0.iter().chain(&other.0).map(String::as_str))
    }

    /// This set without the members of `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|scope| !other.contains(scope)).cloned().collect())
    }

    /// Whether the set has no member.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn collect<'a>(scopes: impl Iterator<Item = &'a str>) -> Result<Self, InvalidScopes> {
        let mut set: Vec<String> = Vec::new();
        for scope in scopes {
            let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || scope.len() > Self::MAX_LEN || !scope.bytes().all(token) {
                return Err(InvalidScopes::Scope);
            }
            if let Err(place) = set.binary_search_by(|own| own.as_str().cmp(scope)) {
                set.insert(place, scope.to_owned());
            }
            if set.len() > Self::MAX_COUNT {
                return Err(InvalidScopes::TooMany);
            }
        }
        Ok(Self(set))
    }
}

impl FromStr for Scopes {
    type Err = InvalidScopes;

    /// Scopes separated by single spaces; the empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        Self::collect(text.split(' '))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidScopes {
    /// One of them is empty, too long, or has a character that RFC 6749 §3.3 excludes.
    #[error(
        "a scope is 1 to 64 printable ASCII characters without space, quote or backslash; scopes are separated by single spaces"
    )]
    Scope,
    /// More than [`Scopes::MAX_COUNT`].
    #[error("more than 32 scopes")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_sorted_set() {
        let scopes: Scopes = "write read write".parse().unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert!(scopes.includes(&"read".parse().unwrap()));
        assert!(!scopes.includes(&"read admin".parse().unwrap()));
        assert_eq!(scopes.without(&"read".parse().unwrap()).to_string(), "write");
    }

    #[test]
    fn malformed_scopes_are_refused() {
        for text in [" ", "a  b", " a", "a ", "a\"b", "a\\b", "ä", "a\tb", &"x".repeat(65)] {
            assert_eq!(text.parse::<Scopes>(), Err(InvalidScopes::Scope), "{text:?}");
        }
        let many: Vec<String> = (0..33).map(|n| n.to_string()).collect();
        assert_eq!(many.join(" ").parse::<Scopes>(), Err(InvalidScopes::TooMany));
    }
}
