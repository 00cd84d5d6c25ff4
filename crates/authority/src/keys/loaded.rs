//! Signing keys in memory: which of them sign, which are published, and how long each lives.

use std::sync::Arc;

use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, KeyType, PrivateKey, Thumbprint},
    tokens::issue::{self, AccessTokenClaims},
};
use serde_json::{Value, json};

use crate::{
    keys::error::SigningKeyError,
    model::key_life::{KeyLife, KeySchedule, KeyState, Schedule, Signs},
};

/// A key that signs, or has signed.
pub struct Signer {
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) algorithm: Algorithm,
    /// From then on nothing that it signed verifies.
    pub(crate) expires_at: UnixTime,
}

/// A signing key in memory.
pub(crate) struct LoadedKey {
    pub(super) kid: Thumbprint,
    pub(super) signs: Signs,
    pub(super) algorithm: Algorithm,
    pub(super) life: KeyLife,
    pub(super) key: Arc<PrivateKey>,
}

impl Signer {
    /// Signs an access token (RFC 9068).
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn access_token(&self, claims: &AccessTokenClaims) -> Result<String, SigningKeyError> {
        Ok(issue::access_token(claims, &self.key, self.algorithm)?)
    }
}

impl From<&LoadedKey> for Signer {
    fn from(key: &LoadedKey) -> Self {
        let (algorithm, expires_at) = (key.algorithm, key.life.expires_at);
        Self { key: Arc::clone(&key.key), algorithm, expires_at }
    }
}

impl Schedule {
    /// Whether `key` is one of its keys. Keys of an algorithm that was configured earlier belong to
    /// no schedule: they sign no more.
    pub(super) fn has(&self, key: &LoadedKey) -> bool {
        key.signs == self.signs && key.algorithm == self.lives.algorithm
    }

    pub(super) fn active<'a>(
        &self,
        loaded: &'a [LoadedKey],
        now: UnixTime,
    ) -> Result<&'a LoadedKey, SigningKeyError> {
        let mut keys = loaded.iter().rev().filter(|key| self.has(key));
        let active = keys.find(|key| key.life.state(now) == KeyState::Active);
        active.ok_or(SigningKeyError::NoneActive)
    }

    /// The one of its keys that expired last.
    pub(super) fn last_gone<'a>(
        &self,
        loaded: &'a [LoadedKey],
        now: UnixTime,
    ) -> Option<&'a LoadedKey> {
        last_gone(loaded, now, |key| self.has(key))
    }

    /// Until when its keys sign without a gap, from `now` on. A key that begins only after a gap
    /// does not count: it was made while the clock was ahead.
    pub(super) fn signed_until(&self, keys: &[LoadedKey], now: UnixTime) -> UnixTime {
        // They come by time of activation.
        let lives = keys.iter().filter(|key| self.has(key)).map(|key| key.life);
        lives.fold(
            now,
            |end, life| {
                if life.active_from <= end { end.max(life.retired_from) } else { end }
            },
        )
    }
}

fn last_gone(
    loaded: &[LoadedKey],
    now: UnixTime,
    is_meant: impl Fn(&LoadedKey) -> bool,
) -> Option<&LoadedKey> {
    let gone = loaded.iter().filter(|key| key.life.state(now) == KeyState::Gone && is_meant(key));
    gone.max_by_key(|key| key.life.expires_at)
}

/// The life of a key that signs from `active_from` on.
pub(super) fn life(schedule: &KeySchedule, created_at: UnixTime, active_from: UnixTime) -> KeyLife {
    let retired_from = active_from + schedule.active;
    let expires_at = retired_from + schedule.keep_after;
    KeyLife { created_at, active_from, retired_from, expires_at }
}

/// A life that ended as long before `now` as it lasted. It was never published.
pub(super) fn life_that_ended(schedule: &KeySchedule, now: UnixTime) -> KeyLife {
    let start = now - (schedule.active + schedule.keep_after) * 2;
    life(schedule, start, start)
}

/// The keys in `keys` that are published at `now`. If all have expired, the last one for access
/// tokens stays until there is another: an empty JWK Set would look as if all keys had been
/// withdrawn.
pub(super) fn published(keys: &[LoadedKey], now: UnixTime) -> impl Iterator<Item = &LoadedKey> {
    let is_live = move |key: &LoadedKey| key.life.state(now) != KeyState::Gone;
    let none = !keys.iter().any(is_live);
    let for_access = |key: &LoadedKey| key.signs == Signs::AccessTokens;
    let last = none.then(|| last_gone(keys, now, for_access)).flatten();
    keys.iter().filter(move |key| is_live(key)).chain(last)
}

/// The JWK Set of the keys in `keys` that are published at `now`. RSA keys come first: some
/// verifiers of RS256 go through a set without looking at `kid`, and give up at the first key of
/// another type.
pub(super) fn jwk_set(keys: &[LoadedKey], now: UnixTime) -> Value {
    let mut published: Vec<_> = published(keys, now).collect();
    published.sort_by_key(|key| key.key.public_key().key_type() != KeyType::Rsa);
    json!({ "keys": published.into_iter().map(jwk).collect::<Vec<_>>() })
}

fn jwk(key: &LoadedKey) -> Value {
    let mut jwk = key.key.public_key().to_jwk();
    jwk.insert("use".to_owned(), "sig".into());
    jwk.insert("alg".to_owned(), key.algorithm.name().into());
    jwk.insert("kid".to_owned(), key.kid.to_string().into());
    Value::Object(jwk)
}
