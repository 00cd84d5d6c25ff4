//! Who made a request, and how that was proven.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    keys::Thumbprint, names::Username, ports::Random, ports::random_bytes, time::UnixTime,
};

/// The result of a successful verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account that acts.
    pub account_id: AccountId,
    /// What the account is called, for people to read: as the token, or else the issuer, says it. A
    /// token keeps the name of its login. `account_id` is what never changes.
    pub username: Option<Username>,
    /// The key that signed this request. None with [`ProofKind::Bearer`], which proves no key.
    pub key: Option<ProvenKey>,
    /// How possession of `key` was proven.
    pub proof: ProofKind,
    /// The `jti` of the access token or the session, where there is one.
    pub token_id: Option<String>,
    /// What the token allows; without a token, what the account may do.
    pub scopes: Scopes,
    /// Whether the token was asked to allow less than the account might do.
    pub narrowed: bool,
    /// What the proof covers of the request that it came with.
    pub covers: Coverage,
    /// The `iat` of the access token, where there is one.
    pub issued_at: Option<UnixTime>,
    /// When the token, or the self-signed JWT, ends.
    pub expires_at: UnixTime,
}

/// Who made a request, as logs and the audit trail tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub account_id: AccountId,
    /// What it is called, where that is at hand.
    pub username: Option<Username>,
    /// The credential, which names the device; none where no key was proven.
    pub key: Option<Thumbprint>,
    /// How possession of a key was proven; none where the request was a login.
    pub proof: Option<ProofKind>,
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self {
            account_id: principal.account_id,
            username: principal.username.clone(),
            key: principal.key.map(|key| key.credential),
            proof: Some(principal.proof),
        }
    }
}

/// What a signature covers of the request that it came with, beyond who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Where the signature may be used.
    pub target: CoveredTarget,
    /// The SHA-256 of the body that it was made for, if it says so. Whoever needs the body to be
    /// covered compares it.
    pub body: Option<[u8; 32]>,
}

/// Where a signature may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoveredTarget {
    /// Wherever the key is known.
    Anywhere,
    /// At this server only, for any request.
    Server,
    /// For this method and URI only.
    Request,
}

impl Coverage {
    /// The signature covers nothing of the request.
    pub const NOTHING: Self = Self { target: CoveredTarget::Anywhere, body: None };
}

/// A key whose possession was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenKey {
    /// The credential that the account logged in with. It names the device.
    pub credential: Thumbprint,
    /// The key that signed the request: the credential's own, or a session key that it named.
    pub thumbprint: Thumbprint,
}

impl ProvenKey {
    /// A credential that signed itself.
    pub const fn of(credential: Thumbprint) -> Self {
        Self { credential, thumbprint: credential }
    }
}

/// The kinds of proof of possession, by their stable names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// A DPoP proof (RFC 9449).
    Dpop,
    /// A JWT that the client signed itself, for this request.
    SelfSigned,
    /// A signature over a nonce of the server and the session's JWT.
    #[serde(rename = "signjwt")]
    SignedMessage,
    /// None: a token that whoever holds it may use.
    Bearer,
}

impl ProofKind {
    /// The name on the wire and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpop => "dpop",
            Self::SelfSigned => "self-signed",
            Self::SignedMessage => "signjwt",
            Self::Bearer => "bearer",
        }
    }
}

/// An account's id: a UUIDv7 (RFC 9562 §5.7), written in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(Uuid);

impl AccountId {
    /// A new id, made at `now`.
    pub fn generate(now: UnixTime, random: &dyn Random) -> Self {
        Self(uuid_v7(now, random))
    }

    /// From the 16 bytes that [`Self::as_bytes`] gives.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, in network order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    /// Accepts only the form that [`fmt::Display`] writes, so that one account has one spelling.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidAccountId)?;
        let canonical = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        canonical.then_some(Self(id)).ok_or(InvalidAccountId)
    }
}

/// Not an account id in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an account id: expected a UUID in lower case with hyphens")]
pub struct InvalidAccountId;

/// A UUIDv7 for `now`: sorts by time, unguessable by its 74 random bits.
pub fn uuid_v7(now: UnixTime, random: &dyn Random) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &random_bytes(random)).into_uuid()
}

/// A UUIDv4: 122 random bits.
pub fn uuid_v4(random: &dyn Random) -> Uuid {
    uuid::Builder::from_random_bytes(random_bytes(random)).into_uuid()
}

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

    struct Zeros;
    impl Random for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn an_account_id_is_a_version_7_uuid_of_its_time() {
        let id = AccountId::generate(UnixTime::from_millis(0x0123_4567_89ab), &Zeros);
        assert_eq!(id.to_string(), "01234567-89ab-7000-8000-000000000000");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_account_id_has_one_spelling() {
        for text in [
            "01234567-89AB-7000-8000-000000000000",
            "0123456789ab70008000000000000000",
            "{01234567-89ab-7000-8000-000000000000}",
            "urn:uuid:01234567-89ab-7000-8000-000000000000",
            "",
        ] {
            assert_eq!(text.parse::<AccountId>(), Err(InvalidAccountId), "{text}");
        }
    }

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
