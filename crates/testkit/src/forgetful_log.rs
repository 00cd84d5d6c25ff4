//! A replay log that forgets, or is away, when a test says so.

use std::{
    future::ready,
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use countersign_protocol::{
    ReplayEntry, UnixTime,
    ports::{Recording, ReplayError, ReplayLog},
    replay::{FoundNew, LogEpoch, MemoryReplayLog, ReplayOwner},
};
use parking_lot::{Mutex, RwLock};

use crate::random::SeededRandom;

/// As a log on another machine would, it can lose all that it knows while those who use it run on.
pub struct ForgetfulLog {
    capacity: u64,
    share: u64,
    random: SeededRandom,
    memory: RwLock<Arc<MemoryReplayLog>>,
    is_away: AtomicBool,
    forgets_next: Mutex<Option<UnixTime>>,
}

impl ForgetfulLog {
    /// An empty log with room for `capacity` entries, `share` of them for one owner, that begins at
    /// `since`. The names of its epochs follow from `seed`.
    pub fn new(capacity: u64, share: u64, since: UnixTime, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let memory = RwLock::new(Self::memory(capacity, share, &random, since));
        let (is_away, forgets_next) = (AtomicBool::new(false), Mutex::new(None));
        Self { capacity, share, random, memory, is_away, forgets_next }
    }

    fn memory(
        capacity: u64,
        share: u64,
        random: &SeededRandom,
        since: UnixTime,
    ) -> Arc<MemoryReplayLog> {
        let epoch = LogEpoch::begin(random, since);
        Arc::new(MemoryReplayLog::new(epoch, capacity, share, RandomState::new()))
    }

    /// Forgets everything. The next epoch begins at `now`.
    pub fn forget(&self, now: UnixTime) {
        *self.memory.write() = Self::memory(self.capacity, self.share, &self.random, now);
    }

    /// Does so just before something is recorded next.
    pub fn forget_before_next_use(&self, now: UnixTime) {
        *self.forgets_next.lock() = Some(now);
    }

    /// From now on, or no longer, it cannot be reached.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, SeqCst);
    }
}

impl ReplayLog for ForgetfulLog {
    fn epoch(&self) -> LogEpoch {
        self.memory.read().epoch()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        if self.is_away.load(SeqCst) {
            return Box::pin(ready(Err(ReplayError::Unavailable("it is away".into()))));
        }
        if let Some(since) = self.forgets_next.lock().take() {
            self.forget(since);
        }
        let recorded = self.memory.read().record(entry, found, owner, now);
        Box::pin(ready(recorded.map_err(ReplayError::from)))
    }

    fn clock_was_set_back(&self, now: UnixTime) {
        self.memory.read().clock_was_set_back(now);
    }

    fn entries(&self) -> Option<u64> {
        Some(self.memory.read().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::NOW,
        state_conformance::{CAPACITY, replay_epochs::ForgettingLogs},
    };

    fn log() -> Arc<ForgetfulLog> {
        Arc::new(ForgetfulLog::new(CAPACITY.used, CAPACITY.used_share, NOW, 1))
    }

    async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
        let log = log();
        [log.clone(), log]
    }

    async fn forgetting() -> ForgettingLogs {
        let log = log();
        let logs = [log.clone() as _, log.clone() as _];
        ForgettingLogs { logs, forget: Arc::new(move || log.forget(NOW)) }
    }

    async fn away() -> [Arc<dyn ReplayLog>; 2] {
        let log = log();
        log.set_away(true);
        [log.clone(), log]
    }

    crate::replay_log_conformance!(fresh);
    crate::replay_share_conformance!(fresh);
    crate::replay_epoch_conformance!(forgetting);
    crate::replay_outage_conformance!(away);
}
