//! Where the use of a JWT is recorded, so that it does not work again after the replay log has forgotten.

use std::{sync::Arc, time::Duration};

use countersign_protocol::UnixTime;

use crate::ports::ReplayLog;

/// Keeps a JWT that was used before the replay log forgot, at a restart or otherwise, from being used
/// again after it.
///
/// Writing every use to disk would cost each request a write. So most uses are recorded only in the
/// guard's replay log, which says since when it remembers
/// ([`LogEpoch::since`](countersign_protocol::replay::LogEpoch)). The JWT's `iat`, the time at which
/// the client says it made the JWT, decides where a use is recorded:
///
/// - A JWT with an `iat` up to `since` is refused, because it may have been used before. `since` is
///   the beginning of the log's epoch, or the moment at which the clock last jumped forward (it may
///   have been behind at that beginning). The client signs another JWT. Within the second of `since`
///   it is told to wait until that second ends, because `iat` is in whole seconds.
/// - A JWT without `iat`, or from a clock ahead of this one, could be taken for a new one in the next
///   epoch. Its use is also recorded in `durable`, which survives restarts.
/// - A JWT whose `iat` is only shortly after `since` may have been made before `since` by a clock
///   ahead of this one. It is looked up in `durable`.
#[derive(Clone)]
pub struct AcrossRestarts {
    /// What was made up to then is refused, also where the replay log says that it remembers more: the
    /// clock may have been behind when it began.
    pub not_before: UnixTime,
    /// Remembers across restarts. It refuses entries that it may have removed as expired when the
    /// clock was ahead. Without it, JWTs that would have to be recorded there are refused.
    pub durable: Option<Arc<dyn ReplayLog>>,
    /// Whether other processes take the same JWTs, each with a replay log of its own. Then every use is
    /// recorded in `durable` too.
    pub others: bool,
}

/// Where the use of a self-signed JWT must be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nowhere: it may have been used already, and that cannot be found out. The same would be true
    /// of a JWT made now.
    NotYet,
    /// Nowhere: it may have been used already, and that cannot be found out.
    Unknown,
    /// In the replay log.
    Volatile,
    /// In the replay log and the durable log.
    Durable,
}

impl Memory {
    /// The same, where others must know of the use.
    pub(crate) const fn for_all(self) -> Self {
        match self {
            Self::Volatile => Self::Durable,
            Self::NotYet | Self::Unknown | Self::Durable => self,
        }
    }
}

impl AcrossRestarts {
    /// Where to record the use, at `now`, of a JWT with the `iat` `issued_at`, if the replay log
    /// remembers from `since` on. No JWT is accepted whose `iat` is more than `skew` ahead.
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

    const SKEW: Duration = Duration::from_secs(5);

    /// Uses one JWT at two moments, with or without a start between them. Says whether both uses
    /// were accepted.
    fn works_twice(issued_at: Option<u64>, first: u64, restart: Option<u64>, second: u64) -> bool {
        let time = UnixTime::from_millis;
        let issued_at = issued_at.map(time);
        let (mut volatile, mut durable) = (HashSet::new(), HashSet::new());
        let mut accepted = |now: u64, since: UnixTime, volatile: &mut HashSet<u8>| {
            if issued_at.is_some_and(|issued_at| issued_at > time(now) + SKEW) {
                return false;
            }
            match AcrossRestarts::memory_for(since, issued_at, SKEW, time(now)) {
                Memory::NotYet | Memory::Unknown => false,
                Memory::Volatile => volatile.insert(1),
                Memory::Durable => volatile.insert(1) && durable.insert(1),
            }
        };
        let since = time(1_000);
        if !accepted(first, since, &mut volatile) {
            return false;
        }
        let Some(restart) = restart else { return accepted(second, since, &mut volatile) };
        accepted(second, time(restart), &mut HashSet::new())
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
        let since = UnixTime::from_millis(10_400);
        let memory = |issued_at: u64, now| {
            let issued_at = Some(UnixTime::from_secs(issued_at));
            AcrossRestarts::memory_for(since, issued_at, SKEW, UnixTime::from_millis(now))
        };
        let undated = AcrossRestarts::memory_for(since, None, SKEW, UnixTime::from_millis(10_400));
        assert_eq!(undated, Memory::Durable);
        assert_eq!(memory(11, 11_000), Memory::Durable);
        assert_eq!(memory(16, 16_500), Memory::Volatile, "the ordinary case");
        assert_eq!(memory(10, 10_900), Memory::NotYet);
        assert_eq!(memory(9, 10_900), Memory::NotYet);
        assert_eq!(memory(10, 11_000), Memory::Unknown);
    }
}
