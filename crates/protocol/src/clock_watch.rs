//! Notices that the time of day has jumped: a machine that woke up, a clock that was set.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::UnixTime;

/// Smaller differences are no jump: clocks are adjusted a little all the time.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Compares the time of day with the monotonic clock, which never jumps.
#[derive(Debug)]
pub struct ClockWatch(Mutex<(UnixTime, Duration)>);

/// By how much the time of day has jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// To later.
    Forward(Duration),
    /// To earlier: what has already expired may seem valid again.
    Back(Duration),
}

impl ClockWatch {
    /// Starts from a moment at which both clocks were read.
    pub const fn new(now: UnixTime, monotonic: Duration) -> Self {
        Self(Mutex::new((now, monotonic)))
    }

    /// Whether the time of day has jumped since this was last asked.
    pub fn observe(&self, now: UnixTime, monotonic: Duration) -> Option<Jump> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = last.0 + monotonic.saturating_sub(last.1);
        *last = (now, monotonic);
        drop(last);
        if now > expected + TOLERANCE {
            return Some(Jump::Forward(now.since(expected)));
        }
        (now + TOLERANCE < expected).then(|| Jump::Back(expected.since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_monotonic_clock_does_not_explain_is_a_jump() {
        let (start, hour) = (UnixTime::from_secs(1_800_000_000), Duration::from_hours(1));
        let watch = ClockWatch::new(start, hour);
        assert_eq!(watch.observe(start + hour, hour * 2), None, "an hour has passed");
        assert_eq!(watch.observe(start + hour * 25, hour * 2), Some(Jump::Forward(hour * 24)));
        assert_eq!(watch.observe(start + hour * 25, hour * 2), None, "that was told");
        assert_eq!(watch.observe(start + hour * 24, hour * 2), Some(Jump::Back(hour)));
        let slewed = start + hour * 24 + Duration::from_millis(900);
        assert_eq!(watch.observe(slewed, hour * 2), None);
    }
}
