//! Changes that failed: how many, and what the log says of them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use countersign_authority::trouble::{Lasts, Trouble};

use super::failure::Failure;

/// Changes that failed.
#[derive(Default)]
pub(super) struct FailedWrites {
    count: AtomicU64,
    trouble: Trouble,
}

impl FailedWrites {
    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// One has failed at `now`.
    pub(super) fn failed(&self, failure: &Failure, now: Duration) {
        self.count.fetch_add(1, Relaxed);
        // That the database is away was said when it went.
        if !matches!(failure, Failure::Away(_))
            && let Some(Lasts { failures, seconds }) = self.trouble.failed(now)
        {
            tracing::error!(%failure, failures, seconds, "a write to the database failed");
        }
    }

    /// One was kept. Asks for the time only if others had failed.
    pub(super) fn kept(&self, now: impl FnOnce() -> Duration) {
        if self.trouble.is_there()
            && let Some(Lasts { failures, seconds }) = self.trouble.passed(now())
        {
            tracing::info!(failures, seconds, "the database takes writes again");
        }
    }
}
