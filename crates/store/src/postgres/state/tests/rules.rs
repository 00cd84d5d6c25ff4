//! The rules of the conformance suites.

use std::{sync::Arc, thread};

use countersign_authority::ports::State;
use countersign_protocol::ports::ReplayLog;
use countersign_testkit::state_conformance::replay_epochs::ForgettingLogs;
use tokio::runtime::Builder;

use super::databases::{Database, connect};

async fn fresh() -> [State; 2] {
    Database::fresh().await.nodes().await
}

countersign_testkit::state_conformance!(fresh);

/// Each node counts what it has recorded, so these are handles of one.
async fn of_one_node() -> [Arc<dyn ReplayLog>; 2] {
    let [state, _] = fresh().await;
    [Arc::clone(&state.replay_log), state.replay_log]
}

countersign_testkit::replay_share_conformance!(of_one_node);

/// The tables are emptied together, as by a crash.
async fn forgetting() -> ForgettingLogs {
    let database = Database::fresh().await;
    let logs = database.nodes().await.map(|state| state.replay_log);
    let url = database.url();
    let forget = move || {
        let url = url.clone();
        // The caller is in a runtime, and waits.
        let forgetting = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let truncate =
                    "TRUNCATE countersign_state_1.epoch, countersign_state_1.used_proofs";
                connect(&url).await.batch_execute(truncate).await.unwrap();
            });
        });
        forgetting.join().unwrap();
    };
    ForgettingLogs { logs, forget: Arc::new(forget) }
}

countersign_testkit::replay_epoch_conformance!(forgetting);

/// The database lets nobody in.
async fn away() -> [Arc<dyn ReplayLog>; 2] {
    let database = Database::fresh().await;
    let logs = database.nodes().await.map(|state| state.replay_log);
    let (name, beside) = (database.name(), database.beside().await);
    let shut = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
    beside.batch_execute(&shut).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1";
    beside.execute(end, &[&name]).await.unwrap();
    logs
}

countersign_testkit::replay_outage_conformance!(away);

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
