//! The durable store as a whole: whether it works, and what keeps it in order.

use async_trait::async_trait;
use countersign_protocol::UnixTime;

use super::{ChangeCursor, ChangesSince, StoreError};
use crate::model::limits::Retention;

/// The durable store as a whole.
#[async_trait]
pub trait StoreUpkeep: Send + Sync {
    /// What others changed since this handle gave the cursor `since`; everything without one. Nothing that
    /// was acknowledged before the question is left out, and whoever asks with the same cursor again is
    /// told at least the same again.
    ///
    /// What this handle changed itself may be told too, but never by [`Changes::Everything`](super::Changes::Everything):
    /// then each login here would empty the caches.
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError>;

    /// Reads and writes as much as a login does, to see that both work.
    async fn check(&self) -> Result<(), StoreError>;

    /// The time by the clock of the machine that keeps the store, if that may be another one than this.
    async fn clock(&self) -> Result<Option<UnixTime>, StoreError> {
        Ok(None)
    }

    /// How the store is. Only looks, and costs next to nothing.
    fn condition(&self) -> StoreCondition;

    /// Does deferred work, such as folding a log into the database. Returns whether nothing is left
    /// to do.
    async fn tidy(&self) -> Result<bool, StoreError>;

    /// Forgets what has outlived its use at `now`: used assertions, revocations of ended tokens,
    /// expired invitations, and events beyond `retention`. Returns how many rows went.
    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError>;
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreCondition {
    /// Why nothing can be kept, if what the store works on is no longer where it was.
    pub misplaced: Option<String>,
    /// How many transactions have failed since the start.
    pub failed_writes: u64,
    /// Free space where the store lies, in bytes, if that is known.
    pub free_bytes: Option<u64>,
    /// The size of the log of changes, in bytes.
    pub log_bytes: u64,
    /// How many transactions in the log were lost to damage, when the store was opened.
    pub dropped_transactions: u64,
}
