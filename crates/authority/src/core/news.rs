//! Whether memory is up to date with what others changed.
//!
//! Whether a key, a token or an account still counts is answered from memory, and only while the last look
//! for changes that succeeded began lately enough: what cannot be known is refused.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use countersign_protocol::{AccountId, UnixTime};
use tokio::sync::Mutex;

use crate::{
    core::revoked::RevokedTokens,
    ports::{ChangeCursor, Clock, CredentialStore},
};

/// When memory last was up to date, and up to where.
pub(crate) struct News {
    /// How old they may be.
    max_staleness: Duration,
    /// When the last look that succeeded began, in nanoseconds by the monotonic clock. Others than looks
    /// only read it.
    looked_at: AtomicU64,
    /// The same in milliseconds by the time of day: a monotonic clock may stand still while the machine
    /// sleeps.
    looked_at_time: AtomicU64,
    /// Whether the last look failed, or takes too long.
    are_missing: AtomicBool,
    /// Up to where changes were taken over; `None` when anything may have changed. Locked while somebody
    /// looks.
    pub(super) heard_up_to: Mutex<Option<ChangeCursor>>,
}

/// A moment by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: UnixTime,
    pub(super) monotonic: Duration,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { time: clock.now(), monotonic: clock.monotonic() }
    }
}

impl News {
    /// Of a look that began at `looked_at`. They may become `max_staleness` old.
    pub(super) fn new(max_staleness: Duration, looked_at: Moment, cursor: ChangeCursor) -> Self {
        let news = Self {
            max_staleness,
            looked_at: AtomicU64::default(),
            looked_at_time: AtomicU64::default(),
            are_missing: AtomicBool::default(),
            heard_up_to: Mutex::new(Some(cursor)),
        };
        news.came(looked_at);
        news
    }

    /// Whether memory is up to date enough at `now`.
    pub(super) fn are_fresh(&self, now: Moment) -> bool {
        self.age(now) < self.max_staleness
    }

    /// How long ago the last look that succeeded began. After a jump forward of the time of day that is
    /// too much, until the next look.
    pub(super) fn age(&self, now: Moment) -> Duration {
        let looked_at = Duration::from_nanos(self.looked_at.load(SeqCst));
        let looked_at_time = UnixTime::from_millis(self.looked_at_time.load(SeqCst));
        now.monotonic.saturating_sub(looked_at).max(now.time.since(looked_at_time))
    }

    pub(super) const fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    /// Everything is taken over that was changed before `looked_at`.
    pub(super) fn came(&self, looked_at: Moment) {
        let nanos = u64::try_from(looked_at.monotonic.as_nanos()).unwrap_or(u64::MAX);
        self.looked_at.store(nanos, SeqCst);
        self.looked_at_time.store(looked_at.time.as_millis(), SeqCst);
        self.are_missing.store(false, Relaxed);
    }

    /// A look failed, or takes too long.
    pub(super) fn did_not_come(&self) {
        self.are_missing.store(true, Relaxed);
    }

    pub(super) fn are_missing(&self) -> bool {
        self.are_missing.load(Relaxed)
    }
}

/// What memory and store say while memory is up to date. Whoever asks whether something still counts needs
/// one, and only [`Core::up_to_date`](crate::core::Core::up_to_date) and its like give it.
#[derive(Clone, Copy)]
pub(crate) struct UpToDate<'a> {
    pub(super) store: &'a dyn CredentialStore,
    pub(super) revoked: &'a RevokedTokens,
}

impl UpToDate<'_> {
    /// Whether the token `id` of `account`, issued at `issued_at`, counts as revoked.
    pub(crate) fn has_revoked(self, id: &str, account: AccountId, issued_at: UnixTime) -> bool {
        self.revoked.contains(id, account, issued_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: UnixTime = UnixTime::from_secs(1_800_000_000);
    const LIMIT: Duration = Duration::from_secs(10);

    fn at(seconds: u64, monotonic: u64) -> Moment {
        Moment {
            time: TIME + Duration::from_secs(seconds),
            monotonic: Duration::from_secs(3600 + monotonic),
        }
    }

    fn news() -> News {
        News::new(LIMIT, at(0, 0), ChangeCursor::new(0))
    }

    #[test]
    fn they_are_fresh_until_the_limit_and_again_after_the_next_look() {
        let news = news();
        assert!(news.are_fresh(at(0, 0)) && news.are_fresh(at(9, 9)));
        assert!(!news.are_fresh(at(10, 10)));
        news.came(at(12, 12));
        assert!(news.are_fresh(at(21, 21)) && !news.are_fresh(at(22, 22)));
    }

    #[test]
    fn a_machine_that_slept_does_not_take_them_for_fresh() {
        assert!(!news().are_fresh(at(3600, 1)), "its monotonic clock stood still");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_fresh() {
        let news = News::new(LIMIT, at(5000, 0), ChangeCursor::new(0));
        assert!(news.are_fresh(at(0, 9)) && !news.are_fresh(at(0, 10)));
    }
}
