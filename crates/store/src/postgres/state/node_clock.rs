//! A time that all nodes share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign_protocol::{UnixTime, ports::Clock};

/// The clock of this node, and by how much its monotonic time differs from the time of the database.
///
/// Limits that several nodes count need one time. The time of day of a node may jump, and differs from that of
/// others. Its monotonic time does not jump, and what it differs by is measured again and again.
pub(super) struct NodeClock {
    clock: Arc<dyn Clock>,
    /// In nanoseconds.
    difference: AtomicI64,
}

impl NodeClock {
    /// Until it was measured, they are taken for the same.
    pub(super) const fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, difference: AtomicI64::new(0) }
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// A moment from which [`Self::measured`] counts.
    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The database said that it was `there`, in nanoseconds, after it was asked at `asked` and before now.
    pub(super) fn measured(&self, asked: Duration, there: i64) {
        let here = i64::midpoint(nanos(asked), nanos(self.clock.monotonic()));
        self.difference.store(there.saturating_sub(here), Relaxed);
    }

    /// The moment of the monotonic clock in the time that all nodes share, in nanoseconds.
    pub(super) fn shared(&self, moment: Duration) -> i64 {
        nanos(moment).saturating_add(self.difference.load(Relaxed))
    }
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
