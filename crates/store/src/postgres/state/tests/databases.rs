//! Databases for tests, on the server that `scripts/with-postgres` starts.

use std::{
    env,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign_authority::ports::State;
use countersign_protocol::UnixTime;
use countersign_testkit::{
    clock::FixedClock,
    limiters::unlimited,
    random::SeededRandom,
    samples::{EPOCH, NOW},
    state_conformance::CAPACITY,
};
use tokio_postgres::{Client, NoTls};

use crate::postgres::{PostgresState, StateOptions};

/// A database of one test.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A database with empty tables, in the epoch of the samples.
    pub(crate) async fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = env::var("COUNTERSIGN_TEST_POSTGRES")
            .expect("run `scripts/with-postgres cargo nextest run -p countersign-store`");
        let name = format!("state_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let database = Self { server, name };
        let server = connect(&database.server).await;
        drop_databases_of_the_past(&server).await;
        server.batch_execute(&format!("CREATE DATABASE {}", database.name)).await.unwrap();
        drop(database.open(1).await);
        let begin = "UPDATE countersign_state_1.epoch SET id = $1, since = 0";
        let id = &EPOCH.id.as_bytes()[..];
        database.client().await.execute(begin, &[&id]).await.unwrap();
        database
    }

    /// The state of another node, which takes the time that it is told for that of the database.
    pub(crate) async fn open(&self, seed: u64) -> PostgresState {
        self.open_at(seed, NOW).await
    }

    /// The same; its clock shows `now`.
    pub(crate) async fn open_at(&self, seed: u64, now: UnixTime) -> PostgresState {
        let usize = |number: u64| usize::try_from(number).unwrap();
        let clock = Arc::new(FixedClock::at(now));
        let options = StateOptions {
            connections: 2,
            // For busy machines.
            answer_within: Duration::from_secs(20),
            used_proofs: CAPACITY.used,
            used_proofs_share: CAPACITY.used_share,
            sessions: usize(CAPACITY.sessions),
            sessions_share: usize(CAPACITY.sessions_share),
            limited: usize(CAPACITY.limited),
            ..StateOptions::new(clock, Arc::new(SeededRandom::new(seed)))
        };
        PostgresState::connect(&self.url().parse().unwrap(), options).await.unwrap()
    }

    /// Two nodes.
    pub(crate) async fn nodes(&self) -> [State; 2] {
        [self.open(2).await, self.open(3).await].map(|state| state.into_state(unlimited()))
    }

    /// A connection that is not of the state.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// A connection to another database of the same server.
    pub(crate) async fn beside(&self) -> Client {
        connect(&self.server).await
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

/// The state of a test lives longer than what could drop its database, so those of tests that have ended go.
async fn drop_databases_of_the_past(server: &Client) {
    let select = "SELECT datname FROM pg_database WHERE datname LIKE 'state\\_%'";
    for row in server.query(select, &[]).await.unwrap() {
        let name: String = row.get(0);
        let process = name.split('_').nth(1).unwrap();
        if !Path::new("/proc").join(process).exists() {
            // Another test may be quicker.
            let _: Result<_, _> =
                server.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move {
        let _: Result<_, _> = connection.await;
    });
    client
}
