//! The server's signing keys: sealed at rest, parsed in memory, rotated by the clock.

mod sealing;

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use countersign_protocol::{
    UnixTime,
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyError, KeyType, NewKey, PrivateKey, PublicKey, SignError, Thumbprint},
    ports::Random,
    tokens::issue::{self, AccessTokenClaims},
};
use serde_json::{Value, json};
use thiserror::Error;

pub(crate) use self::sealing::reseal;
use self::sealing::{PURPOSE, open, seal, unseal};
use crate::{
    keys::{published::PublishedKeys, vault::Vault},
    model::{
        audit::{AuditEvent, EventKind},
        key_life::{KeyLife, KeySchedule, KeyState, Schedule, SealedSigningKey, Signs},
    },
    ports::{SigningKeyStore, StoreError},
};

/// The signing keys of a server.
pub struct SigningKeys {
    store: Arc<dyn SigningKeyStore>,
    sealing: SealingKey,
    /// That of access tokens first.
    schedules: Vec<Schedule>,
    loaded: ArcSwap<Vec<LoadedKey>>,
    published: ArcSwapOption<PublishedKeys>,
    /// Held while keys are changed or read anew, so that two changes cannot both make a successor.
    changing: tokio::sync::Mutex<()>,
}

/// How many keys may be published before no more are made ahead of time. Verifiers elsewhere take 64
/// at most.
pub const MAX_PUBLISHED: usize = 32;

/// A key that signs, or has signed.
pub(crate) struct Signer {
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) algorithm: Algorithm,
    /// From then on nothing that it signed verifies.
    pub(crate) expires_at: UnixTime,
}

pub(crate) struct LoadedKey {
    kid: Thumbprint,
    signs: Signs,
    algorithm: Algorithm,
    pub(crate) life: KeyLife,
    key: Arc<PrivateKey>,
}

/// A signing key as administrators see it.
#[derive(Clone, Copy, Debug)]
pub struct KeySummary {
    /// Its `kid`.
    pub kid: Thumbprint,
    /// What it signs.
    pub signs: Signs,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Its present state.
    pub state: KeyState,
    /// When that changes.
    pub life: KeyLife,
}

impl SigningKeys {
    /// Loads the keys of `store`, and makes the first one of each of `schedules` that has none to
    /// sign at `now`. The first schedule is for access tokens.
    ///
    /// # Errors
    /// When a key cannot be opened with `vault`, or the store fails.
    pub async fn load(
        store: Arc<dyn SigningKeyStore>,
        vault: &Vault,
        schedules: impl IntoIterator<Item = Schedule>,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Self, SigningKeyError> {
        let keys = Self {
            store,
            sealing: vault.key(PURPOSE),
            schedules: schedules.into_iter().collect(),
            loaded: ArcSwap::default(),
            published: ArcSwapOption::empty(),
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
                let (signs, life) = (sealed.signs, sealed.life);
                Ok(LoadedKey { signs, life, key: Arc::clone(&known.key), ..*known })
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
        let mut new = Vec::new();
        for schedule in &self.schedules {
            let end = schedule.signed_until(&loaded, now);
            if end <= now + schedule.lives.publish_ahead {
                let life = life(&schedule.lives, now, end);
                new.push(self.new_key(schedule, life, random).await?);
            }
            if schedule.keep_expired && schedule.last_gone(&loaded, now).is_none() {
                let life = life_that_ended(&schedule.lives, now);
                new.push(self.new_key(schedule, life, random).await?);
            }
        }
        let kept: Vec<_> = self
            .schedules
            .iter()
            .filter(|schedule| schedule.keep_expired)
            .filter_map(|schedule| schedule.last_gone(&loaded, now))
            .map(|key| key.kid)
            .collect();
        let is_over = |key: &&LoadedKey| key.life.state(now) == KeyState::Gone;
        let gone: Vec<_> = loaded
            .iter()
            .filter(is_over)
            .map(|key| key.kid)
            .filter(|kid| !kept.contains(kid))
            .collect();
        if new.is_empty() && gone.is_empty() {
            return Ok(false);
        }
        let created = new.iter().map(|key| event(now, EventKind::SigningKeyCreated, key.kid));
        let removed = gone.iter().map(|kid| event(now, EventKind::SigningKeyRemoved, *kid));
        let events = created.chain(removed).collect();
        self.store.change_signing_keys(&new, &gone, events).await?;
        self.read().await?;
        Ok(true)
    }

    /// Does at once what [`Self::maintain`] does in time, if a key is lacking at `now`: the clock may
    /// have jumped. Those who ask while one is at it wait for the same outcome.
    ///
    /// # Errors
    /// When a key is still lacking.
    pub async fn ensure(&self, now: UnixTime, random: &dyn Random) -> Result<(), SigningKeyError> {
        if self.check(now).is_ok() {
            return Ok(());
        }
        match self.changing.try_lock() {
            Ok(free) => {
                drop(free);
                self.maintain(now, random).await?;
            }
            Err(_) => drop(self.changing.lock().await),
        }
        self.check(now)
    }

    /// Rotates ahead of time: the next key (or a new one) signs from `now` on, and the present one
    /// retires until its last token has ended. That is done to the key that signs access tokens.
    ///
    /// With `withdraw`, the present keys of every algorithm leave the JWKS at once and their tokens
    /// die.
    ///
    /// # Errors
    /// When as many keys as may be are published, a key cannot be made or the store fails; then
    /// nothing has changed.
    pub async fn rotate(
        &self,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let schedules = if withdraw {
            &self.schedules[..]
        } else {
            self.schedules.get(..1).unwrap_or_default()
        };
        self.rotate_all(schedules, withdraw, now, random).await
    }

    /// The same for the keys of `algorithm` alone.
    ///
    /// # Errors
    /// Those of [`Self::rotate`], and when nothing is signed with `algorithm`.
    pub async fn rotate_algorithm(
        &self,
        algorithm: Algorithm,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let of_algorithm = |schedule: &&Schedule| schedule.lives.algorithm == algorithm;
        let schedules: Vec<_> = self.schedules.iter().filter(of_algorithm).copied().collect();
        if schedules.is_empty() {
            return Err(SigningKeyError::NotScheduled(algorithm));
        }
        self.rotate_all(&schedules, withdraw, now, random).await
    }

    async fn rotate_all(
        &self,
        schedules: &[Schedule],
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let _changing = self.changing.lock().await;
        let loaded = self.loaded.load_full();
        let published = published(&loaded, now).count();
        if published >= MAX_PUBLISHED && !withdraw {
            return Err(SigningKeyError::TooManyPublished { published, limit: MAX_PUBLISHED });
        }
        let mut put = Vec::new();
        for schedule in schedules {
            let keys = loaded.iter().filter(|key| schedule.has(key));
            put.extend(self.rotated(keys, schedule, withdraw, now, random).await?);
        }
        let events =
            put.iter().map(|key| event(now, EventKind::SigningKeyRotated, key.kid)).collect();
        self.store.change_signing_keys(&put, &[], events).await?;
        self.read().await
    }

    /// What becomes of the keys of one schedule when they are rotated.
    async fn rotated<'a>(
        &self,
        keys: impl Iterator<Item = &'a LoadedKey>,
        schedule: &Schedule,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Vec<SealedSigningKey>, SigningKeyError> {
        let Schedule { lives, tokens_live, .. } = schedule;
        let mut put = Vec::new();
        let mut has_next = false;
        for key in keys {
            let life = match key.life.state(now) {
                KeyState::Next if !has_next => {
                    has_next = true;
                    life(lives, key.life.created_at, now)
                }
                KeyState::Active | KeyState::Retired if withdraw => {
                    let retired_from = key.life.retired_from.min(now);
                    KeyLife { retired_from, expires_at: now, ..key.life }
                }
                KeyState::Active => {
                    let expires_at = now + lives.keep_after.min(*tokens_live);
                    KeyLife { retired_from: now, expires_at, ..key.life }
                }
                KeyState::Next | KeyState::Retired | KeyState::Gone => continue,
            };
            put.push(seal(key, life, &self.sealing, random));
        }
        if !has_next {
            put.push(self.new_key(schedule, life(lives, now, now), random).await?);
        }
        Ok(put)
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
        let active = self.schedule(Signs::AccessTokens)?.active(&loaded, now)?;
        Ok(issue::access_token(claims, &active.key, active.algorithm)?)
    }

    /// Whether a key of every schedule is there to sign at `now`.
    ///
    /// # Errors
    /// When one is lacking.
    pub fn check(&self, now: UnixTime) -> Result<(), SigningKeyError> {
        let loaded = self.loaded.load();
        for schedule in &self.schedules {
            schedule.active(&loaded, now)?;
            if schedule.keep_expired && schedule.last_gone(&loaded, now).is_none() {
                return Err(SigningKeyError::NoneActive);
            }
        }
        Ok(())
    }

    /// The key for `what` that is active at `now`.
    pub(crate) fn signer(&self, what: Signs, now: UnixTime) -> Result<Signer, SigningKeyError> {
        self.schedule(what)?.active(&self.loaded.load(), now).map(Signer::from)
    }

    /// The key for `what` that expired last before `now`.
    pub(crate) fn expired_signer(
        &self,
        what: Signs,
        now: UnixTime,
    ) -> Result<Signer, SigningKeyError> {
        let loaded = self.loaded.load();
        let gone = self.schedule(what)?.last_gone(&loaded, now);
        gone.map(Signer::from).ok_or(SigningKeyError::NoneActive)
    }

    /// The public key `kid`, if it is published at `now`.
    pub fn public_key(&self, kid: &Thumbprint, now: UnixTime) -> Option<PublicKey> {
        let loaded = self.loaded.load();
        let key = published(&loaded, now).find(|key| key.kid == *kid)?;
        Some(key.key.public_key().clone())
    }

    /// The JWK Set of all keys that are published at `now` (RFC 7517 §5).
    pub fn jwks(&self, now: UnixTime) -> Value {
        jwk_set(&self.loaded.load(), now)
    }

    /// The same as text, which is written only when it changes.
    pub fn published(&self, now: UnixTime) -> Arc<PublishedKeys> {
        let loaded = self.loaded.load();
        if let Some(known) = &*self.published.load()
            && known.are_current(&loaded, now)
        {
            return Arc::clone(known);
        }
        let published = Arc::new(PublishedKeys::new(Arc::clone(&loaded), now));
        self.published.store(Some(Arc::clone(&published)));
        published
    }

    /// All keys, for administrators.
    pub fn summaries(&self, now: UnixTime) -> Vec<KeySummary> {
        let summary = |key: &LoadedKey| KeySummary {
            kid: key.kid,
            signs: key.signs,
            algorithm: key.algorithm,
            state: key.life.state(now),
            life: key.life,
        };
        self.loaded.load().iter().map(summary).collect()
    }

    /// How long verifiers may cache the JWKS: well within the time that a key is published ahead.
    pub(crate) fn jwks_max_age(&self) -> Duration {
        let ahead = self.schedules.iter().map(|schedule| schedule.lives.publish_ahead / 4);
        ahead.fold(Duration::from_mins(5), Duration::min)
    }

    fn schedule(&self, what: Signs) -> Result<&Schedule, SigningKeyError> {
        let schedule = self.schedules.iter().find(|schedule| schedule.signs == what);
        schedule.ok_or(SigningKeyError::NoneActive)
    }

    async fn new_key(
        &self,
        &Schedule { signs, lives: KeySchedule { algorithm, .. }, .. }: &Schedule,
        life: KeyLife,
        random: &dyn Random,
    ) -> Result<SealedSigningKey, SigningKeyError> {
        let kind = match algorithm {
            Algorithm::EdDsa => NewKey::Ed25519,
            Algorithm::Es256 => NewKey::EcP256,
            Algorithm::Es384 => NewKey::EcP384,
            Algorithm::Ps256 | Algorithm::Rs256 => NewKey::Rsa2048,
        };
        // An RSA key takes tens of milliseconds.
        let made = tokio::task::spawn_blocking(move || PrivateKey::generate(kind)).await;
        let key = made.map_err(|_| SigningKeyError::Key(KeyError::GenerationFailed))??;
        let kid = key.public_key().thumbprint();
        let key = LoadedKey { kid, signs, algorithm, life, key: Arc::new(key) };
        Ok(seal(&key, life, &self.sealing, random))
    }
}

impl From<&LoadedKey> for Signer {
    fn from(key: &LoadedKey) -> Self {
        let (algorithm, expires_at) = (key.algorithm, key.life.expires_at);
        Self { key: Arc::clone(&key.key), algorithm, expires_at }
    }
}

impl Schedule {
    /// Whether `key` is one of its keys. Those of an algorithm that was chosen before are nobody's:
    /// they sign no more.
    fn has(&self, key: &LoadedKey) -> bool {
        key.signs == self.signs && key.algorithm == self.lives.algorithm
    }

    fn active<'a>(
        &self,
        loaded: &'a [LoadedKey],
        now: UnixTime,
    ) -> Result<&'a LoadedKey, SigningKeyError> {
        let mut keys = loaded.iter().rev().filter(|key| self.has(key));
        let active = keys.find(|key| key.life.state(now) == KeyState::Active);
        active.ok_or(SigningKeyError::NoneActive)
    }

    /// The one of its keys that expired last.
    fn last_gone<'a>(&self, loaded: &'a [LoadedKey], now: UnixTime) -> Option<&'a LoadedKey> {
        last_gone(loaded, now, |key| self.has(key))
    }

    /// Until when its keys sign one after the other, from `now` on. A key that begins only later does
    /// not count: it was made while the clock was ahead.
    fn signed_until(&self, keys: &[LoadedKey], now: UnixTime) -> UnixTime {
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
fn life(schedule: &KeySchedule, created_at: UnixTime, active_from: UnixTime) -> KeyLife {
    let retired_from = active_from + schedule.active;
    let expires_at = retired_from + schedule.keep_after;
    KeyLife { created_at, active_from, retired_from, expires_at }
}

/// A life that ended as long before `now` as it lasted. It was never published.
fn life_that_ended(schedule: &KeySchedule, now: UnixTime) -> KeyLife {
    let start = now - (schedule.active + schedule.keep_after) * 2;
    life(schedule, start, start)
}

/// Those of `keys` that are published at `now`. When the time of all is over, the last one for access
/// tokens stays until there is another: an empty JWK Set would look as if all had been withdrawn.
fn published(keys: &[LoadedKey], now: UnixTime) -> impl Iterator<Item = &LoadedKey> {
    let is_live = move |key: &LoadedKey| key.life.state(now) != KeyState::Gone;
    let none = !keys.iter().any(is_live);
    let for_access = |key: &LoadedKey| key.signs == Signs::AccessTokens;
    let last = none.then(|| last_gone(keys, now, for_access)).flatten();
    keys.iter().filter(move |key| is_live(key)).chain(last)
}

/// The JWK Set of those of `keys` that are published at `now`. RSA keys come first: there are
/// verifiers of RS256 that go through a set without a look at `kid`, and give up at the first key of
/// another type.
pub(crate) fn jwk_set(keys: &[LoadedKey], now: UnixTime) -> Value {
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

fn event(now: UnixTime, kind: EventKind, kid: Thumbprint) -> AuditEvent {
    AuditEvent::new(now, kind).key(kid)
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
    /// Nothing is signed with that algorithm.
    #[error("no key of the server signs with {0}")]
    NotScheduled(Algorithm),
    /// The key could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rotated too often: verifiers would not take so many keys.
    #[error(
        "{published} keys are published, and {limit} are the limit: rotate again when the tokens of \
         the retired ones have ended, or withdraw them all"
    )]
    TooManyPublished {
        /// How many are published.
        published: usize,
        /// How many may be.
        limit: usize,
    },
}
