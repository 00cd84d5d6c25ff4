//! The moment from which a replay log knows every use, even though the clock has jumped.

use std::sync::{Mutex, PoisonError};

use countersign_protocol::{
    UnixTime,
    clock_watch::{ClockWatch, Jump},
    ports::Clock,
};

/// Watches the clock for jumps that would falsify the beginning of a guard's memory.
///
/// The clock of a machine without a battery is behind at the start, so the beginning is dated too
/// early. Once the clock is set right, a JWT that was used before the start would seem to be made
/// after it. So the beginning moves to the present when the clock jumps forward.
pub(crate) struct MemoryStart {
    watch: ClockWatch,
    /// The beginning after the last jump.
    moved_to: Mutex<UnixTime>,
}

impl MemoryStart {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self {
            watch: ClockWatch::new(clock.now(), clock.monotonic()),
            moved_to: Mutex::new(UnixTime::EPOCH),
        }
    }

    /// The beginning of a memory that was made at `since`, by the clock at that time.
    pub(crate) fn not_before(&self, since: UnixTime, clock: &dyn Clock) -> UnixTime {
        // Locked while the clock is read, so that nobody reads a beginning that a jump is about to
        // change.
        let mut moved_to = self.moved_to.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now();
        match self.watch.observe(now, clock.monotonic()) {
            Some(Jump::Forward(_)) => *moved_to = now,
            // JWTs from the hours that the clock repeats are not refused: this process has seen all
            // their uses.
            Some(Jump::Back(_)) => *moved_to = now.min(*moved_to),
            None => {}
        }
        since.max(*moved_to)
    }
}
