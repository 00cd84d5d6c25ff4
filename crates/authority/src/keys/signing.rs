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
    keys::{Algorithm, KeyError, NewKey, PrivateKey, PublicKey, Thumbprint},
    ports::Random,
};
use serde_json::Value;

use crate::{
    keys::{
        error::SigningKeyError,
        loaded::{LoadedKey, Signer, jwk_set, published},
        published::PublishedKeys,
        purpose_keys::PurposeKeys,
        sealing::{PURPOSE, open, seal, unseal},
        vault::Vault,
    },
    model::{
        audit::{AuditEvent, EventKind},
        key_life::{KeyLife, KeySchedule, KeyState, Schedule, SealedSigningKey, Signs},
    },
    ports::{
        ChangeSigningKeysError, SigningKeyChange, SigningKeyStore, SigningKeyVersion,
        StoredSigningKeys,
    },
};

/// The signing keys of a server.
pub struct SigningKeys {
    pub(super) store: Arc<dyn SigningKeyStore>,
    pub(super) sealing: PurposeKeys,
    /// That of access tokens first.
    pub(super) schedules: Vec<Schedule>,
    pub(super) loaded: ArcSwap<Vec<LoadedKey>>,
    published: ArcSwapOption<PublishedKeys>,
    withdrawals: AtomicU64,
    /// The version of `loaded`. Locked while keys are changed or read anew, so that this process does
    /// not make two keys where one is needed.
    pub(super) changing: tokio::sync::Mutex<SigningKeyVersion>,
    /// Locked while [`Self::ensure`] makes what is lacking.
    pub(super) ensuring: tokio::sync::Mutex<()>,
    /// Locked during a look.
    pub(super) look: tokio::sync::Mutex<Look>,
}

/// The last reading of the keys that an unknown key caused.
#[derive(Default)]
pub(super) struct Look {
    /// When it began, by the clock that does not jump.
    pub(super) at: Option<Duration>,
    pub(super) has_failed: bool,
}

/// How often a change is decided in all, when another process is faster each time. Each time it has
/// done something that need not be done again.
pub(super) const ATTEMPTS: usize = 8;

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
            sealing: vault.keys(PURPOSE),
            schedules: schedules.into_iter().collect(),
            loaded: ArcSwap::default(),
            published: ArcSwapOption::empty(),
            withdrawals: AtomicU64::new(0),
            changing: tokio::sync::Mutex::default(),
            ensuring: tokio::sync::Mutex::default(),
            look: tokio::sync::Mutex::default(),
        };
        keys.reload().await?;
        Ok(keys)
    }

    /// Reads all keys anew: another process may have changed them.
    ///
    /// # Errors
    /// When a key cannot be opened or the store fails; the keys in memory then stay.
    pub async fn reload(&self) -> Result<(), SigningKeyError> {
        self.read(&mut *self.changing.lock().await).await
    }

    /// Reads all keys and their version, while `changing` is locked: what was read before a change
    /// must not replace what was read after it.
    async fn read(&self, version: &mut SigningKeyVersion) -> Result<(), SigningKeyError> {
        let StoredSigningKeys { version: stored, keys: sealed } = self.store.signing_keys().await?;
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
        *version = stored;
        // Afterwards, so that whoever sees the new number verifies by the new keys.
        if is_withdrawal {
            self.withdrawals.fetch_add(1, SeqCst);
        }
        Ok(())
    }

    /// Makes a change that was decided on the keys in memory, whose version is `version`, and reads
    /// them anew. Returns `false` when another process has changed them: then nothing was done, and
    /// the change is to be decided anew.
    pub(super) async fn commit(
        &self,
        version: &mut SigningKeyVersion,
        change: SigningKeyChange,
    ) -> Result<bool, SigningKeyError> {
        let change = SigningKeyChange { decided_on: *version, ..change };
        let is_made = match self.store.change_signing_keys(change).await {
            Ok(()) => true,
            Err(ChangeSigningKeysError::Stale) => false,
            Err(ChangeSigningKeysError::Store(error)) => return Err(error.into()),
        };
        self.read(version).await?;
        Ok(is_made)
    }

    /// How often keys were withdrawn, removed, or given an earlier end, here or by another process:
    /// what verified before may verify no longer.
    pub fn withdrawals(&self) -> u64 {
        self.withdrawals.load(SeqCst)
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

    /// Whether there is a key `kid`, published or not.
    pub(super) fn knows(&self, kid: &Thumbprint) -> bool {
        self.loaded.load().iter().any(|key| key.kid == *kid)
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
