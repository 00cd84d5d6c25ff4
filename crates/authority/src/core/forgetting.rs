//! Up to which moment things may be forgotten: not on the word of a clock that has just jumped.
//!
//! A revoked token or a used assertion that was forgotten because the clock was ahead would count
//! again once the clock is right. So after a jump forward, entries are removed as if the clock had
//! not jumped, until it has [agreed](AGREEMENT) with the monotonic clock for long enough.

use std::time::Duration;

use countersign_protocol::{
    UnixTime,
    clock_watch::{ClockWatch, Jump},
    ports::Clock,
};
use parking_lot::Mutex;

use crate::{
    model::audit::AuditFilter,
    ports::{AuditStore, StoreError},
};

/// For how long a clock that has jumped must agree with the monotonic clock. Time daemons correct a
/// mistake within minutes, and to keep entries for an hour longer costs next to nothing.
pub(crate) const AGREEMENT: Duration = Duration::from_hours(1);

/// How far forgetting stays behind the clock.
pub(crate) struct Forgetting {
    watch: ClockWatch,
    lag: Mutex<Lag>,
}

#[derive(Clone, Copy)]
struct Lag {
    by: Duration,
    /// When the clock jumped last, by the monotonic clock.
    jumped_at: Duration,
}

impl Forgetting {
    /// Starts watching. Nobody saw the clock before the start, but the audit trail tells which
    /// times it has shown: entries that ended after those wait for an hour of agreement. Events of
    /// the last hour do not count, because the clock may have been ahead already when they were
    /// written.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn since_start(
        clock: &dyn Clock,
        trail: &dyn AuditStore,
        is_first: bool,
    ) -> Result<Self, StoreError> {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let mut by = Duration::ZERO;
        if !is_first {
            let filter = AuditFilter { until: Some(now - AGREEMENT), ..AuditFilter::default() };
            let last = trail.events(&filter, 1).await?.into_iter().next();
            by = last.map_or(AGREEMENT, |last| now.since(last.event.at));
        }
        let lag = Mutex::new(Lag { by, jumped_at: monotonic });
        Ok(Self { watch: ClockWatch::new(now, monotonic), lag })
    }

    /// Entries that have ended at this time may be forgotten. It is not after the present.
    pub(crate) fn up_to(&self, clock: &dyn Clock) -> UnixTime {
        let mut lag = self.lag.lock();
        let (now, monotonic) = (clock.now(), clock.monotonic());
        if let Some(jump) = self.watch.observe(now, monotonic) {
            let by = match jump {
                Jump::Forward(by) => lag.by.saturating_add(by),
                Jump::Back(by) => lag.by.saturating_sub(by),
            };
            *lag = Lag { by, jumped_at: monotonic };
        }
        if monotonic.saturating_sub(lag.jumped_at) >= AGREEMENT {
            lag.by = Duration::ZERO;
        }
        now - lag.by
    }
}
