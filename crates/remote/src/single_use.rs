//! Nonces and the memory of used proofs. They belong together: a proof with a nonce from before the
//! memory begins is refused.

use std::{hash::RandomState, path::PathBuf, sync::Arc};

use countersign_guard::ports::{Clock, ReplayLog};
use countersign_protocol::{
    challenges::sealed::{LogNonces, Nonces},
    envelope::aes_gcm::{SealingKey, SecretBytes},
    ports::Random,
    replay::{LogEpoch, MemoryReplayLog},
};

use crate::{
    nonce_key::NonceKey,
    shared_state::{Room, Shared, SharedStateError, Sharing, boot_id, look_at},
};

/// How many used proofs are remembered.
const REPLAY_ENTRIES: u64 = 1_000_000;
/// How many of them one account may have: about a minute of its requests.
const REPLAY_SHARE: u64 = REPLAY_ENTRIES / 10;

/// Whether the processes that guard one service on one machine share nonces and used proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SharedState {
    /// They share nothing: for a service that runs as one process.
    #[default]
    Alone,
    /// In a file of the user that they run as, in memory (`/dev/shm`) or else in the directory for
    /// temporary files. Its name is derived from issuer and origin.
    Chosen,
    /// In a file in this directory, which belongs to that user and is on this machine.
    Directory(PathBuf),
}

impl SharedState {
    /// Refuses a directory that is of no use, before a guard starts with it. It makes nothing, because the
    /// process may still change its user or fork.
    ///
    /// # Errors
    /// When it is no directory, or others could change what is in it.
    pub fn check(&self) -> Result<(), SharedStateError> {
        match self {
            Self::Alone | Self::Chosen => Ok(()),
            Self::Directory(path) => look_at(path),
        }
    }
}

/// The memory of a guard, and the nonces that go with it.
pub(crate) struct SingleUse {
    pub(crate) log: Arc<dyn ReplayLog>,
    pub(crate) nonces: Arc<dyn Nonces>,
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
                return Ok(Self::alone(log, &nonce_key, &*clock, &*random));
            }
            (None, SharedState::Chosen, Err(error)) => {
                tracing::warn!(%error, "each process guards for itself");
                return Ok(Self::alone(log, &nonce_key, &*clock, &*random));
            }
            (None, SharedState::Chosen, Ok(boot_id)) => (None, boot_id),
            (None, SharedState::Directory(path), boot_id) => (Some(path), boot_id?),
        };
        let room = Room { entries: REPLAY_ENTRIES, share: REPLAY_SHARE };
        let sharing = Sharing { directory, service, boot_id, room, nonce_key, clock, random };
        let shared = Arc::new(Shared::new(sharing)?);
        Ok(Self { log: Arc::<Shared>::clone(&shared), nonces: shared })
    }

    /// In this process' memory, or in a log from the caller.
    fn alone(
        log: Option<Arc<dyn ReplayLog>>,
        nonce_key: &NonceKey,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Self {
        let own = SealingKey::from_bytes(SecretBytes::filled(|place| random.fill(place)).reveal());
        // Enough for one process, which makes the nonces too: a proof that was used before a restart,
        // or at another process, carries a nonce that is unknown here.
        let new_log = || {
            let epoch = LogEpoch::begin(random, clock.now());
            MemoryReplayLog::new(epoch, REPLAY_ENTRIES, REPLAY_SHARE, RandomState::new())
        };
        let log = log.unwrap_or_else(|| Arc::new(new_log()));
        let nonces = LogNonces::new(nonce_key.sealer(own), Arc::clone(&log));
        Self { log, nonces: Arc::new(nonces) }
    }
}
