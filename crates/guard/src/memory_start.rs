//! From when on a replay log can be said to know every use, although the clock has jumped.

use std::sync::{Mutex, PoisonError};

use countersign_protocol::{
    UnixTime,
    clock_watch::{ClockWatch, Jump},
    ports::Clock,
};

/// Watches the clock by which a guard's memory has a beginning.
///
/// A clock that was behind at the start, as that of a machine without a battery is, dates the
/// beginning too early: what was used before the start seems to be from after it as soon as the
/// clock is set right. So the beginning moves to the present when the clock jumps forward.
pub(crate) struct MemoryStart {
    watch: ClockWatch,
    /// The beginning that the last jump has made.
    moved_to: Mutex<UnixTime>,
}

impl MemoryStart {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self {
            watch: ClockWatch::new(clock.now(), clock.monotonic()),
            moved_to: Mutex::new(UnixTime::EPOCH),
        }
    }

    /// The beginning of a memory that was made at `since`, by the clock of then.
    pub(crate) fn not_before(&self, since: UnixTime, clock: &dyn Clock) -> UnixTime {
        // Held while the clock is looked at, so that nobody reads what the jump is about to change.
        let mut moved_to = self.moved_to.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now();
        match self.watch.observe(now, clock.monotonic()) {
            Some(Jump::Forward(_)) => *moved_to = now,
            // What came between is not refused until its time has come once more: this process has
            // seen all of it.
            Some(Jump::Back(_)) => *moved_to = now.min(*moved_to),
            None => {}
        }
        since.max(*moved_to)
    }
}
