//! A server that stops waiting for its standby while nodes work on it.

use std::{sync::Arc, time::Duration};

use countersign_authority::ports::{
    AccountStore as _, CreateAccountError, StoreError, StoreUpkeep as _, WouldBeLost,
};
use countersign_protocol::UnixTime;
use countersign_store::postgres::{Node, PostgresOptions, PostgresStore, SchemaMode};
use countersign_system::SystemClock;
use countersign_testkit::samples::new_account;
use tokio::time::{sleep, timeout};

use crate::server::Server;

pub(crate) fn said() -> Node {
    Node {
        id: "a".to_owned(),
        version: "1.2.3".to_owned(),
        issuer: "https://auth.example.com".to_owned(),
        state: "postgres".to_owned(),
        settings: [7; 32],
        clock_ahead_millis: None,
        news_age: Duration::ZERO,
    }
}

fn open(server: &Server, mode: SchemaMode, allow_asynchronous: bool) -> PostgresStore {
    let options =
        PostgresOptions { writers: 1, mode, allow_asynchronous, ..PostgresOptions::default() };
    PostgresStore::open(&server.url().parse().unwrap(), &options).unwrap()
}

pub(crate) async fn wait_for(server: &Server, standbys: &str) {
    let client = server.client().await;
    let alter = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
    client.batch_execute(&alter).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// Sends heartbeats until one has found that the server may lose changes, or that it keeps them.
async fn until(store: &PostgresStore, may_lose: bool) {
    let beating = async {
        loop {
            store.beat(&said(), UnixTime::EPOCH).await.unwrap();
            let checked = store.check().await;
            let refused = matches!(&checked, Err(error) if would_be_lost(error));
            if if may_lose { refused } else { checked.is_ok() } {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), beating).await.unwrap();
}

fn would_be_lost(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(cause) if cause.is::<WouldBeLost>())
}

#[tokio::test]
async fn nothing_is_changed_while_the_server_has_a_standby_and_does_not_wait_for_it() {
    let primary = Server::start().await;
    drop(open(&primary, SchemaMode::CreateOrUpgrade, false));
    let _standby = primary.standby().await;
    wait_for(&primary, "ANY 1 (*)").await;
    let (store, careless) =
        (open(&primary, SchemaMode::Existing, false), open(&primary, SchemaMode::Existing, true));
    until(&store, false).await;
    store.create_account(new_account(1, "alice")).await.unwrap();
    wait_for(&primary, "").await;
    until(&store, true).await;
    let refused = store.create_account(new_account(2, "bob")).await.unwrap_err();
    assert!(
        matches!(&refused, CreateAccountError::Store(error) if would_be_lost(error)),
        "{refused}"
    );
    // Whoever only reads goes on, and hears of changes.
    store.changes(None).await.unwrap();
    careless.beat(&said(), UnixTime::EPOCH).await.unwrap();
    careless.create_account(new_account(3, "carol")).await.unwrap();
    wait_for(&primary, "ANY 1 (*)").await;
    until(&store, false).await;
    store.create_account(new_account(2, "bob")).await.unwrap();
}

/// A backup by the documents copies the files, and the log meanwhile. Nobody promotes it.
#[tokio::test]
async fn a_program_that_copies_the_server_is_no_standby() {
    let server = Server::start().await;
    drop(open(&server, SchemaMode::CreateOrUpgrade, false));
    let copying = server.copy_log();
    let client = server.client().await;
    let streaming = async {
        let select = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        while client.query_one(select, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), streaming).await.unwrap();
    let store = open(&server, SchemaMode::Existing, false);
    store.enter(&said(), None, Arc::new(SystemClock::new())).await.unwrap();
    store.create_account(new_account(1, "alice")).await.unwrap();
    drop(copying);
}
