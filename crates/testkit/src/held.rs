//! A replay log, and what must be there for as long as it is.

use countersign_protocol::{
    ReplayEntry, UnixTime,
    ports::{Recording, ReplayLog},
    replay::{FoundNew, LogEpoch, ReplayOwner},
};

/// A replay log in a place, such as a directory, that goes when nobody holds it.
pub struct Held<L, P> {
    log: L,
    _place: P,
}

impl<L, P> Held<L, P> {
    /// `log`, which needs `place`.
    pub const fn new(log: L, place: P) -> Self {
        Self { log, _place: place }
    }
}

impl<L: ReplayLog, P: Send + Sync> ReplayLog for Held<L, P> {
    fn epoch(&self) -> LogEpoch {
        self.log.epoch()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        self.log.check_and_insert(entry, found, owner, now)
    }
}
