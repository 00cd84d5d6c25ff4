//! Each owner has a share of a replay log, and the log an end.

use std::{sync::Arc, time::Duration};

use countersign_protocol::ReplayEntry;
use countersign_protocol::ports::{ReplayError, ReplayLog};

use super::{CAPACITY, replay_log::spend};
use crate::{
    rules::at_once,
    samples::{NOW, replay_entry},
};

type Logs = [Arc<dyn ReplayLog>; 2];

/// An owner has one share at all handles together, and takes nothing of another's.
pub async fn an_owner_beyond_its_share_is_refused_and_others_are_not(logs: Logs) {
    for number in 0..CAPACITY.used_share {
        spend(&logs[usize::from(number % 2 == 0)], replay_entry(number), 1, NOW).await.unwrap();
    }
    for (number, log) in (1_000..).zip(&logs) {
        let refused = spend(log, replay_entry(number), 1, NOW).await;
        assert!(matches!(refused, Err(ReplayError::ShareUsedUp(_))), "{refused:?}");
        spend(log, replay_entry(number), 2, NOW).await.unwrap();
    }
}

/// The share holds when many come at once, at both handles.
pub async fn of_concurrent_uses_no_more_than_the_share_succeed(logs: Logs) {
    let results = at_once(CAPACITY.used_share * 3, |number| {
        let log = Arc::clone(&logs[usize::from(number % 2 == 0)]);
        async move { spend(&log, replay_entry(number), 1, NOW).await }
    })
    .await;
    let spent = results.iter().filter(|result| result.is_ok()).count() as u64;
    assert_eq!(spent, CAPACITY.used_share, "{results:?}");
}

/// Without room nobody's value is recorded, and what was recorded stays used.
pub async fn a_full_log_refuses_everybody_and_forgets_nothing(logs: Logs) {
    let of = |number: u64| number / CAPACITY.used_share;
    for number in 0..CAPACITY.used {
        let log = &logs[usize::from(number % 2 == 0)];
        spend(log, replay_entry(number), of(number), NOW).await.unwrap();
    }
    for log in &logs {
        let refused = spend(log, replay_entry(1_000), 1_000, NOW).await;
        assert!(matches!(refused, Err(ReplayError::Unavailable(_))), "{refused:?}");
        for number in 0..CAPACITY.used {
            let refused = spend(log, replay_entry(number), of(number), NOW).await;
            assert_eq!(refused, Err(ReplayError::Used), "{number}");
        }
    }
}

/// What has ended counts against nobody.
pub async fn what_has_ended_makes_room(logs: Logs) {
    for number in 0..CAPACITY.used_share {
        spend(&logs[0], replay_entry(number), 1, NOW).await.unwrap();
    }
    let later = NOW + Duration::from_hours(1);
    let entry = ReplayEntry { forget_at: later + Duration::from_mins(5), ..replay_entry(1_000) };
    spend(&logs[1], entry, 1, later).await.unwrap();
}
