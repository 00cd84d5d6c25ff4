//! Nonces and used proofs that the processes of one machine share, without another service.
//!
//! They share a file ([`ring`]). The header of the file holds the secret of the nonces, and its
//! slots hold the used proofs, so the two are lost together. When a file was lost, replaced, cut
//! off, or written before the machine was started, a new secret is made, and the nonces of all
//! earlier proofs are unknown.

mod directory;
mod epoch;
mod error;
mod record;
mod ring;

use std::{
    hash::RandomState,
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use countersign_guard::ports::{Clock, Recording, ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    challenges::sealed::Nonces,
    ports::Random,
    replay::{
        EpochId, FoundNew, LogEpoch, MemoryReplayLog, NotRecorded, ReplayOwner, ReplayShareUsedUp,
    },
};
use parking_lot::Mutex;
use thiserror::Error;

pub(crate) use self::directory::boot_id;
pub use self::error::SharedStateError;
use self::{
    directory::Directory,
    epoch::Epoch,
    record::Record,
    ring::{Appended, Attempt, Identity, Locked, Ring},
};
use crate::nonce_key::NonceKey;

/// How often to try the lock before waiting: other processes hold it for a few microseconds.
const QUICK_TRIES: u32 = 100;
/// How often to try the lock in all, with a millisecond between two attempts.
const TRIES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(1);

/// The state that the processes guarding one service on one machine share.
pub(crate) struct Shared {
    directory: Directory,
    boot_id: [u8; 16],
    room: Room,
    nonce_key: NonceKey,
    memory: MemoryReplayLog,
    epoch: ArcSwap<Epoch>,
    file: Mutex<OpenFile>,
    works: AtomicBool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

struct OpenFile {
    ring: Option<Ring>,
    /// A fork shares its parent's lock, so it must open the file itself.
    process: u32,
}

/// Why there is no answer.
#[derive(Debug, Error)]
enum Trouble {
    #[error("another process holds its lock, and has not let go for a second")]
    Busy,
    #[error("it was replaced")]
    Elsewhere,
    #[error("it has begun anew")]
    BegunAnew,
    #[error("used before")]
    Used,
    #[error(transparent)]
    ShareUsedUp(ReplayShareUsedUp),
    #[error("{0} used proofs are in it, and none of them has ended")]
    Full(u64),
    #[error("the clock has gone back")]
    Forgotten,
    #[error(transparent)]
    Directory(#[from] SharedStateError),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// How many used proofs are remembered.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) entries: u64,
    /// How many of them one owner may have.
    pub(crate) share: u64,
}

/// What [`Shared::new`] is told.
pub(crate) struct Sharing {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) service: (String, String),
    /// What [`boot_id`] said.
    pub(crate) boot_id: [u8; 16],
    pub(crate) room: Room,
    pub(crate) nonce_key: NonceKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// Refuses a directory in which processes cannot share their state, and makes nothing.
///
/// # Errors
/// When it is no directory, or others could change what is in it.
pub(crate) fn look_at(directory: &Path) -> Result<(), SharedStateError> {
    Directory::look_at(directory)
}

impl Shared {
    /// Opens the file of the service, issuer and origin, or makes it.
    ///
    /// # Errors
    /// When there is no place for it that others cannot change.
    pub(crate) fn new(sharing: Sharing) -> Result<Self, SharedStateError> {
        let Sharing {
            directory,
            service: (issuer, origin),
            boot_id,
            room,
            nonce_key,
            clock,
            random,
        } = sharing;
        let directory = match directory {
            Some(path) => Directory::at(path)?,
            None => Directory::of(&issuer, &origin)?,
        };
        // The nonces of this epoch are unknown to all, because it is in no file. The first access
        // to the file replaces it.
        let identity = epoch::identity(0, &boot_id, clock.now(), &*random);
        let epoch = Epoch::of(identity, &nonce_key);
        let ring = open(&directory)?;
        let shared = Self {
            directory,
            boot_id,
            room,
            nonce_key,
            memory: MemoryReplayLog::new(
                epoch.of_log,
                room.entries,
                room.share,
                RandomState::new(),
            ),
            epoch: ArcSwap::from_pointee(epoch),
            file: Mutex::new(OpenFile { ring: Some(ring), process: process::id() }),
            works: AtomicBool::new(true),
            clock,
            random,
        };
        for _ in 0..QUICK_TRIES {
            if shared.look() {
                break;
            }
            thread::yield_now();
        }
        Ok(shared)
    }

    /// Checks whether the file is still the same; `false` if that cannot be found out now.
    fn look(&self) -> bool {
        self.file.try_lock().is_some_and(|mut file| self.with(&mut file, |_| Ok(())).is_ok())
    }

    /// Writes `record`, which was `found` to be new, to the file, unless it is there.
    fn record(
        &self,
        record: Record,
        found: FoundNew,
        now: UnixTime,
    ) -> Result<SpentReceipt, Trouble> {
        self.with(&mut self.file.lock(), |ring| {
            if found.epoch() != self.epoch.load().of_log.id {
                return Err(Trouble::BegunAnew);
            }
            if !ring.unseen(|seen| self.memory.learn(seen.entry, seen.owner, now))? {
                // The file was damaged, so used proofs may be missing from it.
                self.begin(ring)?;
                return Err(Trouble::BegunAnew);
            }
            // This memory is emptied by nothing, so its own epoch is always the first.
            let known = FoundNew::ByTime(self.memory.epoch().id);
            let recorded = self.memory.record(record.entry, known, record.owner, now);
            let receipt = recorded.map_err(|error| match error {
                NotRecorded::Used => Trouble::Used,
                NotRecorded::ShareUsedUp(error) => Trouble::ShareUsedUp(error),
                NotRecorded::Full => Trouble::Full(self.room.entries),
                NotRecorded::OtherEpoch => Trouble::BegunAnew,
                NotRecorded::Forgotten => Trouble::Forgotten,
            })?;
            match ring.append(&record, self.room.entries, now)? {
                Appended::Recorded => Ok(receipt),
                Appended::Full => Err(Trouble::Full(self.room.entries)),
                Appended::Forgotten => Err(Trouble::Forgotten),
            }
        })
    }

    /// Runs `work` on the file while no other process uses it.
    fn with<T>(
        &self,
        file: &mut OpenFile,
        work: impl FnOnce(&mut Locked<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let process = process::id();
        if file.process != process {
            *file = OpenFile { ring: None, process };
        }
        let ring = match &mut file.ring {
            Some(ring) => ring,
            none => none.insert(open(&self.directory)?),
        };
        let result = match ring.try_lock(self.directory.file())? {
            Attempt::Locked(mut locked) => self.agree(&mut locked).and_then(|()| work(&mut locked)),
            Attempt::Busy => Err(Trouble::Busy),
            Attempt::Elsewhere => Err(Trouble::Elsewhere),
        };
        if matches!(result, Err(Trouble::Elsewhere)) {
            file.ring = None;
        }
        result
    }

    /// Makes sure that the file is valid and that this process is in the file's epoch.
    fn agree(&self, ring: &mut Locked<'_>) -> Result<(), Trouble> {
        if !epoch::is_of(ring.identity(), ring.inode(), &self.boot_id) {
            return self.begin(ring);
        }
        if *ring.identity() != self.epoch.load().identity {
            ring.read_anew();
            self.adopt(*ring.identity());
        }
        Ok(())
    }

    /// Empties the file and gives it a new secret for nonces.
    fn begin(&self, ring: &mut Locked<'_>) -> Result<(), Trouble> {
        let identity =
            epoch::identity(ring.inode(), &self.boot_id, self.clock.now(), &*self.random);
        ring.begin(identity)?;
        self.adopt(identity);
        Ok(())
    }

    /// From here on, nothing is recorded that was found to be new by the nonces of before.
    fn adopt(&self, identity: Identity) {
        self.epoch.store(Arc::new(Epoch::of(identity, &self.nonce_key)));
    }

    /// Writes `record` to the file as soon as no other process holds its lock.
    async fn spend(
        &self,
        record: Record,
        found: FoundNew,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        for _ in 0..QUICK_TRIES {
            match self.record(record, found, now) {
                Err(Trouble::Busy | Trouble::Elsewhere) => thread::yield_now(),
                result => return self.answer(result),
            }
        }
        let mut tries = QUICK_TRIES..TRIES;
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.record(record, found, now) {
                Err(Trouble::Busy | Trouble::Elsewhere) if tries.next().is_some() => {}
                result => return self.answer(result),
            }
        }
    }

    /// Logs once that the file does not work, and once that it works again.
    fn answer(&self, result: Result<SpentReceipt, Trouble>) -> Result<SpentReceipt, ReplayError> {
        let error = match result {
            Ok(receipt) => {
                if !self.works.swap(true, Relaxed) {
                    tracing::info!("the shared log of used proofs works again");
                }
                return Ok(receipt);
            }
            Err(Trouble::ShareUsedUp(error)) => return Err(ReplayError::ShareUsedUp(error)),
            Err(Trouble::Used) => return Err(ReplayError::Used),
            Err(Trouble::BegunAnew) => return Err(ReplayError::Forgot),
            Err(error) => error,
        };
        if self.works.swap(false, Relaxed) {
            let file = self.directory.file().display();
            tracing::warn!(%error, %file, "the shared log of used proofs does not work: requests are refused");
        }
        Err(ReplayError::Unavailable("the file that the processes of this machine share".into()))
    }
}

fn open(directory: &Directory) -> Result<Ring, SharedStateError> {
    let file = directory.open()?;
    Ring::new(file)
        .map_err(|source| SharedStateError::Io { path: directory.file().to_owned(), source })
}

impl ReplayLog for Shared {
    fn epoch(&self) -> LogEpoch {
        self.epoch.load().of_log
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        Box::pin(self.spend(Record { entry, owner }, found, now))
    }
}

impl Nonces for Shared {
    fn epoch(&self) -> EpochId {
        self.epoch.load().of_log.id
    }

    fn issue(&self, now: UnixTime) -> String {
        self.look();
        self.epoch.load().nonces.issue(now)
    }

    fn epoch_of(&self, nonce: &str, now: UnixTime) -> Option<EpochId> {
        let epoch = self.epoch.load();
        epoch.nonces.epoch_of(nonce, now).or_else(|| {
            // It may be a nonce of another process, which has made a new file.
            self.look();
            let fresh = self.epoch.load();
            if Arc::ptr_eq(&fresh, &epoch) { None } else { fresh.nonces.epoch_of(nonce, now) }
        })
    }
}

#[cfg(test)]
mod tests;
