//! Servers that crash or are replaced, as the store and the state see them: whoever was revoked is heard of, and
//! nobody asks a server that another one has replaced.

use std::time::Duration;

use countersign_authority::ports::{
    AccountStore as _, ChangeCursor, Changed, Changes, ChangesSince, StoreUpkeep as _,
};
use countersign_protocol::ports::ReplayError;
use countersign_store::postgres::{PostgresOptions, PostgresStore, SchemaMode};
use countersign_testkit::samples::{account_id, new_account};
use tokio::time::{sleep, timeout};

use crate::{
    nodes::{node, proof, spend, spend_when_there},
    server::Server,
};

pub(crate) fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions {
        writers: 1,
        readers: 1,
        mode: SchemaMode::CreateOrUpgrade,
        allow_asynchronous: true,
        ..PostgresOptions::default()
    };
    PostgresStore::open(&url.parse().unwrap(), &options).unwrap()
}

/// What `work` says as soon as the database answers again.
async fn when_there<T, E>(work: impl AsyncFn() -> Result<T, E>) -> T {
    let trying = async {
        loop {
            match work().await {
                Ok(answer) => return answer,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(Duration::from_secs(30), trying).await.unwrap()
}

async fn changes(store: &PostgresStore, since: Option<ChangeCursor>) -> ChangesSince {
    when_there(async || store.changes(since).await).await
}

pub(crate) async fn exists(store: &PostgresStore, number: u64) -> bool {
    let login = account_id(number).to_string().parse().unwrap();
    when_there(async || store.account(&login).await).await.is_some()
}

/// Numbers of transactions come again after a crash.
#[tokio::test]
async fn after_a_crash_anything_may_have_changed_and_after_a_restart_nothing_has() {
    let mut server = Server::start().await;
    let store = open(&server.url());
    let mut heard = changes(&store, None).await.cursor;
    for _ in 0..2 {
        server.kill();
        server.go().await;
        let told = changes(&store, Some(heard)).await;
        assert_eq!(told.changes, Changes::Everything);
        let told = changes(&store, Some(told.cursor)).await;
        assert_eq!(told.changes, Changes::These(Changed::default()));
        server.stop();
        server.go().await;
        let told = changes(&store, Some(told.cursor)).await;
        assert_eq!(told.changes, Changes::These(Changed::default()));
        heard = told.cursor;
    }
}

/// A primary, a standby that has all of it, and both in one URL.
pub(crate) async fn pair() -> (Server, Server, String) {
    let primary = Server::start().await;
    drop(open(&primary.url()));
    let standby = primary.standby().await;
    let url = format!("postgres://postgres@{},{}/postgres", primary.address(), standby.address());
    (primary, standby, url)
}

#[tokio::test]
async fn the_store_reads_nothing_from_a_server_that_was_replaced_while_it_stood_still() {
    let (primary, standby, url) = pair().await;
    let store = open(&url);
    store.create_account(new_account(1, "alice")).await.unwrap();
    // The readers have their connections now.
    assert!(exists(&store, 1).await);
    store.changes(None).await.unwrap();
    primary.freeze();
    standby.promote();
    // One thread notices, and finds the new one.
    changes(&store, None).await;
    let other = open(&standby.url());
    other.create_account(new_account(2, "bob")).await.unwrap();
    primary.thaw();
    for _ in 0..3 {
        assert!(exists(&store, 2).await, "the old one does not know of it");
    }
    // Nobody is to go back, also when only the old one is there.
    drop((other, standby));
    assert!(store.changes(None).await.is_err());
    let refused = timeout(Duration::from_secs(10), async {
        loop {
            match store.changes(None).await {
                Err(error) if error.to_string().contains("was replaced by another one") => return,
                Err(_) => sleep(Duration::from_millis(10)).await,
                Ok(_) => panic!("it was asked again"),
            }
        }
    });
    refused.await.unwrap();
}

#[tokio::test]
async fn the_state_asks_nobody_who_was_replaced_while_he_stood_still() {
    let (primary, standby, url) = pair().await;
    let node = node(&url).await;
    let before = node.replay_log.epoch().id;
    spend(&node, proof(1), before).await.unwrap();
    primary.freeze();
    standby.promote();
    // One connection is given up, and finds the new one.
    let refused = spend(&node, proof(2), before).await;
    assert!(matches!(refused, Err(ReplayError::Unavailable(_))), "{refused:?}");
    let found = async {
        while node.replay_log.epoch().id == before {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), found).await.unwrap();
    let next = node.replay_log.epoch().id;
    primary.thaw();
    for number in 10..30 {
        assert_eq!(spend_when_there(&node, proof(number), next).await, Ok(()));
        assert_eq!(spend_when_there(&node, proof(number), next).await, Err(ReplayError::Used));
    }
    assert_eq!(node.replay_log.epoch().id, next);
}
