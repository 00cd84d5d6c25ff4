//! What is used once, and the receipt that says that it was recorded.

use crate::time::UnixTime;

/// What a replay log stores about one used value: a digest and the moment it may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplayEntry {
    /// SHA-256 over everything that identifies the use (for a DPoP proof: key, URI, method, `jti`).
    pub digest: [u8; 32],
    /// From this moment on, the value is refused for its age, so the log need not know it.
    pub forget_at: UnixTime,
}

/// A verified value that has not been recorded as used.
///
/// It opens only against the receipt of a replay log, so a caller cannot forget to ask one.
#[derive(Debug)]
#[must_use = "a verified value counts only after the replay log has recorded it"]
pub struct Unspent<T> {
    value: T,
    entry: ReplayEntry,
}

impl<T> Unspent<T> {
    pub(crate) const fn new(value: T, entry: ReplayEntry) -> Self {
        Self { value, entry }
    }

    /// What the replay log must record.
    pub const fn entry(&self) -> ReplayEntry {
        self.entry
    }

    /// A look at the value, for checks that must come before it is spent.
    pub const fn peek(&self) -> &T {
        &self.value
    }

    /// The value, where a policy lets it be used until it expires.
    pub(crate) fn into_reusable(self) -> T {
        self.value
    }

    /// Opens the value. `None` when `receipt` is for another entry.
    pub fn redeem(self, receipt: &SpentReceipt) -> Option<T> {
        (receipt.0 == self.entry).then_some(self.value)
    }
}

/// Says that a replay log saw this entry for the first time and will refuse it from now on.
///
/// Only replay logs make these, after the insertion is as durable as their contract says.
#[derive(Debug)]
#[must_use]
pub struct SpentReceipt(ReplayEntry);

impl SpentReceipt {
    /// For implementations of a replay log: `entry` was recorded just now, and was not there before.
    pub const fn recorded(entry: ReplayEntry) -> Self {
        Self(entry)
    }
}
