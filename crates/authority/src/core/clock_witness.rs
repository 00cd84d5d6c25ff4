//! What the clock of the store says of this server's: a witness, not a source. Nothing is decided by the
//! store's clock, but servers whose clocks differ refuse what another one has made a moment ago.

use std::time::Duration;

use countersign_protocol::UnixTime;
use parking_lot::Mutex;
use thiserror::Error;

use crate::ports::{Ports, StoreError};

/// A larger difference is warned of.
const WARNED_OF: Duration = Duration::from_secs(1);
/// With a larger difference the server is not ready. Two servers that are ready differ by twice that at most,
/// which is what a challenge of another server may lie in the future.
const TOLERATED: Duration = Duration::from_millis(2500);

/// A look at the store's clock.
struct Look {
    /// The own time when it was asked.
    asked_at: UnixTime,
    /// What it answered.
    answer: UnixTime,
    /// How long that took.
    took: Duration,
}

/// Compares the clocks.
#[derive(Default)]
pub(crate) struct ClockWitness {
    last: Mutex<Option<Comparison>>,
}

/// What a look has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Comparison {
    ahead_millis: i64,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Warned,
    TooFar,
}

impl Verdict {
    fn of(certain: Duration) -> Self {
        match certain {
            certain if certain > TOLERATED => Self::TooFar,
            certain if certain > WARNED_OF => Self::Warned,
            _ => Self::Fine,
        }
    }
}

impl ClockWitness {
    /// Compares the own clock with that of the machine that keeps the store, if that may be another one.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn look(&self, ports: &Ports) -> Result<(), StoreError> {
        let (asked_at, began) = (ports.clock.now(), ports.clock.monotonic());
        if let Some(answer) = ports.store.clock().await? {
            let took = ports.clock.monotonic().saturating_sub(began);
            self.note(&Look { asked_at, answer, took });
        }
        Ok(())
    }

    /// Takes notice of a look, and logs what has become different.
    fn note(&self, look: &Look) {
        let uncertain = look.took / 2;
        let ahead_millis = difference(look.asked_at + uncertain, look.answer);
        // The answer was made at some moment while it was waited for.
        let certain = Duration::from_millis(ahead_millis.unsigned_abs()).saturating_sub(uncertain);
        let verdict = Verdict::of(certain);
        let before = self.last.lock().replace(Comparison { ahead_millis, verdict });
        let before = before.map_or(Verdict::Fine, |before| before.verdict);
        match verdict {
            verdict if verdict == before => {}
            Verdict::TooFar => tracing::error!(
                ahead_millis,
                "the clocks of this machine and of the database differ too much: the server is not ready \
                 until one of them is set"
            ),
            Verdict::Warned => tracing::warn!(
                ahead_millis,
                "the clocks of this machine and of the database differ: let both follow a time server"
            ),
            Verdict::Fine => {
                tracing::info!(
                    ahead_millis,
                    "the clocks of this machine and of the database agree"
                );
            }
        }
    }

    /// How far the own clock is ahead, in milliseconds, if that is known.
    pub(crate) fn ahead_millis(&self) -> Option<i64> {
        self.last.lock().map(|last| last.ahead_millis)
    }

    /// Whether the server can work by its clock, as far as the last look has shown.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match *self.last.lock() {
            Some(Comparison { ahead_millis, verdict: Verdict::TooFar }) => {
                Err(StoreError::Unavailable(Box::new(ClocksDiffer { ahead_millis })))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// How far `one` is ahead of `other`, in milliseconds.
fn difference(one: UnixTime, other: UnixTime) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    millis(one.since(other)) - millis(other.since(one))
}

/// The clocks of this machine and of the database differ too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the clock of this machine is {ahead_millis} ms ahead of that of the database")]
struct ClocksDiffer {
    ahead_millis: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is thought after a look at a clock that is `behind` ours, which took so long.
    fn after(behind_millis: i64, took_millis: u64) -> ClockWitness {
        let witness = ClockWitness::default();
        let (asked_at, took) = (UnixTime::from_secs(1000), Duration::from_millis(took_millis));
        let middle = (asked_at + took / 2).as_millis();
        let answer = UnixTime::from_millis(middle.checked_add_signed(-behind_millis).unwrap());
        witness.note(&Look { asked_at, answer, took });
        assert_eq!(witness.ahead_millis(), Some(behind_millis));
        witness
    }

    #[test]
    fn a_server_whose_clock_is_far_off_is_not_ready() {
        for (behind, took, is_ready) in [
            (0, 0, true),
            (2500, 0, true),
            (2501, 0, false),
            (-2501, 0, false),
            // The answer may have been made at the beginning, or at the end.
            (3000, 1000, true),
            (3001, 1000, false),
        ] {
            let witness = after(behind, took);
            assert_eq!(witness.check().is_ok(), is_ready, "{behind} {took}");
        }
        assert!(ClockWitness::default().check().is_ok(), "nobody has looked");
    }

    #[test]
    fn a_server_whose_clock_was_set_right_is_ready_again() {
        let witness = after(60_000, 0);
        assert!(witness.check().is_err());
        let now = UnixTime::from_secs(1000);
        witness.note(&Look { asked_at: now, answer: now, took: Duration::ZERO });
        assert!(witness.check().is_ok());
    }
}
