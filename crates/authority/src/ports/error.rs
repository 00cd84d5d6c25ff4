//! Why a store did not answer.

use std::time::Duration;

use thiserror::Error;

/// Little room is left on the disk of a store, and it is kept for what protects accounts. Nothing was
/// done. It is the cause of a [`StoreError::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{free} bytes are free on the disk of the database, and the last {reserve} are kept for logins and \
     revocations (limits.disk_reserve_bytes)"
)]
pub struct RoomKept {
    /// Bytes that are free.
    pub free: u64,
    /// How many of them are kept.
    pub reserve: u64,
}

/// What others changed has not been heard of for too long, so nobody here can say what still counts. It is the
/// cause of a [`StoreError::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "what others changed in the database has not been heard of for {} s (cluster.max_staleness)",
    limit.as_secs()
)]
pub struct OutOfDate {
    /// How long that may be.
    pub limit: Duration,
}

/// The database may lose what it acknowledges, so nothing was done. It is the cause of a
/// [`StoreError::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("acknowledged changes could be lost when the database server fails: {reason}")]
pub struct WouldBeLost {
    /// Why, as an operator needs to know it.
    pub reason: &'static str,
}

/// The store could not do what was asked. The caller is not at fault.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It is away, full, locked or broken.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds something that this program never writes.
    #[error("the store holds an impossible value in {what}")]
    Corrupt {
        /// Where, and why it is impossible; never the value itself.
        what: String,
    },
}

impl StoreError {
    /// Whether the cause is that memory is [`OutOfDate`].
    pub fn is_out_of_date(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<OutOfDate>())
    }
}
