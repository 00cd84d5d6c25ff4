//! A clock that moves only when it is told to.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use countersign_protocol::{UnixTime, ports::Clock};

/// A clock that stands still until a test moves it. Share it in an `Arc`.
#[derive(Debug)]
pub struct FixedClock {
    now_millis: AtomicU64,
    monotonic_nanos: AtomicU64,
}

impl FixedClock {
    /// A clock that shows `now`; its monotonic time begins at one hour.
    pub fn at(now: UnixTime) -> Self {
        Self {
            now_millis: AtomicU64::new(now.as_millis()),
            monotonic_nanos: AtomicU64::new(nanos(Duration::from_hours(1))),
        }
    }

    /// Lets time pass, in both senses. The time of day moves in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.now_millis.fetch_add(nanos(by) / 1_000_000, SeqCst);
        self.monotonic_nanos.fetch_add(nanos(by), SeqCst);
    }

    /// Sets the time of day, forward or back, as an operator may; monotonic time does not move.
    pub fn set(&self, now: UnixTime) {
        self.now_millis.store(now.as_millis(), SeqCst);
    }
}

impl Default for FixedClock {
    /// A clock that shows [`samples::NOW`](crate::samples::NOW).
    fn default() -> Self {
        Self::at(crate::samples::NOW)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.now_millis.load(SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_nanos.load(SeqCst))
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_only_when_told() {
        let clock = FixedClock::at(UnixTime::from_secs(100));
        let start = clock.monotonic();
        assert_eq!(clock.now(), UnixTime::from_secs(100));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), UnixTime::from_millis(101_500));
        clock.set(UnixTime::from_secs(50));
        assert_eq!(clock.now(), UnixTime::from_secs(50));
        assert_eq!(clock.monotonic(), start + Duration::from_millis(1500));
    }
}
