//! Nodes on one server.

use std::{sync::Arc, time::Duration};

use countersign_authority::ports::{LimitKey, RateLimit, State};
use countersign_protocol::{
    ReplayEntry, UnixTime,
    digest::sha256,
    ports::{Clock as _, ReplayError},
    replay::{EpochId, FoundNew, ReplayOwner},
};
use countersign_store::postgres::{PostgresState, StateOptions};
use countersign_system::{SystemClock, SystemRandom};
use countersign_testkit::{limiters::unlimited, samples::account_id};
use tokio::time::{sleep, timeout};

/// How long anything may take while the database is away: the time for an answer, and some for the machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// A node, as operators start it.
pub(crate) async fn node(url: &str) -> State {
    let options = StateOptions::new(Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let opened = PostgresState::open(&url.parse().unwrap(), options).await;
    opened.unwrap().into_state(unlimited())
}

pub(crate) fn now() -> UnixTime {
    SystemClock::new().now()
}

/// A proof that ends in five minutes.
pub(crate) fn proof(number: u64) -> ReplayEntry {
    let digest = sha256(&[&number.to_be_bytes()]);
    ReplayEntry { digest, forget_at: UnixTime::from_secs(now().as_secs() + 300) }
}

/// Uses a proof with a nonce of `epoch`, and has an answer in time.
pub(crate) async fn spend(
    node: &State,
    proof: ReplayEntry,
    epoch: EpochId,
) -> Result<(), ReplayError> {
    let owner = ReplayOwner::Account(account_id(1));
    let spending = node.replay_log.check_and_insert(proof, FoundNew::ByNonce(epoch), owner, now());
    timeout(DEADLINE, spending).await.unwrap().map(|_receipt| ())
}

/// What is said of the proof as soon as the database answers again. It must do so within half a minute.
pub(crate) async fn spend_when_there(
    node: &State,
    proof: ReplayEntry,
    epoch: EpochId,
) -> Result<(), ReplayError> {
    let trying = async {
        loop {
            match spend(node, proof, epoch).await {
                Err(ReplayError::Unavailable(_)) => sleep(Duration::from_millis(10)).await,
                answer => return answer,
            }
        }
    };
    timeout(Duration::from_secs(30), trying).await.unwrap()
}

/// The state is there again.
pub(crate) async fn until_there(node: &State) {
    let key = LimitKey::Account(account_id(9));
    let limit = RateLimit { name: "probe", burst: 1_000_000, period: Duration::from_secs(1) };
    let trying = async {
        while node.rate_limiter.take(&limit, key, SystemClock::new().monotonic()).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), trying).await.unwrap();
}
