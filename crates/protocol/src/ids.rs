//! Identifiers made of the time and of randomness.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    ports::random::{Random, random_bytes},
    time::UnixTime,
};

/// An account's id: a UUIDv7 (RFC 9562 §5.7), written in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(Uuid);

impl AccountId {
    /// A new id, made at `now`.
    pub fn generate(now: UnixTime, random: &dyn Random) -> Self {
        Self(uuid_v7(now, random))
    }

    /// When it was made, which is when the account was registered (RFC 9562 §5.7).
    pub fn made_at(&self) -> UnixTime {
        let made_at = u128::from_be_bytes(*self.as_bytes()) >> 80;
        UnixTime::from_millis(u64::try_from(made_at).unwrap_or_default())
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
        assert_eq!(id.made_at(), UnixTime::from_millis(0x0123_4567_89ab));
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
}
