//! A replay log in memory.

use std::hash::RandomState;

use async_trait::async_trait;
use countersign_authority::ports::{ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    replay::{NotRecorded, ReplayMemory},
};

/// Remembers in this process what was used, until it has expired; a restart forgets it.
pub struct MemoryReplayLog(ReplayMemory);

impl MemoryReplayLog {
    /// An empty log with room for `capacity` entries.
    pub fn new(capacity: u64) -> Self {
        Self(ReplayMemory::new(capacity, RandomState::new()))
    }
}

#[async_trait]
impl ReplayLog for MemoryReplayLog {
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        self.0.record(entry, now).map_err(|error| match error {
            NotRecorded::Used => ReplayError::Used,
            NotRecorded::Full => ReplayError::Unavailable("it is full"),
            NotRecorded::Forgotten => {
                ReplayError::Unavailable("the entry has ended, or the clock has gone back")
            }
        })
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn is_volatile(&self) -> bool {
        true
    }
}
