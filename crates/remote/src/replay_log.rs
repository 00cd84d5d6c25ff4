//! A replay log in memory.

use std::hash::RandomState;

use async_trait::async_trait;
use countersign_guard::ports::{ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    replay::{NotRecorded, ReplayMemory, ReplayOwner},
};

/// Remembers in this process which proofs were used, until they expire.
///
/// It is enough for one process, because the nonces of proofs are made by it too: a proof that was
/// used before a restart, or at another process, carries a nonce that is unknown here.
pub struct MemoryReplayLog(ReplayMemory);

impl MemoryReplayLog {
    /// An empty log with room for `capacity` entries of 20 to 58 bytes, of which one account, or one client
    /// network, may hold `share`.
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
            NotRecorded::Full | NotRecorded::Forgotten => ReplayError::Unavailable,
        })
    }
}
