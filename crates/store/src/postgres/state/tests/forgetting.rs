//! What is removed, and what that must not do.

use std::time::Duration;

use countersign_authority::ports::{SessionId, SessionNonce, SessionNonces as _};
use countersign_protocol::{
    ReplayEntry, UnixTime,
    ports::ReplayError,
    replay::{EpochId, FoundNew, ReplayOwner},
};
use countersign_testkit::{
    limiters::unlimited,
    samples::{EPOCH, NOW, account_id, replay_entry},
};
use tokio_postgres::Client;

use super::databases::Database;
use crate::postgres::{
    PostgresState,
    state::{session_nonces::PostgresSessionNonces, upkeep},
};

/// What has ended is removed so long after that.
const LATER: Duration = Duration::from_mins(10);

async fn count(client: &Client, table: &str) -> i64 {
    let select = format!("SELECT count(*) FROM countersign_state_1.{table}");
    client.query_one(&select, &[]).await.unwrap().get(0)
}

/// Removes what has ended, again and again, as if enough time lay between.
async fn prune(node: &PostgresState, client: &Client) {
    for _ in 0..3 {
        let longer_ago = "UPDATE countersign_state_1.epoch SET forgotten_at = '2020-01-01'";
        client.batch_execute(longer_ago).await.unwrap();
        while upkeep::prune(&node.engine.links, &node.options).await.unwrap() {}
    }
}

/// A node whose clock shows `at`.
async fn node_at(database: &Database, at: UnixTime) -> PostgresState {
    database.open_at(2, at).await
}

async fn spend(node: PostgresState, entry: ReplayEntry, now: UnixTime) -> Result<(), ReplayError> {
    let owner = ReplayOwner::Account(account_id(1));
    let log = node.into_state(unlimited()).replay_log;
    log.check_and_insert(entry, FoundNew::ByNonce(EPOCH.id), owner, now).await.map(|_receipt| ())
}

#[tokio::test]
async fn what_has_ended_is_removed_and_refused_by_a_clock_that_is_behind() {
    let database = Database::fresh().await;
    let client = database.client().await;
    let late = ReplayEntry { forget_at: NOW + LATER * 2, ..replay_entry(2) };
    spend(node_at(&database, NOW).await, replay_entry(1), NOW).await.unwrap();
    spend(node_at(&database, NOW).await, late, NOW).await.unwrap();
    prune(&node_at(&database, NOW).await, &client).await;
    assert_eq!(count(&client, "used_proofs").await, 2);
    prune(&node_at(&database, NOW + LATER).await, &client).await;
    assert_eq!(count(&client, "used_proofs").await, 1);
    let refused = spend(node_at(&database, NOW).await, replay_entry(1), NOW).await;
    assert_eq!(refused, Err(ReplayError::Ended));
    let refused = spend(node_at(&database, NOW).await, late, NOW).await;
    assert_eq!(refused, Err(ReplayError::Used));
    let fresh = ReplayEntry { forget_at: NOW + LATER * 2, ..replay_entry(3) };
    spend(node_at(&database, NOW).await, fresh, NOW).await.unwrap();
}

#[tokio::test]
async fn nothing_is_removed_before_all_statements_know_that_it_may_be() {
    let database = Database::fresh().await;
    let client = database.client().await;
    spend(node_at(&database, NOW).await, replay_entry(1), NOW).await.unwrap();
    let node = node_at(&database, NOW + LATER).await;
    let told = "UPDATE countersign_state_1.epoch SET forgotten_at = '2020-01-01'";
    client.batch_execute(told).await.unwrap();
    for _ in 0..3 {
        upkeep::prune(&node.engine.links, &node.options).await.unwrap();
        assert_eq!(count(&client, "used_proofs").await, 1, "less than five seconds ago");
    }
    client.batch_execute(told).await.unwrap();
    upkeep::prune(&node.engine.links, &node.options).await.unwrap();
    assert_eq!(count(&client, "used_proofs").await, 0);
}

#[tokio::test]
async fn a_clock_that_is_ahead_of_the_database_removes_nothing_early() {
    let database = Database::fresh().await;
    let client = database.client().await;
    let now = countersign_protocol::UnixTime::from_secs(UnixTime::MAX_SECS / 2);
    let entry = ReplayEntry { forget_at: now, ..replay_entry(1) };
    spend(node_at(&database, NOW).await, entry, NOW).await.unwrap();
    prune(&node_at(&database, now + LATER).await, &client).await;
    assert_eq!(count(&client, "used_proofs").await, 1);
}

#[tokio::test]
async fn a_nonce_is_exchanged_in_its_epoch_alone() {
    let database = Database::fresh().await;
    let node = node_at(&database, NOW).await;
    let nonces = PostgresSessionNonces::new(std::sync::Arc::clone(&node.engine), &node.options);
    let (session, ends) = (SessionId::from_bytes([1; 16]), NOW + Duration::from_secs(30));
    let nonce = |number| SessionNonce { value: [number; 16], expires_at: ends };
    let network = std::net::IpAddr::from([192, 0, 2, 1]).into();
    nonces.put(&session, nonce(1), network, NOW).await.unwrap();
    for next in [None, Some(nonce(2))] {
        let other = EpochId::from_bytes([9; 16]);
        assert!(!nonces.exchange(&session, (&nonce(1), next), other, NOW).await.unwrap());
    }
    assert!(nonces.exchange(&session, (&nonce(1), None), EPOCH.id, NOW).await.unwrap());
}

#[tokio::test]
async fn sessions_and_numbers_that_have_ended_leave_nothing() {
    let database = Database::fresh().await;
    let client = database.client().await;
    let insert = "INSERT INTO countersign_state_1.session_nonces
            SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), '', n, '' FROM generate_series(1, 12000) n;
        INSERT INTO countersign_state_1.recent_numbers VALUES ('a', 'a', 'a', '{}', 1);
        INSERT INTO countersign_state_1.limits SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), n, n % 2 = 0
            FROM generate_series(1, 12000) n;
        INSERT INTO countersign_state_1.windows (key, changed_at) VALUES ('a', 1)";
    client.batch_execute(insert).await.unwrap();
    prune(&node_at(&database, NOW).await, &client).await;
    for table in ["session_nonces", "recent_numbers", "limits", "windows"] {
        assert_eq!(count(&client, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn without_room_those_go_that_have_the_least_to_remember() {
    let database = Database::fresh().await;
    let client = database.client().await;
    let insert = "INSERT INTO countersign_state_1.session_nonces
            SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), '', 4000000000000 + n, '' FROM generate_series(1, 12000) n;
        INSERT INTO countersign_state_1.limits
            SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 4000000000000000000 + n, n % 2 = 0
            FROM generate_series(1, 12000) n";
    client.batch_execute(insert).await.unwrap();
    prune(&node_at(&database, NOW).await, &client).await;
    assert_eq!(count(&client, "session_nonces").await, 3_200);
    assert_eq!(count(&client, "session_nonces WHERE expires_at > 4000000008800").await, 3_200);
    assert_eq!(count(&client, "limits WHERE lasting").await, 6_000, "these are not forgotten");
    assert_eq!(count(&client, "limits WHERE NOT lasting").await, 1_000);
}

#[tokio::test]
async fn whoever_does_not_wait_for_the_answer_has_used_a_share_all_the_same() {
    let database = Database::fresh().await;
    let (log, client) =
        (node_at(&database, NOW).await.into_state(unlimited()).replay_log, database.client().await);
    let owner = ReplayOwner::Account(account_id(1));
    let share = countersign_testkit::state_conformance::CAPACITY.used_share;
    for number in 0..share {
        let mut recording =
            log.check_and_insert(replay_entry(number), FoundNew::ByNonce(EPOCH.id), owner, NOW);
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(recording.as_mut().poll(context).is_pending());
    }
    let found = FoundNew::ByNonce(EPOCH.id);
    let refused = log.check_and_insert(replay_entry(share), found, owner, NOW).await;
    assert!(matches!(refused, Err(ReplayError::ShareUsedUp(_))), "{refused:?}");
    assert!(count(&client, "used_proofs").await <= i64::try_from(share).unwrap());
}
