//! State in memory keeps every rule for short-lived state.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use countersign_authority::ports::State;
use countersign_memory::Capacity;
use countersign_protocol::ports::ReplayLog;
use countersign_testkit::{
    samples::{EPOCH, NOW},
    state_conformance::{CAPACITY, replay_epochs::ForgettingLogs},
};

/// Two handles on one state: what is in memory is shared by reference.
async fn fresh() -> [State; 2] {
    let usize = |number: u64| usize::try_from(number).unwrap();
    let capacity = Capacity {
        limited: usize(CAPACITY.limited),
        // So many that no two keys of a rule share a place.
        keyring_tries: 1 << 22,
        used_proofs: CAPACITY.used,
        used_proofs_share: CAPACITY.used_share,
        sessions: usize(CAPACITY.sessions),
        sessions_share: usize(CAPACITY.sessions_share),
    };
    let state = countersign_memory::state(&capacity, EPOCH, Duration::ZERO);
    [state.clone(), state]
}

countersign_testkit::state_conformance!(fresh);

async fn logs() -> [Arc<dyn ReplayLog>; 2] {
    fresh().await.map(|state| state.replay_log)
}

countersign_testkit::replay_share_conformance!(logs);

/// In memory, what a clock has left behind is forgotten when it is set back.
async fn forgetting() -> ForgettingLogs {
    let logs = fresh().await.map(|state| state.replay_log);
    let log = logs[0].clone();
    ForgettingLogs { logs, forget: Arc::new(move || log.clock_was_set_back(NOW)) }
}

countersign_testkit::replay_epoch_conformance!(forgetting);

/// The limiter that forgets nobody keeps the rules of all limiters.
mod keyring_tries {
    use countersign_testkit::state_conformance::rate_limiter;

    use super::fresh;

    macro_rules! rules {
        ($($rule:ident)+) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                rate_limiter::$rule(fresh().await.map(|state| state.keyring_tries)).await;
            })+
        };
    }

    rules! {
        a_burst_is_allowed_and_then_one_per_interval
        an_allowance_of_none_allows_nothing
        limits_and_keys_are_counted_apart
        no_more_than_the_burst_pass_of_many_at_once
        refusals_cost_nothing
        what_costs_more_takes_more_or_nothing
        what_is_given_back_is_there_again
    }
}
