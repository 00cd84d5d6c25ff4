//! The memory of what was used.

use std::{borrow::Cow, pin::Pin};

use thiserror::Error;

use crate::{
    replay::{
        entry::{ReplayEntry, SpentReceipt},
        epoch::{FoundNew, LogEpoch},
        owners::{ReplayOwner, ReplayShareUsedUp},
    },
    time::UnixTime,
};

/// Remembers what was used until it has expired by itself.
///
/// A false "used before" costs an honest client one more round trip; a false "first use" lets a
/// thief in. So an implementation that cannot tell (full, or its server away) must refuse.
///
/// A log that may have forgotten something is in another epoch from then on. What was handed out
/// before belongs to the former epoch, and counts no longer.
pub trait ReplayLog: Send + Sync {
    /// The epoch that it is in, as far as is known without asking anybody. Every request asks, so it
    /// waits for nothing.
    ///
    /// It is read before a value is judged by it, and the value is recorded under what was read:
    /// [`Self::check_and_insert`] notices if it has changed in between.
    fn epoch(&self) -> LogEpoch;

    /// Records `entry` as used, atomically, and counts it against the share of `owner`: of any number
    /// of concurrent calls with the same digest exactly one gets the receipt. `found` says in which
    /// epoch the value was found to be new. If the log is in another by now, nothing is recorded.
    ///
    /// # Errors
    /// When it was used before, when that is not known, or when the owner's share is used up. After
    /// [`ReplayError::Forgot`], [`Self::epoch`] is the new epoch.
    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_>;

    /// The clock was set back to `now`. A log that forgets by this clock begins another epoch: what it
    /// has forgotten may seem to be young again. One that goes by another clock, or forgets nothing,
    /// has nothing to do.
    fn clock_was_set_back(&self, _now: UnixTime) {}

    /// How many entries are held, where that is known without asking anybody.
    fn entries(&self) -> Option<u64> {
        None
    }

    /// Whether it can forget what was used: by a restart, or otherwise. If so, what was made before
    /// its epoch is refused.
    fn is_volatile(&self) -> bool {
        true
    }
}

/// What [`ReplayLog::check_and_insert`] returns. An implementation says `Box::pin(async move { … })`.
pub type Recording<'a> =
    Pin<Box<dyn Future<Output = Result<SpentReceipt, ReplayError>> + Send + 'a>>;

/// Why an entry was not recorded as used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// By its time the log may have forgotten it: it has ended, or the clock has gone back. What carries a nonce
    /// of the present epoch may be recorded all the same.
    #[error("the replay log cannot record: the entry has ended, or the clock has gone back")]
    Ended,
    /// The value was found to be new in another epoch of the log, which may have forgotten it since.
    /// What the client makes from now on is good again.
    #[error("the replay log may have forgotten what was used")]
    Forgot,
    /// The owner holds its whole share; others are not concerned.
    #[error(transparent)]
    ShareUsedUp(ReplayShareUsedUp),
    /// The log is full or away; nothing can be accepted for now.
    #[error("the replay log cannot record: {0}")]
    Unavailable(Cow<'static, str>),
    /// It was used before.
    #[error("used before")]
    Used,
}
