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

/// No feed is made sooner after the beginning of another, whatever was revoked meanwhile.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

/// A feed for which more was read, or that took longer than [`COSTLY`] to be made, is not made anew
/// for each revocation, but once in its age.
pub(super) const LARGE: usize = 1_000;

/// See [`LARGE`].
pub(super) const COSTLY: Duration = Duration::from_millis(20);

/// The feed that was signed last.
pub(crate) struct RevocationFeed {
    pub(super) signed: Mutex<Option<SignedFeed>>,
    /// Counts the revocations. What was signed before one is handed out after it only for
    /// [`SHORTEST_INTERVAL`], or for [`FEED_MAX_AGE`] if it costs much.
    pub(super) changes: AtomicU64,
    /// When the process started, by the monotonic clock.
    pub(super) started: Duration,
}

pub(super) struct SignedFeed {
    pub(super) text: Arc<str>,
    /// When it began to be made, by the monotonic clock.
    pub(super) began: Duration,
    /// The revocations that were counted by then.
    pub(super) changes: u64,
    pub(super) is_costly: bool,
}

/// Somebody who asks for a feed.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    /// When, by the monotonic clock.
    pub(super) at: Duration,
    /// The revocations that were counted by then.
    pub(super) changes: u64,
}

impl SignedFeed {
    /// Whether it answers who came with `arrival`, at `monotonic`.
    pub(super) fn answers(&self, arrival: Arrival, monotonic: Duration) -> bool {
        let knows_all = self.changes >= arrival.changes;
        let age = if knows_all || self.is_costly { FEED_MAX_AGE } else { SHORTEST_INTERVAL };
        // What began after the arrival says all that was revoked by then, however long it took.
        self.began > arrival.at || monotonic < self.began + age
    }
}

impl RevocationFeed {
    pub(crate) fn new(started: Duration) -> Self {
        Self { signed: Mutex::default(), changes: AtomicU64::default(), started }
    }

    /// What was signed lacks something: it was revoked since.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }
}
