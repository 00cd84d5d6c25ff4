//! What to say of something that is tried again and again, and fails.
//!
//! A database that is away for an hour must not fill the log, and must not be forgotten by it either.

use std::time::Duration;

use parking_lot::Mutex;

/// How often it is said of lasting trouble that it lasts.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// The failures in a row of one kind of work. All times are of the same monotonic clock.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<Row>>);

/// Failures without a success between them.
#[derive(Clone, Copy, Debug)]
struct Row {
    began: Duration,
    said: Duration,
    failures: u64,
}

/// What is to be said of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasts {
    /// How often the work has failed without a success.
    pub failures: u64,
    /// For how many seconds.
    pub seconds: u64,
}

impl Trouble {
    /// The work has failed at `now`. Returns something for the first failure, and then once a minute.
    pub fn failed(&self, now: Duration) -> Option<Lasts> {
        let mut row = self.0.lock();
        let Some(row) = &mut *row else {
            *row = Some(Row { began: now, said: now, failures: 1 });
            return Some(Lasts { failures: 1, seconds: 0 });
        };
        row.failures = row.failures.saturating_add(1);
        if now.saturating_sub(row.said) < SAID_EVERY {
            return None;
        }
        row.said = now;
        Some(row.lasts(now))
    }

    /// Whether the work has failed since it last succeeded.
    pub fn is_there(&self) -> bool {
        self.0.lock().is_some()
    }

    /// The work has succeeded at `now`. Returns something if it had failed before.
    pub fn passed(&self, now: Duration) -> Option<Lasts> {
        self.0.lock().take().map(|row| row.lasts(now))
    }
}

impl Row {
    fn lasts(&self, now: Duration) -> Lasts {
        let seconds = now.saturating_sub(self.began).as_secs();
        Lasts { failures: self.failures, seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_and_then_one_a_minute_and_the_end() {
        let (trouble, at) = (Trouble::default(), |turn: u64| Duration::from_millis(turn * 250));
        assert_eq!(trouble.passed(at(0)), None);
        let told: Vec<_> = (0..721).filter_map(|turn| trouble.failed(at(turn))).collect();
        let lasts = |failures, seconds| Lasts { failures, seconds };
        assert_eq!(told, [lasts(1, 0), lasts(241, 60), lasts(481, 120), lasts(721, 180)]);
        assert_eq!(trouble.passed(at(724)), Some(lasts(721, 181)));
        assert_eq!(trouble.passed(at(725)), None);
        assert_eq!(trouble.failed(at(726)), Some(lasts(1, 0)), "it is news again");
    }
}
