//! The server's signing keys: sealed at rest, parsed in memory, rotated by the clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use countersign_protocol::{
    UnixTime,
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyError, NewKey, PrivateKey, PublicKey, Thumbprint},
    ports::Random,
};
use serde_json::Value;

use crate::{
    keys::{
        error::SigningKeyError,
        loaded::{LoadedKey, Signer, jwk_set, life, life_that_ended, published},
        published::PublishedKeys,
        sealing::{PURPOSE, open, seal, unseal},
        vault::Vault,
    },
    model::{
        audit::{AuditEvent, EventKind},
        key_life::{KeyLife, KeySchedule, KeyState, Schedule, SealedSigningKey, Signs},
    },
    ports::SigningKeyStore,
};

/// The signing keys of a server.
pub struct SigningKeys {
    pub(super) store: Arc<dyn SigningKeyStore>,
    pub(super) sealing: SealingKey,
    /// That of access tokens first.
    pub(super) schedules: Vec<Schedule>,
    pub(super) loaded: ArcSwap<Vec<LoadedKey>>,
    published: ArcSwapOption<PublishedKeys>,
    withdrawals: AtomicU64,
    /// Held while keys are changed or read anew, so that two changes cannot both make a successor.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// How many keys may be published before no more are made ahead of time. Verifiers elsewhere take 64
/// at most.
pub const MAX_PUBLISHED: usize = 32;

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
    /// Opens the keys of `store`, and changes none. The first of `schedules` is for access tokens.
    ///
    /// # Errors
    /// When a key cannot be opened with `vault`, or the store fails.
    pub async fn open(
        store: Arc<dyn SigningKeyStore>,
        vault: &Vault,
        schedules: impl IntoIterator<Item = Schedule>,
    ) -> Result<Self, SigningKeyError> {
        let keys = Self {
            store,
            sealing: vault.key(PURPOSE),
            schedules: schedules.into_iter().collect(),
            loaded: ArcSwap::default(),
            published: ArcSwapOption::empty(),
            withdrawals: AtomicU64::new(0),
            changing: tokio::sync::Mutex::new(()),
        };
        keys.reload().await?;
        Ok(keys)
    }

    /// The same, and makes the first key of each of `schedules` that has none to sign at `now`.
    ///
    /// # Errors
    /// When a key cannot be opened or made, or the store fails.
    pub async fn load(
        store: Arc<dyn SigningKeyStore>,
        vault: &Vault,
        schedules: impl IntoIterator<Item = Schedule>,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Self, SigningKeyError> {
        let keys = Self::open(store, vault, schedules).await?;
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
    pub(super) async fn read(&self) -> Result<(), SigningKeyError> {
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
        let lasts = |old: &LoadedKey| {
            let same = keys.iter().find(|key| key.kid == old.kid);
            same.is_some_and(|key| key.life.expires_at >= old.life.expires_at)
        };
        let is_withdrawal = !present.iter().all(lasts);
        self.loaded.store(Arc::new(keys));
        // Afterwards, so that whoever sees the new number verifies by the new keys.
        if is_withdrawal {
            self.withdrawals.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    /// How often keys were withdrawn, removed, or given an earlier end, here or by another process:
    /// what verified before may verify no longer.
    pub fn withdrawals(&self) -> u64 {
        self.withdrawals.load(SeqCst)
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
    ///
    /// # Errors
    /// When there is none.
    pub fn signer(&self, what: Signs, now: UnixTime) -> Result<Signer, SigningKeyError> {
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

    pub(super) async fn new_key(
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

pub(super) fn event(now: UnixTime, kind: EventKind, kid: Thumbprint) -> AuditEvent {
    AuditEvent::new(now, kind).key(kid)
}
