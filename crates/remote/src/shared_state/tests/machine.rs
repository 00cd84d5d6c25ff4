//! A machine whose processes share their state.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use countersign_protocol::{ReplayEntry, UnixTime, ports::Clock as _};
use countersign_testkit::{clock::FixedClock, random::SeededRandom, samples::NOW};
use tempfile::TempDir;

use super::{MINUTE, NonceKey, Room, SECOND, Shared, SharedStateError, Sharing};
use crate::nonce_key::NonceSecret;

/// A machine with a directory, which ends with it.
pub(super) struct Machine {
    pub(super) temporary: TempDir,
    pub(super) path: PathBuf,
    pub(super) clock: Arc<FixedClock>,
    pub(super) random: Arc<SeededRandom>,
    pub(super) boot_id: [u8; 16],
    pub(super) room: Room,
}

impl Machine {
    pub(super) fn new() -> Self {
        let temporary = TempDir::new().unwrap();
        let path = temporary.path().join("state");
        let clock = Arc::new(FixedClock::at(NOW));
        let random = Arc::new(SeededRandom::new(7));
        Self {
            temporary,
            path,
            clock,
            random,
            boot_id: [1; 16],
            room: Room { entries: 1000, share: 1000 },
        }
    }

    pub(super) fn process(&self) -> Shared {
        self.try_process(None).unwrap()
    }

    pub(super) fn try_process(&self, secret: Option<&[u8]>) -> Result<Shared, SharedStateError> {
        let secret = secret.map(|secret| NonceSecret::new(secret).unwrap());
        let sharing = Sharing {
            directory: Some(self.path.clone()),
            service: ("https://issuer.example".to_owned(), "https://api.example".to_owned()),
            boot_id: self.boot_id,
            room: self.room,
            nonce_key: NonceKey::new(secret.as_ref(), 5 * SECOND),
            clock: Arc::<FixedClock>::clone(&self.clock),
            random: Arc::<SeededRandom>::clone(&self.random),
        };
        Shared::new(sharing)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path.join("used-proofs")
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(super) fn entry(&self, number: u64) -> ReplayEntry {
        self.entry_for(number, MINUTE)
    }

    pub(super) fn entry_for(&self, number: u64, lifetime: Duration) -> ReplayEntry {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        ReplayEntry { digest, forget_at: self.now() + lifetime }
    }

    pub(super) fn length(&self) -> u64 {
        fs::metadata(self.file()).unwrap().len()
    }
}
