//! Up to which moment things may be forgotten: not on the word of a clock that has just jumped.
//!
//! Whatever was forgotten because a clock was ahead would count again when the clock is right: a
//! revoked token, a used assertion. So after a jump forward things end, where they are forgotten,
//! as if the clock had not jumped, until it has [agreed](AGREEMENT) with the monotonic clock.

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

/// For how long a clock that has jumped must agree with the monotonic clock. Time daemons that made
/// a mistake correct it within minutes, and what is kept for an hour longer costs next to nothing.
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
    /// From a start on. Nobody saw the clock before it, but the audit trail tells which time it has
    /// shown: what has ended since then waits for an hour of agreement. Events of the last hour do
    /// not count, since the clock may have been ahead already when they were written.
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

    /// What has ended at this time may be forgotten. It is not after the present.
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
