//! Why a store did not answer.

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
