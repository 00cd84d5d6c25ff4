//! The memory of what was used.

use std::{borrow::Cow, pin::Pin};

use thiserror::Error;

use crate::{
    replay::{
        entry::{ReplayEntry, SpentReceipt},
        owners::{ReplayOwner, ReplayShareUsedUp},
    },
    time::UnixTime,
};

/// Remembers what was used until it has expired by itself.
///
/// A false "used before" costs an honest client one more round trip; a false "first use" lets a
/// thief in. So an implementation that cannot tell (full, or its server away) must refuse.
pub trait ReplayLog: Send + Sync {
    /// Records `entry` as used, atomically, and counts it against the share of `owner`: of any number
    /// of concurrent calls with the same digest exactly one gets the receipt.
    ///
    /// # Errors
    /// When it was used before, when that is not known, or when the owner's share is used up.
    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_>;

    /// The clock was set back to `now`, and nonces are of the epoch `epoch` from here on: what carries
    /// one cannot have been used before. A log that does not go by this clock has nothing to do.
    fn begin_epoch(&self, _epoch: u64, _now: UnixTime) {}

    /// When it lost its memory after it was opened, if it did: it cannot tell what was used before.
    fn began_anew(&self) -> Option<UnixTime> {
        None
    }

    /// How many entries are held, where that is known without asking anybody.
    fn entries(&self) -> Option<u64> {
        None
    }

    /// Whether a restart forgets what was used. If so, what was made before the start is refused.
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
    /// The log lost its memory while the value was verified. What the client makes from now on is
    /// good again.
    #[error("the replay log has begun anew")]
    BegunAnew,
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
