//! How the store has been lately, as far as its present condition does not say it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign_protocol::replay::EpochId;
use parking_lot::Mutex;
use thiserror::Error;

use crate::{
    core::Core,
    keys::SigningKeyError,
    ports::{StoreCondition, StoreError},
};

/// How long a write that failed makes the server unready. A fault that goes on renews it.
const FAILURES_COUNT_FOR: Duration = Duration::from_secs(5);

/// How long a successful check of the store counts.
const CHECK_HOLDS: Duration = Duration::from_secs(1);

/// Whether the server can do its work.
pub struct Health {
    core: Arc<Core>,
    /// How the store has been lately.
    pub(crate) store: StoreHealth,
    epochs: Epochs,
    /// When the store was last found well, by the monotonic clock.
    checked: tokio::sync::Mutex<Option<Duration>>,
}

impl Health {
    /// Of a server that starts.
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            store: StoreHealth::default(),
            epochs: Epochs::new(core.epoch().id),
            checked: tokio::sync::Mutex::new(None),
            core,
        }
    }

    /// How the store is, and how long ago all of it was in its place.
    pub fn store_condition(&self) -> (StoreCondition, Option<Duration>) {
        let untidy_for = self.store.untidy_for(self.core.ports.clock.monotonic());
        (self.core.ports.store.condition(), untidy_for)
    }

    /// Takes notice of how the store is.
    pub(crate) fn note_condition(&self) {
        let condition = self.core.ports.store.condition();
        self.store.note(&condition, self.core.ports.clock.monotonic());
        self.replay_log_epochs();
    }

    /// Compares the own clock with that of the machine that keeps the store, if that may be another one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn compare_clocks(&self) -> Result<(), StoreError> {
        self.core.clock_witness.look(&self.core.ports).await
    }

    /// How far the own clock is ahead of that of the store's machine, in milliseconds, if that is known.
    pub fn clock_ahead_millis(&self) -> Option<i64> {
        self.core.clock_witness.ahead_millis()
    }

    /// How often the replay log has begun another epoch since the start, as far as somebody looked.
    pub fn replay_log_epochs(&self) -> u64 {
        self.epochs.look(self.core.epoch().id)
    }

    /// How many refusals could not be written to the audit trail.
    pub fn dropped_events(&self) -> u64 {
        self.core.pending_events.dropped()
    }

    /// Whether the server can do its work: the store reads and writes as much as a login does, no
    /// write has failed in the last seconds, what others changed has been heard of, the clock is not far from
    /// the store's, and keys are there to sign whatever it signs.
    /// A good answer holds for a second, so that asking often costs no writes.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn check(&self) -> Result<(), SigningKeyError> {
        let now = self.core.ports.clock.monotonic();
        let mut checked = self.checked.lock().await;
        self.note_condition();
        let failing = |error| StoreError::Unavailable(Box::new(error));
        self.store.check(now).map_err(failing)?;
        self.core.clock_witness.check()?;
        if checked.is_none_or(|last| now >= last + CHECK_HOLDS) {
            self.core.ports.store.check().await?;
            *checked = Some(now);
        }
        self.core.up_to_date().await?;
        self.core.ensure_signing_keys(self.core.now()).await
    }
}

/// The epochs of the replay log that were seen.
struct Epochs(Mutex<(EpochId, u64)>);

impl Epochs {
    const fn new(first: EpochId) -> Self {
        Self(Mutex::new((first, 0)))
    }

    /// Takes notice of the present epoch. Returns how many have followed the first.
    fn look(&self, present: EpochId) -> u64 {
        let mut seen = self.0.lock();
        let (last, count) = &mut *seen;
        if *last != present {
            *last = present;
            *count = count.saturating_add(1);
        }
        *count
    }
}

/// The last known condition of the store. Times are of the monotonic clock.
#[derive(Default)]
pub(crate) struct StoreHealth {
    seen: Mutex<Seen>,
    /// Whether it was said that the store is misplaced.
    said_misplaced: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    failed_writes: u64,
    failed_at: Option<Duration>,
    tidy_at: Option<Duration>,
}

impl StoreHealth {
    /// Records `condition`, and logs what has become worse.
    pub(crate) fn note(&self, condition: &StoreCondition, now: Duration) {
        let mut seen = self.seen.lock();
        if condition.failed_writes != seen.failed_writes {
            seen.failed_writes = condition.failed_writes;
            seen.failed_at = Some(now);
        }
        drop(seen);
        let was_said = self.said_misplaced.swap(condition.misplaced.is_some(), Relaxed);
        match &condition.misplaced {
            Some(reason) if !was_said => tracing::error!(reason, "the store is not where it was"),
            None if was_said => tracing::info!("the store is back where it was"),
            Some(_) | None => {}
        }
    }

    /// Whether a write has failed in the last seconds before `now`.
    pub(crate) fn check(&self, now: Duration) -> Result<(), WritesFail> {
        let recently = |at| now < at + FAILURES_COUNT_FOR;
        if self.seen.lock().failed_at.is_some_and(recently) { Err(WritesFail) } else { Ok(()) }
    }

    /// Everything was in its place at `now`.
    pub(crate) fn note_tidy(&self, now: Duration) {
        self.seen.lock().tidy_at = Some(now);
    }

    /// How long ago that was last so.
    pub(crate) fn untidy_for(&self, now: Duration) -> Option<Duration> {
        self.seen.lock().tidy_at.map(|at| now.saturating_sub(at))
    }
}

/// Writes fail, or have failed a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("writes to the store have failed in the last {} seconds", FAILURES_COUNT_FOR.as_secs())]
pub(crate) struct WritesFail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_makes_the_server_unready_for_some_seconds() {
        let (health, at) = (StoreHealth::default(), Duration::from_secs);
        let failed = |failed_writes| StoreCondition { failed_writes, ..StoreCondition::default() };
        health.note(&failed(0), at(10));
        assert_eq!(health.check(at(10)), Ok(()));
        health.note(&failed(2), at(11));
        assert_eq!(health.check(at(11)), Err(WritesFail));
        health.note(&failed(2), at(14));
        assert_eq!(health.check(at(15)), Err(WritesFail));
        assert_eq!(health.check(at(16)), Ok(()));
        health.note(&failed(3), at(20));
        assert_eq!(health.check(at(20)), Err(WritesFail));
    }
}
