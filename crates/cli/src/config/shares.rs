//! How much of what is finite there is, and how much of it one client may have.

use super::{memory, settings::LimitSettings};

/// The memory of an entry of the replay log, in bytes.
const REPLAY_ENTRY_BYTES: u64 = 40;

impl LimitSettings {
    /// The share of `all` for one client: at least one.
    pub(crate) fn share_of(&self, all: u64) -> u64 {
        (u128::from(all) * u128::from(self.client_share) / 100).try_into().unwrap_or(all).max(1)
    }

    /// The same for things that are counted in memory.
    pub(crate) fn share(&self, all: usize) -> usize {
        usize::try_from(self.share_of(all as u64)).unwrap_or(all)
    }

    /// How many of `wanted` things of this size fit into memory.
    pub(super) fn fitting(setting: &str, wanted: usize, bytes: usize) -> usize {
        let fitting = memory::fitting(setting, wanted as u64, bytes as u64);
        usize::try_from(fitting).unwrap_or(wanted)
    }

    /// How many used proofs are remembered: the setting, limited by memory.
    pub(crate) fn replay_log(&self) -> u64 {
        memory::fitting("limits.replay_log_entries", self.replay_log_entries, REPLAY_ENTRY_BYTES)
    }
}
