//! Where the use of a JWT is recorded, so that a restart does not make it work again.

use std::{sync::Arc, time::Duration};

use countersign_protocol::UnixTime;

use crate::ports::ReplayLog;

/// What keeps a JWT that was used before a restart from being used after it.
///
/// Writing every use to disk would cost each request a write, so most uses are recorded only in the
/// guard's replay log, which a restart makes forget. Which uses those are is decided by `iat`, the
/// client's own word on when it made the JWT:
///
/// - A JWT with an `iat` up to `since`, the start, or up to the moment at which the clock last jumped
///   forward (it was behind at the start, perhaps), is refused: it may have been used before. Its
///   owner signs another. In what is left of the second in which the start was that is of no use,
///   since `iat` is in whole seconds; so the owner is told to wait for it to end.
/// - A JWT without `iat`, or from a clock ahead of this one, might be taken for a new one after the
///   next start. Its use is recorded in `durable` too, which no restart makes forget.
/// - A JWT with an `iat` so shortly after `since` that a clock ahead of this one may have made it
///   before is looked up there.
#[derive(Clone)]
pub struct AcrossRestarts {
    /// From when on the replay log remembers.
    pub since: UnixTime,
    /// Remembers across restarts, and refuses what it may have forgotten because it had ended by a
    /// clock that was ahead of this one. Without it, what would have to be recorded there is refused.
    pub durable: Option<Arc<dyn ReplayLog>>,
}

/// Where the use of a self-signed JWT must be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nowhere: it may have been used already, and nobody can tell. Nor could it be told of one that
    /// is made now.
    NotYet,
    /// Nowhere: it may have been used already, and nobody can tell.
    Unknown,
    /// In the replay log.
    Volatile,
    /// In the durable one too.
    Durable,
}

impl AcrossRestarts {
    /// Where to record the use, at `now`, of a JWT that says it was made at `issued_at`, in a log that
    /// remembers `since` then. No JWT is accepted whose `iat` is more than `skew` ahead.
    pub(crate) fn memory_for(
        since: UnixTime,
        issued_at: Option<UnixTime>,
        skew: Duration,
        now: UnixTime,
    ) -> Memory {
        match issued_at {
            None => Memory::Durable,
            Some(issued_at) if issued_at <= since => {
                let second_ends = UnixTime::from_secs(since.as_secs() + 1);
                if now < second_ends { Memory::NotYet } else { Memory::Unknown }
            }
            Some(issued_at) if issued_at > now || issued_at <= since + skew => Memory::Durable,
            Some(_) => Memory::Volatile,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    struct NoLog;

    impl ReplayLog for NoLog {
        fn check_and_insert(
            &self,
            _: countersign_protocol::ReplayEntry,
            _: countersign_protocol::replay::ReplayOwner,
            _: UnixTime,
        ) -> crate::ports::Recording<'_> {
            unreachable!("nothing is recorded here");
        }
    }

    const SKEW: Duration = Duration::from_secs(5);

    fn started_at(since: UnixTime) -> AcrossRestarts {
        AcrossRestarts { since, durable: Some(Arc::new(NoLog)) }
    }

    /// Uses one JWT at two moments, with a start between them or not, and says whether the second
    /// use was let through although the first was.
    fn works_twice(issued_at: Option<u64>, first: u64, restart: Option<u64>, second: u64) -> bool {
        let time = UnixTime::from_millis;
        let issued_at = issued_at.map(time);
        let (mut volatile, mut durable) = (HashSet::new(), HashSet::new());
        let mut accepted = |now: u64, run: &AcrossRestarts, volatile: &mut HashSet<u8>| {
            if issued_at.is_some_and(|issued_at| issued_at > time(now) + SKEW) {
                return false;
            }
            match AcrossRestarts::memory_for(run.since, issued_at, SKEW, time(now)) {
                Memory::NotYet | Memory::Unknown => false,
                Memory::Volatile => volatile.insert(1),
                Memory::Durable => volatile.insert(1) && durable.insert(1),
            }
        };
        let run = started_at(time(1_000));
        if !accepted(first, &run, &mut volatile) {
            return false;
        }
        let Some(restart) = restart else { return accepted(second, &run, &mut volatile) };
        accepted(second, &started_at(time(restart)), &mut HashSet::new())
    }

    #[test]
    fn nothing_works_twice_with_or_without_a_restart() {
        let moments = (1_000..16_000).step_by(500);
        for issued_at in [None].into_iter().chain((0..16).map(|secs| Some(secs * 1_000))) {
            for first in moments.clone() {
                for second in (first..16_000).step_by(500) {
                    assert!(!works_twice(issued_at, first, None, second));
                    for restart in (first..=second).step_by(500) {
                        let twice = works_twice(issued_at, first, Some(restart), second);
                        assert!(!twice, "{issued_at:?} at {first}, {restart}, {second}");
                    }
                }
            }
        }
    }

    #[test]
    fn honest_clients_are_served_right_after_a_start() {
        let run = started_at(UnixTime::from_millis(10_400));
        let memory = |issued_at: u64, now| {
            let issued_at = Some(UnixTime::from_secs(issued_at));
            AcrossRestarts::memory_for(run.since, issued_at, SKEW, UnixTime::from_millis(now))
        };
        let undated =
            AcrossRestarts::memory_for(run.since, None, SKEW, UnixTime::from_millis(10_400));
        assert_eq!(undated, Memory::Durable);
        assert_eq!(memory(11, 11_000), Memory::Durable);
        assert_eq!(memory(16, 16_500), Memory::Volatile, "the ordinary case");
        assert_eq!(memory(10, 10_900), Memory::NotYet);
        assert_eq!(memory(9, 10_900), Memory::NotYet);
        assert_eq!(memory(10, 11_000), Memory::Unknown);
    }
}
