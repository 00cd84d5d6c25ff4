//! Single use: values that verified but count only once they are recorded as used.

pub(crate) mod entry;
pub(crate) mod epoch;
mod memory;
mod node_shares;
pub(crate) mod owners;

pub use self::entry::{ReplayEntry, SpentReceipt, Unspent};
pub use self::epoch::{EpochId, FoundNew, LogEpoch};
pub use self::memory::{MemoryReplayLog, NotRecorded};
pub use self::node_shares::{ReplayPlace, ReplayShares};
pub use self::owners::{ReplayOwner, ReplayShareUsedUp, ShareHolder};
