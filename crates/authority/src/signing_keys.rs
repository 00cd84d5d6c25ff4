//! The server's signing keys: sealed at rest, parsed in memory, rotated by the clock.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use countersign_protocol::{
    UnixTime,
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyError, KeyPolicy, NewKey, PrivateKey, PublicKey, SignError, Thumbprint},
    ports::{Random, random_bytes},
    tokens::issue::{self, AccessTokenClaims},
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    audit::{AuditEvent, EventKind},
    policy::KeySchedule,
    ports::{SigningKeyStore, StoreError},
    sealed_key::{KeyLife, KeyState, SealedSigningKey},
    vault::Vault,
};

const PURPOSE: &str = "signing keys";

/// The signing keys of a server.
pub struct SigningKeys {
    store: Arc<dyn SigningKeyStore>,
    sealing: SealingKey,
    schedule: KeySchedule,
    loaded: ArcSwap<Vec<LoadedKey>>,
    /// Held while keys are changed or read anew, so that two changes cannot both make a successor.
    changing: tokio::sync::Mutex<()>,
}

struct LoadedKey {
    kid: Thumbprint,
    algorithm: Algorithm,
    life: KeyLife,
    key: Arc<PrivateKey>,
}

/// A signing key as administrators see it.
#[derive(Clone, Copy, Debug)]
pub struct KeySummary {
    /// Its `kid`.
    pub kid: Thumbprint,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Its present state.
    pub state: KeyState,
    /// When that changes.
    pub life: KeyLife,
}

impl SigningKeys {
    /// Loads the keys of `store`, and makes the first one if there is none that signs at `now`.
    ///
    /// # Errors
    /// When a key cannot be opened with `vault`, or the store fails.
    pub async fn load(
        store: Arc<dyn SigningKeyStore>,
        vault: &Vault,
        schedule: KeySchedule,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Self, SigningKeyError> {
        let keys = Self {
            store,
            sealing: vault.key(PURPOSE),
            schedule,
            loaded: ArcSwap::default(),
            changing: tokio::sync::Mutex::new(()),
        };
        keys.reload().await?;
        keys.maintain(now, random).await?;
        Ok(keys)
    }

    /// Reads all keys anew: another process may have changed them.
    ///
    /// # Errors
    /// When a key cannot be opened or the store fails; the keys in memory then stay.
    pub async fn reload(&self) -> Result<(), SigningKeyError> {
        let _changing = self.changing.lock().await;
        self.read().await
    }

    /// Reads all keys, while `changing` is held: what was read before a change must not replace
    /// what was read after it.
    async fn read(&self) -> Result<(), SigningKeyError> {
        let sealed = self.store.signing_keys().await?;
        let present = self.loaded.load();
        let open = |sealed: SealedSigningKey| match present.iter().find(|key| key.kid == sealed.kid)
        {
            // A parsed key is kept; only its life may have changed, and that is authenticated too.
            Some(known) => {
                unseal(&sealed, &self.sealing)?;
                Ok(LoadedKey { life: sealed.life, key: Arc::clone(&known.key), ..*known })
            }
            None => open(&sealed, &self.sealing),
        };
        let keys = sealed.into_iter().map(open).collect::<Result<Vec<_>, SigningKeyError>>()?;
        self.loaded.store(Arc::new(keys));
        Ok(())
    }

    /// Does what the schedule demands at `now`: makes a key when none signs, makes the successor
    /// in time, and removes what is gone. Returns whether anything changed.
    ///
    /// # Errors
    /// When a key cannot be made or the store fails; then nothing has changed.
    pub async fn maintain(
        &self,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<bool, SigningKeyError> {
        let _changing = self.changing.lock().await;
        let loaded = self.loaded.load_full();
        let gone: Vec<_> = loaded
            .iter()
            .filter(|key| key.life.state(now) == KeyState::Gone)
            .map(|key| key.kid)
            .collect();
        let end = signed_until(&loaded, self.schedule.algorithm, now);
        let start = (end <= now + self.schedule.publish_ahead).then_some(end);
        let new = start.map(|start| self.new_key(now, start, random)).transpose()?;
        if new.is_none() && gone.is_empty() {
            return Ok(false);
        }
        let created = new.iter().map(|key| event(now, EventKind::SigningKeyCreated, key.kid));
        let removed = gone.iter().map(|kid| event(now, EventKind::SigningKeyRemoved, *kid));
        let events = created.chain(removed).collect();
        self.store.change_signing_keys(new.as_slice(), &gone, events).await?;
        self.read().await?;
        Ok(true)
    }

    /// Rotates ahead of time: the next key (or a new one) signs from `now` on, and the present one
    /// retires. With `withdraw`, the present one leaves the JWKS at once and its tokens die.
    ///
    /// # Errors
    /// When a key cannot be made or the store fails; then nothing has changed.
    pub async fn rotate(
        &self,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let _changing = self.changing.lock().await;
        let loaded = self.loaded.load_full();
        let mut put = Vec::new();
        let mut has_next = false;
        for key in loaded.iter().filter(|key| key.algorithm == self.schedule.algorithm) {
            let life = match key.life.state(now) {
                KeyState::Next if !has_next => {
                    has_next = true;
                    self.life(key.life.created_at, now)
                }
                KeyState::Active | KeyState::Retired if withdraw => {
                    let retired_from = key.life.retired_from.min(now);
                    KeyLife { retired_from, expires_at: now, ..key.life }
                }
                KeyState::Active => {
                    let expires_at = now + self.schedule.keep_after;
                    KeyLife { retired_from: now, expires_at, ..key.life }
                }
                KeyState::Next | KeyState::Retired | KeyState::Gone => continue,
            };
            put.push(seal(&key.key, key.algorithm, life, &self.sealing, random));
        }
        if !has_next {
            put.push(self.new_key(now, now, random)?);
        }
        let events =
            put.iter().map(|key| event(now, EventKind::SigningKeyRotated, key.kid)).collect();
        self.store.change_signing_keys(&put, &[], events).await?;
        self.read().await
    }

    /// Signs an access token with the key that is active at `now`.
    ///
    /// # Errors
    /// When no key is active, or it cannot sign.
    pub fn sign(
        &self,
        claims: &AccessTokenClaims,
        now: UnixTime,
    ) -> Result<String, SigningKeyError> {
        let loaded = self.loaded.load();
        let active = self.active(&loaded, now)?;
        Ok(issue::access_token(claims, &active.key, active.algorithm)?)
    }

    /// Whether a key is there to sign at `now`.
    ///
    /// # Errors
    /// When there is none.
    pub fn check(&self, now: UnixTime) -> Result<(), SigningKeyError> {
        self.active(&self.loaded.load(), now).map(drop)
    }

    /// The public key `kid`, if it is published at `now`.
    pub fn public_key(&self, kid: &Thumbprint, now: UnixTime) -> Option<PublicKey> {
        let loaded = self.loaded.load();
        let key =
            loaded.iter().find(|key| key.kid == *kid && key.life.state(now) != KeyState::Gone)?;
        Some(key.key.public_key().clone())
    }

    /// The JWK Set of all keys that are published at `now` (RFC 7517 §5).
    pub fn jwks(&self, now: UnixTime) -> Value {
        let published = |key: &&LoadedKey| key.life.state(now) != KeyState::Gone;
        let keys: Vec<_> = self.loaded.load().iter().filter(published).map(jwk).collect();
        json!({ "keys": keys })
    }

    /// All keys, for administrators.
    pub fn summaries(&self, now: UnixTime) -> Vec<KeySummary> {
        let summary = |key: &LoadedKey| KeySummary {
            kid: key.kid,
            algorithm: key.algorithm,
            state: key.life.state(now),
            life: key.life,
        };
        self.loaded.load().iter().map(summary).collect()
    }

    fn active<'a>(
        &self,
        loaded: &'a [LoadedKey],
        now: UnixTime,
    ) -> Result<&'a LoadedKey, SigningKeyError> {
        let mut keys = loaded.iter().rev().filter(|key| key.algorithm == self.schedule.algorithm);
        let active = keys.find(|key| key.life.state(now) == KeyState::Active);
        active.ok_or(SigningKeyError::NoneActive)
    }

    fn new_key(
        &self,
        now: UnixTime,
        active_from: UnixTime,
        random: &dyn Random,
    ) -> Result<SealedSigningKey, SigningKeyError> {
        let algorithm = self.schedule.algorithm;
        let key = PrivateKey::generate(match algorithm {
            Algorithm::EdDsa => NewKey::Ed25519,
            Algorithm::Es256 => NewKey::EcP256,
            Algorithm::Es384 => NewKey::EcP384,
            Algorithm::Ps256 | Algorithm::Rs256 => NewKey::Rsa2048,
        })?;
        Ok(seal(&key, algorithm, self.life(now, active_from), &self.sealing, random))
    }

    fn life(&self, created_at: UnixTime, active_from: UnixTime) -> KeyLife {
        let retired_from = active_from + self.schedule.active;
        KeyLife {
            created_at,
            active_from,
            retired_from,
            expires_at: retired_from + self.schedule.keep_after,
        }
    }
}

/// How long verifiers may cache the JWKS: well within the time that a key is published ahead.
pub(crate) fn jwks_max_age(schedule: &KeySchedule) -> Duration {
    Duration::from_mins(5).min(schedule.publish_ahead / 4)
}

/// Opens `sealed` with the old vault and seals it for the new one.
pub(crate) fn reseal(
    sealed: &SealedSigningKey,
    old: &Vault,
    new: &Vault,
    random: &dyn Random,
) -> Result<SealedSigningKey, SigningKeyError> {
    let key = open(sealed, &old.key(PURPOSE))?;
    Ok(seal(&key.key, key.algorithm, key.life, &new.key(PURPOSE), random))
}

/// Until when the keys of `algorithm` sign one after the other, from `now` on. A key that begins
/// only later does not count: it was made while the clock was ahead.
fn signed_until(keys: &[LoadedKey], algorithm: Algorithm, now: UnixTime) -> UnixTime {
    // They come by time of activation.
    let lives = keys.iter().filter(|key| key.algorithm == algorithm).map(|key| key.life);
    lives.fold(
        now,
        |end, life| {
            if life.active_from <= end { end.max(life.retired_from) } else { end }
        },
    )
}

fn jwk(key: &LoadedKey) -> Value {
    let mut jwk = key.key.public_key().to_jwk();
    jwk.insert("use".to_owned(), "sig".into());
    jwk.insert("alg".to_owned(), key.algorithm.name().into());
    jwk.insert("kid".to_owned(), key.kid.to_string().into());
    Value::Object(jwk)
}

fn event(now: UnixTime, kind: EventKind, kid: Thumbprint) -> AuditEvent {
    AuditEvent::new(now, kind).key(kid)
}

fn seal(
    key: &PrivateKey,
    algorithm: Algorithm,
    life: KeyLife,
    sealing: &SealingKey,
    random: &dyn Random,
) -> SealedSigningKey {
    let kid = key.public_key().thumbprint();
    let nonce = random_bytes(random);
    let ciphertext = sealing.seal(nonce, &identity(kid, algorithm, life), &key.to_pkcs8_der());
    SealedSigningKey { kid, algorithm, life, ciphertext, nonce }
}

fn unseal(
    sealed: &SealedSigningKey,
    sealing: &SealingKey,
) -> Result<zeroize::Zeroizing<Vec<u8>>, SigningKeyError> {
    let identity = identity(sealed.kid, sealed.algorithm, sealed.life);
    let opened = sealing.open(sealed.nonce, &identity, &sealed.ciphertext);
    opened.map_err(|_| SigningKeyError::Damaged(sealed.kid))
}

fn open(sealed: &SealedSigningKey, sealing: &SealingKey) -> Result<LoadedKey, SigningKeyError> {
    let document = unseal(sealed, sealing)?;
    let key = PrivateKey::from_pkcs8_der(&document, &KeyPolicy::default())?;
    if key.public_key().thumbprint() != sealed.kid {
        return Err(SigningKeyError::Damaged(sealed.kid));
    }
    Ok(LoadedKey {
        kid: sealed.kid,
        algorithm: sealed.algorithm,
        life: sealed.life,
        key: Arc::new(key),
    })
}

/// What binds a ciphertext to its row: neither key nor life can be exchanged in the database.
fn identity(kid: Thumbprint, algorithm: Algorithm, life: KeyLife) -> Vec<u8> {
    let mut identity = b"countersign signing key\0".to_vec();
    identity.extend_from_slice(kid.as_bytes());
    identity.extend_from_slice(algorithm.name().as_bytes());
    for time in [life.created_at, life.active_from, life.retired_from, life.expires_at] {
        identity.extend_from_slice(&time.as_millis().to_be_bytes());
    }
    identity
}

/// Why signing keys cannot be used.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// A row was altered, or belongs to another master key.
    #[error("the signing key {0} is damaged: it does not open with the master key")]
    Damaged(Thumbprint),
    /// A key could not be made or parsed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key is active.
    #[error("no signing key is active")]
    NoneActive,
    /// The key could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
