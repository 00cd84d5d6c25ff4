//! What was used already.

use async_trait::async_trait;
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    replay::{ReplayOwner, ReplayShareUsedUp},
};
use thiserror::Error;

/// Remembers what was used until it has expired by itself.
///
/// A false "used before" costs an honest client one more round trip; a false "first use" lets a
/// thief in. So an implementation that cannot tell (full, or its server away) must refuse.
#[async_trait]
pub trait ReplayLog: Send + Sync {
    /// Records `entry` as used, atomically, and counts it against the share of `owner`: of any number of concurrent calls with the same digest
    /// exactly one gets the receipt.
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError>;

    /// The clock was set back to `now`, and nonces are of the epoch `epoch` from here on: what carries
    /// one cannot have been used before. A log that does not go by this clock has nothing to do.
    fn begin_epoch(&self, _epoch: u64, _now: UnixTime) {}

    /// How many entries are held.
    fn len(&self) -> u64;

    /// Whether no entry is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a restart forgets what was used. If so, what was made before the start is refused.
    fn is_volatile(&self) -> bool;
}

/// Why an entry was not recorded.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log is full or away; nothing can be accepted for now.
    #[error("the replay log cannot record: {0}")]
    Unavailable(&'static str),
    /// The owner holds its whole share; others are not concerned.
    #[error(transparent)]
    ShareUsedUp(ReplayShareUsedUp),
    /// It was used before.
    #[error("used before")]
    Used,
}
