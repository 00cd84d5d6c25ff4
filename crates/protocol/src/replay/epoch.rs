//! The time over which a replay log forgets nothing before its time.

use crate::{
    UnixTime,
    ports::random::{Random, random_bytes},
};

/// The name of one epoch of one replay log. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochId([u8; 16]);

impl EpochId {
    /// The name with these bytes, which no other epoch has.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// An epoch of a replay log: from its beginning on, the log has forgotten nothing before its time.
///
/// Whenever a log may have forgotten something, it begins another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEpoch {
    /// Which it is.
    pub id: EpochId,
    /// From when on everything that was used is remembered. [`UnixTime::EPOCH`] for a log that has
    /// never been without its memory.
    pub since: UnixTime,
}

impl LogEpoch {
    /// An epoch that begins at `since`. Its name is drawn from `random`.
    pub fn begin(random: &dyn Random, since: UnixTime) -> Self {
        Self { id: EpochId(random_bytes(random)), since }
    }
}

/// By what a value that is used once was found to be new, and in which epoch of the replay log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundNew {
    /// It carries a nonce of this epoch, so it was made in it, whatever the clock says.
    ByNonce(EpochId),
    /// By its time alone, while the log was in this epoch.
    ByTime(EpochId),
}

impl FoundNew {
    /// The epoch in which the log must still be when the value is recorded.
    pub const fn epoch(self) -> EpochId {
        match self {
            Self::ByNonce(epoch) | Self::ByTime(epoch) => epoch,
        }
    }
}
