//! A replay log in memory.

use std::hash::RandomState;

use async_trait::async_trait;
use countersign_authority::ports::{ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    replay::{NotRecorded, ReplayMemory, ReplayOwner},
};

/// Remembers in this process what was used, until it has expired; a restart forgets it.
pub struct MemoryReplayLog(ReplayMemory);

impl MemoryReplayLog {
    /// An empty log with room for `capacity` entries, of which one account, or one client network,
    /// may hold `share`.
    pub fn new(capacity: u64, share: u64) -> Self {
        Self(ReplayMemory::new(capacity, share, RandomState::new()))
    }
}

#[async_trait]
impl ReplayLog for MemoryReplayLog {
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        self.0.record(entry, owner, now).map_err(|error| match error {
            NotRecorded::ShareUsedUp(error) => ReplayError::ShareUsedUp(error),
            NotRecorded::Used => ReplayError::Used,
            NotRecorded::Full => ReplayError::Unavailable("it is full"),
            NotRecorded::Forgotten => {
                ReplayError::Unavailable("the entry has ended, or the clock has gone back")
            }
        })
    }

    fn begin_epoch(&self, epoch: u64, now: UnixTime) {
        self.0.begin_epoch(epoch, now);
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn is_volatile(&self) -> bool {
        true
    }
}
