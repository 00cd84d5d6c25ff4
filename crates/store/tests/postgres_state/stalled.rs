//! A server whose commits wait for a standby that is away.

use std::time::Duration;

use countersign_authority::ports::AccountStore as _;
use countersign_store::postgres::{PostgresOptions, PostgresStore, SchemaMode};
use countersign_testkit::samples::{account_id, new_account};
use tokio::time::{sleep, timeout};

use crate::server::Server;

/// How many threads of a store change something: those that do nothing else, and two that record logins.
const CHANGING: i64 = 2 + 2;
const WRITERS: usize = 2;

fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions {
        writers: WRITERS,
        readers: 1,
        mode: SchemaMode::CreateOrUpgrade,
        allow_asynchronous: true,
        ..PostgresOptions::default()
    };
    PostgresStore::open(&url.parse().unwrap(), &options).unwrap()
}

async fn wait_for(server: &Server, standbys: &str) {
    let client = server.client().await;
    let alter = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
    client.batch_execute(&alter).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// A store, and how many changes it was asked for.
struct Asked<'a>(&'a PostgresStore, u64);

impl Asked<'_> {
    /// Each writer makes one.
    async fn create(&mut self) -> [Result<(), String>; WRITERS] {
        self.1 += 2;
        let create = async |number: u64| {
            let made = self.0.create_account(new_account(number, &format!("user{number}"))).await;
            made.map(drop).map_err(|error| format!("{error:?}"))
        };
        tokio::join!(create(self.1), create(self.1 + 1)).into()
    }

    /// Asks until changes are refused, from then on at once.
    async fn until_refused(&mut self) {
        let is_refused = |made: &Result<(), String>| {
            made.as_ref().is_err_and(|said| said.contains("owes answers"))
        };
        let asking = async { while !self.create().await.iter().all(is_refused) {} };
        timeout(Duration::from_mins(1), asking).await.unwrap();
        let refused = timeout(Duration::from_secs(1), self.create()).await.unwrap();
        assert!(refused.iter().all(is_refused), "{refused:?}");
    }

    /// Asks until a change is made.
    async fn until_made(&mut self) {
        let asking = async {
            while self.create().await.iter().any(Result::is_err) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), asking).await.unwrap();
    }
}

/// How many processes of the server wait for a standby.
async fn waiting(server: &Server) -> i64 {
    let select = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    server.client().await.query_one(select, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_use_up_no_connections_and_hold_up_no_successor() {
    let primary = Server::start().await;
    drop(open(&primary.url()));
    let standby = primary.standby().await;
    let url = format!("postgres://postgres@{},{}/postgres", primary.address(), standby.address());
    let store = open(&url);
    let mut asked = Asked(&store, 0);
    asked.until_made().await;
    // Nobody has that name, so commits wait for ever.
    wait_for(&primary, "nobody").await;
    asked.until_refused().await;
    let owed = waiting(&primary).await;
    assert!((CHANGING..2 * CHANGING).contains(&owed), "{owed}");
    for _ in 0..50 {
        assert!(asked.create().await.iter().all(Result::is_err));
    }
    assert_eq!(waiting(&primary).await, owed);
    // Whoever only reads goes on.
    let login = account_id(2).to_string().parse().unwrap();
    assert!(store.account(&login).await.unwrap().is_some());
    // Now they have waited long enough, and it is heard of.
    wait_for(&primary, "").await;
    asked.until_made().await;
    assert_eq!(waiting(&primary).await, 0);
    wait_for(&primary, "nobody").await;
    asked.until_refused().await;
    standby.promote();
    asked.until_made().await;
}
