//! The revocation feed that was signed last, and whether it still answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

/// For how long one signed text is handed out, and may be cached.
pub const FEED_MAX_AGE: Duration = Duration::from_secs(1);

/// The least time between the beginnings of two feeds, whatever was revoked in between.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

/// A feed for which more entries were read, or that took longer than [`COSTLY`] to make, is not
/// made again for each revocation, but only when it is too old.
pub(crate) const LARGE: usize = 1_000;

/// See [`LARGE`].
pub(crate) const COSTLY: Duration = Duration::from_millis(20);

/// The feed that was signed last.
pub(crate) struct RevocationFeed {
    pub(crate) signed: Mutex<Option<SignedFeed>>,
    /// Counts revocations. A feed signed before a revocation is handed out after it only for
    /// [`SHORTEST_INTERVAL`], or for [`FEED_MAX_AGE`] if it is costly to make.
    pub(crate) changes: AtomicU64,
    /// When the process started, by the monotonic clock.
    pub(crate) started: Duration,
}

pub(crate) struct SignedFeed {
    pub(crate) text: Arc<str>,
    /// When it began to be made, by the monotonic clock.
    pub(crate) began: Duration,
    /// The revocations that were counted by then.
    pub(crate) changes: u64,
    pub(crate) is_costly: bool,
}

/// A request for a feed.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// When, by the monotonic clock.
    pub(crate) at: Duration,
    /// The revocations that were counted by then.
    pub(crate) changes: u64,
}

impl SignedFeed {
    /// Whether it answers a request that came with `arrival`, at `monotonic`.
    pub(crate) fn answers(&self, arrival: Arrival, monotonic: Duration) -> bool {
        let knows_all = self.changes >= arrival.changes;
        let age = if knows_all || self.is_costly { FEED_MAX_AGE } else { SHORTEST_INTERVAL };
        // A feed that was begun after the arrival has everything that was revoked by then, however
        // long it took to make.
        self.began > arrival.at || monotonic < self.began + age
    }
}

impl RevocationFeed {
    pub(crate) fn new(started: Duration) -> Self {
        Self { signed: Mutex::default(), changes: AtomicU64::default(), started }
    }

    /// The signed feed lacks a revocation that came later.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }
}
