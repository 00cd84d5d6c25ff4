//! Nonces, and the memory of used proofs, which belong together: what carries a nonce from before the
//! memory begins is refused.

use std::{path::PathBuf, sync::Arc, time::Duration};

use countersign_guard::ports::{Clock, ReplayLog};
use countersign_protocol::{
    UnixTime,
    challenges::sealed::{NonceSealer, Nonces},
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    ports::{Random, random_bytes},
};

use crate::{
    replay_log::MemoryReplayLog,
    resource_server::NotStarted,
    shared_state::{Room, Shared, SharedStateError, Sharing, boot_id},
};

/// How many used proofs are remembered.
const REPLAY_ENTRIES: u64 = 1_000_000;
/// How many of them one account may have: the requests of about a minute.
const REPLAY_SHARE: u64 = REPLAY_ENTRIES / 10;
/// For how long a nonce works.
const NONCE_LIFETIME: Duration = Duration::from_mins(5);
/// The least length of a secret of several machines, in bytes.
const LEAST_SECRET: usize = 32;

/// Whether the processes that guard one service on one machine share nonces and used proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SharedState {
    /// They share nothing: right for a service that is one process.
    #[default]
    Alone,
    /// In a file of the user that they run as, in memory (`/dev/shm`) or else among the temporary
    /// ones. Issuer and origin choose it.
    Chosen,
    /// In a file in this directory, which belongs to that user and is on this machine.
    Directory(PathBuf),
}

/// What a guard remembers, and the nonces that go with it.
pub(crate) struct SingleUse {
    pub(crate) log: Arc<dyn ReplayLog>,
    pub(crate) nonces: Arc<dyn Nonces>,
    /// From when on it remembers, where a restart makes it forget.
    pub(crate) since: Option<UnixTime>,
}

/// What [`SingleUse::new`] is told.
pub(crate) struct Settings {
    /// The issuer and the origin of the service.
    pub(crate) service: (String, String),
    pub(crate) log: Option<Arc<dyn ReplayLog>>,
    pub(crate) shared: SharedState,
    pub(crate) nonce_key: NonceKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl SingleUse {
    pub(crate) fn new(settings: Settings) -> Result<Self, SharedStateError> {
        let Settings { service, log, shared, nonce_key, clock, random } = settings;
        let (directory, boot_id) = match (&log, shared, boot_id()) {
            (Some(_), _, _) | (None, SharedState::Alone, _) => {
                return Ok(Self::alone(log, &nonce_key, clock.now(), &*random));
            }
            (None, SharedState::Chosen, Err(error)) => {
                tracing::warn!(%error, "each process guards for itself");
                return Ok(Self::alone(log, &nonce_key, clock.now(), &*random));
            }
            (None, SharedState::Chosen, Ok(boot_id)) => (None, boot_id),
            (None, SharedState::Directory(path), boot_id) => (Some(path), boot_id?),
        };
        let room = Room { entries: REPLAY_ENTRIES, share: REPLAY_SHARE };
        let sharing = Sharing { directory, service, boot_id, room, nonce_key, clock, random };
        let shared = Arc::new(Shared::new(sharing)?);
        let since = Some(shared.since());
        Ok(Self { log: Arc::<Shared>::clone(&shared), nonces: shared, since })
    }

    /// In this process' memory, or in a log that is not ours.
    fn alone(
        log: Option<Arc<dyn ReplayLog>>,
        nonce_key: &NonceKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Self {
        let own = SealingKey::from_bytes(&random_bytes(random));
        let since = log.is_none().then_some(now);
        let new_log = || Arc::new(MemoryReplayLog::new(REPLAY_ENTRIES, REPLAY_SHARE)) as _;
        let log = log.unwrap_or_else(new_log);
        Self { log, nonces: Arc::new(nonce_key.sealer(own, now)), since }
    }
}

/// What nonces are made with.
pub(crate) struct NonceKey {
    /// Set where several machines know it.
    secret: Option<SealingKey>,
    /// How far their clocks may be apart.
    skew: Duration,
}

impl NonceKey {
    /// From `secret`, which several machines know, if there is one.
    pub(crate) fn new(secret: Option<&NonceSecret>, skew: Duration) -> Self {
        let secret = secret.map(|NonceSecret(key)| key.derive("guard nonces"));
        Self { secret, skew }
    }

    /// Nonces of a memory that has begun at `since`; `own` is a secret that nobody had before.
    pub(crate) fn sealer(&self, own: SealingKey, since: UnixTime) -> NonceSealer {
        match &self.secret {
            None => NonceSealer::new(own, NONCE_LIFETIME),
            Some(secret) => NonceSealer::new(secret.derive("machines"), NONCE_LIFETIME)
                .made_after(since, self.skew),
        }
    }
}

/// A secret that several machines know.
pub(crate) struct NonceSecret(SealingKey);

impl NonceSecret {
    pub(crate) fn new(secret: &[u8]) -> Result<Self, NotStarted> {
        if secret.len() < LEAST_SECRET {
            return Err(NotStarted::NonceSecret { least: LEAST_SECRET, length: secret.len() });
        }
        Ok(Self(SealingKey::from_bytes(&sha256(&[secret]))))
    }
}
