//! What was found to be new before a replay log forgot is not recorded after it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use countersign_protocol::{
    ports::{ReplayError, ReplayLog},
    replay::{EpochId, FoundNew},
};

use super::replay_log::owner;
use crate::{
    rules::at_once,
    samples::{NOW, replay_entry},
};

/// Two handles on one log that can be made to forget.
pub struct ForgettingLogs {
    /// The handles.
    pub logs: [Arc<dyn ReplayLog>; 2],
    /// Makes the engine behind them forget what it may. A handle may notice when it is used next.
    pub forget: Arc<dyn Fn() + Send + Sync>,
}

/// Uses value `number`, which was found to be new in `epoch`.
async fn use_of(log: &Arc<dyn ReplayLog>, number: u64, epoch: EpochId) -> Result<(), ReplayError> {
    let found = FoundNew::ByNonce(epoch);
    let recorded = log.check_and_insert(replay_entry(number), found, owner(number), NOW).await;
    recorded.map(|_receipt| ())
}

/// A request finds a value to be new; the log forgets; the request comes to record it. So does another,
/// with a value that was used before.
pub async fn an_epoch_that_ends_between_finding_and_recording_is_noticed(logs: ForgettingLogs) {
    let ForgettingLogs { logs, forget } = logs;
    let before = logs[0].epoch().id;
    use_of(&logs[0], 1, before).await.unwrap();
    forget();
    for log in &logs {
        for number in [1, 2] {
            assert_eq!(use_of(log, number, before).await, Err(ReplayError::Forgot));
        }
    }
}

/// Whoever is told that the log forgot knows the next epoch from then on, and so does every handle as
/// soon as it is told; in it, values are recorded once as ever.
pub async fn after_an_epoch_the_next_one_is_known_and_records(logs: ForgettingLogs) {
    let ForgettingLogs { logs, forget } = logs;
    let mut epochs = HashSet::from([logs[0].epoch().id]);
    for number in 0..5 {
        let before = logs[0].epoch();
        forget();
        for log in &logs {
            assert_eq!(use_of(log, number, before.id).await, Err(ReplayError::Forgot));
        }
        let [here, there] = [&logs[0], &logs[1]];
        let after = here.epoch();
        assert_eq!(after, there.epoch());
        assert!(epochs.insert(after.id), "no epoch comes again");
        assert!(after.since >= before.since);
        use_of(here, number, after.id).await.unwrap();
        assert_eq!(use_of(there, number, after.id).await, Err(ReplayError::Used));
    }
}

/// While the log forgets again and again, no value is recorded twice in one epoch, at whichever handle.
pub async fn nothing_is_recorded_twice_in_one_epoch_while_epochs_end(logs: ForgettingLogs) {
    let ForgettingLogs { logs, forget } = logs;
    let accepted = Arc::new(Mutex::new(HashSet::new()));
    at_once(16, |task| {
        let (logs, forget, accepted) = (logs.clone(), Arc::clone(&forget), Arc::clone(&accepted));
        async move {
            for round in 0..100 {
                let log = &logs[usize::from((task + round) % 2 == 0)];
                let (number, epoch) = (round % 10, log.epoch().id);
                if task == 0 && round % 10 == 9 {
                    forget();
                }
                if use_of(log, number, epoch).await.is_ok() {
                    assert!(accepted.lock().unwrap().insert((number, epoch)), "twice");
                }
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    assert!(!accepted.lock().unwrap().is_empty());
}
