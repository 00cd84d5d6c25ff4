//! Two servers that take writes at once, because a standby was promoted while its primary, or another standby, is
//! there too: which of them counts, for who works on one already and for who starts.

use std::sync::Arc;

use countersign_authority::ports::{AccountStore as _, StoreUpkeep as _};
use countersign_protocol::UnixTime;
use countersign_store::postgres::{PostgresError, PostgresOptions, PostgresStore};
use countersign_system::SystemClock;
use countersign_testkit::samples::new_account;

use crate::{
    losses::{said, wait_for},
    nodes::node,
    replaced::{exists, open, pair},
    server::Server,
};

/// A server that works on what is at `url`.
async fn entered(url: &str) -> (PostgresStore, UnixTime) {
    let store = open(url);
    let started_at = store.enter(&said(), None, Arc::new(SystemClock::new())).await.unwrap();
    (store, started_at.unwrap())
}

/// Somebody else works on `server`, and leaves an account there.
async fn work_at(server: &Server) {
    open(&server.url()).create_account(new_account(2, "bob")).await.unwrap();
}

fn both(one: &Server, other: &Server) -> String {
    format!("postgres://postgres@{},{}/postgres", one.address(), other.address())
}

/// A server whose connections survive hears of it from no connection that is made anew.
#[tokio::test]
async fn a_heartbeat_finds_the_successor_of_a_server_that_still_answers() {
    let (primary, standby, url) = pair().await;
    let (store, started_at) = entered(&url).await;
    store.create_account(new_account(1, "alice")).await.unwrap();
    assert!(exists(&store, 1).await);
    primary.freeze();
    standby.promote();
    work_at(&standby).await;
    primary.thaw();
    assert!(!exists(&store, 2).await, "the connections have survived");
    assert!(store.beat(&said(), started_at).await.unwrap());
    for _ in 0..3 {
        assert!(exists(&store, 2).await, "the old one does not know of it");
    }
}

#[tokio::test]
async fn a_standby_tells_that_another_server_was_replaced() {
    let (primary, promoted, _) = pair().await;
    promoted.promote();
    let follower = promoted.standby().await;
    let url = both(&primary, &follower);
    let options = PostgresOptions { allow_asynchronous: true, ..PostgresOptions::default() };
    let refused = PostgresStore::open(&url.parse().unwrap(), &options).map(drop).unwrap_err();
    assert!(refused.to_string().contains("was replaced by another one"), "{refused}");
}

/// A server that is started again, and each command of an administrator.
#[tokio::test]
async fn who_starts_takes_the_server_that_has_replaced_the_other() {
    let (primary, standby, url) = pair().await;
    standby.promote();
    work_at(&standby).await;
    for _ in 0..3 {
        assert!(exists(&open(&url), 2).await, "the old one does not know of it");
    }
    let _node = node(&url).await;
    let has_state = async |server: &Server| {
        let select = "SELECT FROM pg_namespace WHERE nspname = 'countersign_state_1'";
        !server.client().await.query(select, &[]).await.unwrap().is_empty()
    };
    assert!(has_state(&standby).await && !has_state(&primary).await);
    // One that stands still holds nobody up for long.
    primary.freeze();
    assert!(exists(&open(&url), 2).await);
}

/// Both have the same timeline.
#[tokio::test]
async fn of_two_standbys_that_were_both_promoted_the_second_is_refused() {
    let (primary, one, _) = pair().await;
    let other = primary.standby().await;
    drop(primary);
    one.promote();
    let url = both(&one, &other);
    let (store, started_at) = entered(&url).await;
    store.create_account(new_account(1, "alice")).await.unwrap();
    other.promote();
    work_at(&other).await;
    let refused = store.beat(&said(), started_at).await.unwrap_err();
    assert!(told(&refused).contains("without all that was acknowledged"), "{}", told(&refused));
    // Who starts cannot know which of them it is to be.
    let options = PostgresOptions { allow_asynchronous: true, ..PostgresOptions::default() };
    let refused = PostgresStore::open(&url.parse().unwrap(), &options);
    assert!(matches!(refused.map(drop), Err(PostgresError::Lacking { .. })));
    // The operator decides, and starts the servers again.
    drop(one);
    let refused = store.beat(&said(), started_at).await.unwrap_err();
    assert!(told(&refused).contains("without all that was acknowledged"), "{}", told(&refused));
    assert!(exists(&open(&url), 2).await);
}

/// It was away while the other one took part in keeping what was acknowledged.
#[tokio::test]
async fn a_standby_that_was_promoted_without_what_was_acknowledged_is_refused() {
    let mut primary = Server::start().await;
    drop(open(&primary.url()));
    let (_one, mut other) = (primary.standby().await, primary.standby().await);
    wait_for(&primary, "ANY 1 (*)").await;
    let url = both(&primary, &other);
    let store = PostgresStore::open(&url.parse().unwrap(), &PostgresOptions::default()).unwrap();
    let clock = Arc::new(SystemClock::new());
    let started_at = store.enter(&said(), None, clock).await.unwrap().unwrap();
    other.kill();
    store.create_account(new_account(1, "alice")).await.unwrap();
    assert!(store.beat(&said(), started_at).await.unwrap());
    primary.kill();
    other.go().await;
    other.promote();
    let refused = store.beat(&said(), started_at).await.unwrap_err();
    assert!(told(&refused).contains("without all that was acknowledged"), "{}", told(&refused));
    store.changes(None).await.unwrap_err();
    // The operator accepts the loss, and starts the servers again.
    assert!(!exists(&open(&url), 1).await);
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
