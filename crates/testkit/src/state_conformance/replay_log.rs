//! What was used once stays used.

use std::{sync::Arc, time::Duration};

use countersign_protocol::ports::{ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, UnixTime,
    replay::{EpochId, FoundNew, ReplayOwner},
};

use crate::{
    rules::at_once,
    samples::{NOW, account_id, replay_entry},
};

type Logs = [Arc<dyn ReplayLog>; 2];

pub(super) fn owner(number: u64) -> ReplayOwner {
    ReplayOwner::Account(account_id(number))
}

/// Uses the value of `entry` at one handle.
pub(super) async fn spend(
    log: &Arc<dyn ReplayLog>,
    entry: ReplayEntry,
    of: u64,
    now: UnixTime,
) -> Result<(), ReplayError> {
    let found = FoundNew::ByTime(log.epoch().id);
    log.check_and_insert(entry, found, owner(of), now).await.map(|_receipt| ())
}

/// A value works once, at whichever handle, and for whomever it counts.
pub async fn a_value_is_used_once([here, there]: Logs) {
    spend(&here, replay_entry(1), 1, NOW).await.unwrap();
    spend(&there, replay_entry(2), 1, NOW).await.unwrap();
    for log in [&here, &there] {
        for number in [1, 2] {
            for of in [1, 2] {
                let refused = spend(log, replay_entry(number), of, NOW).await;
                assert_eq!(refused, Err(ReplayError::Used), "{number}");
            }
        }
    }
}

/// Values differ by their digest, and by nothing else.
pub async fn values_are_told_apart([here, there]: Logs) {
    for (number, log) in [&here, &there].into_iter().cycle().take(20).enumerate() {
        spend(log, replay_entry(number as u64), 1, NOW).await.unwrap();
    }
    let later = ReplayEntry { forget_at: NOW + Duration::from_mins(9), ..replay_entry(7) };
    for log in [&here, &there] {
        assert_eq!(spend(log, later, 1, NOW).await, Err(ReplayError::Used));
    }
}

/// Of many uses of one value at the same time, at both handles, one gets the receipt.
pub async fn of_concurrent_uses_one_succeeds(logs: Logs) {
    for value in 0..20 {
        let results = at_once(16, |number| {
            let log = Arc::clone(&logs[usize::from(number % 2 == 0)]);
            async move { spend(&log, replay_entry(value), value, NOW).await }
        })
        .await;
        let spent = results.iter().filter(|result| result.is_ok()).count();
        let used = results.iter().filter(|result| **result == Err(ReplayError::Used)).count();
        assert_eq!((spent, used), (1, 15), "{results:?}");
    }
}

/// What was used is not good again when the clock goes back, whatever was forgotten meanwhile. It may
/// be refused because that can no longer be told.
pub async fn a_used_value_stays_used_when_the_clock_goes_back([here, there]: Logs) {
    spend(&here, replay_entry(1), 1, NOW).await.unwrap();
    let later = NOW + Duration::from_hours(1);
    for (number, log) in [(2, &here), (3, &there)] {
        let entry =
            ReplayEntry { forget_at: later + Duration::from_mins(5), ..replay_entry(number) };
        spend(log, entry, 1, later).await.unwrap();
    }
    for log in [&here, &there] {
        spend(log, replay_entry(1), 1, NOW).await.unwrap_err();
    }
}

/// All handles are in one epoch. What was found to be new in another is not recorded, whichever way it
/// was found, and counts as new when it is found so in this one.
pub async fn what_was_found_new_in_another_epoch_is_not_recorded([here, there]: Logs) {
    assert_eq!(here.epoch(), there.epoch());
    let other = EpochId::from_bytes([0x0e; 16]);
    for (number, log) in [(1, &here), (2, &there)] {
        for found in [FoundNew::ByNonce(other), FoundNew::ByTime(other)] {
            let refused = log.check_and_insert(replay_entry(number), found, owner(1), NOW).await;
            assert_eq!(refused.map(|_receipt| ()), Err(ReplayError::Forgot));
        }
    }
    for (log, number) in [(&here, 2), (&there, 1)] {
        let found = FoundNew::ByNonce(log.epoch().id);
        let recorded = log.check_and_insert(replay_entry(number), found, owner(1), NOW).await;
        assert!(recorded.is_ok(), "{recorded:?}");
        assert_eq!(spend(log, replay_entry(number), 1, NOW).await, Err(ReplayError::Used));
    }
}
