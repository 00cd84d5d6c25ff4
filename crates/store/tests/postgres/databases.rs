//! Databases for tests, on the server that `scripts/with-postgres` starts.

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use countersign_store::postgres::{DatabaseUrl, PostgresOptions, PostgresStore, SchemaMode};
use countersign_testkit::{
    samples::NOW,
    store_conformance::{Backend, Stores},
};
use tokio_postgres::{Client, NoTls};

const VARIABLE: &str = "COUNTERSIGN_TEST_POSTGRES";
const POOLER: &str = "COUNTERSIGN_TEST_PGBOUNCER";
const MIGRATIONS: &str = include_str!("../../postgres-migrations/0001_foundation.sql");

/// A database of one test, which goes with it.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A database without tables.
    pub(crate) async fn empty() -> Self {
        let database = Self::new();
        database
            .server()
            .await
            .batch_execute(&format!("CREATE DATABASE {}", database.name))
            .await
            .unwrap();
        database
    }

    /// A database with all tables.
    pub(crate) async fn fresh() -> Self {
        let database = Self::new();
        let (server, template) = (database.server().await, template());
        // One test makes the template, and all others wait for it.
        server.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
        let select = "SELECT 1 FROM pg_database WHERE datname = $1";
        if server.query_opt(select, &[&template]).await.unwrap().is_none() {
            let making = Self {
                server: database.server.clone(),
                name: format!("{template}_{}", process::id()),
            };
            server.batch_execute(&format!("CREATE DATABASE {}", making.name)).await.unwrap();
            making.open_as(&PostgresOptions {
                mode: SchemaMode::CreateOrUpgrade,
                now: NOW,
                ..few()
            });
            let rename = format!("ALTER DATABASE {} RENAME TO {template}", making.name);
            server.batch_execute(&rename).await.unwrap();
        }
        server.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
        let create = format!("CREATE DATABASE {} TEMPLATE {template}", database.name);
        server.batch_execute(&create).await.unwrap();
        database
    }

    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} names no server: run `scripts/with-postgres cargo nextest run -p countersign-store`")
        });
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Relaxed));
        Self { server, name }
    }

    /// Its URL, with `options`.
    pub(crate) fn url(&self, options: &str) -> DatabaseUrl {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}?{options}", self.name).parse().unwrap()
    }

    /// The address of its server: `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        let (_, server) = self.server.rsplit_once('@').unwrap();
        server.split_once('/').unwrap().0.to_owned()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, by another address.
    pub(crate) fn url_through(&self, address: &str) -> DatabaseUrl {
        format!("postgres://postgres@{address}/{}", self.name).parse().unwrap()
    }

    /// Its URL at the pooler, if one was started.
    pub(crate) fn url_of_pooler(&self) -> DatabaseUrl {
        env::var(POOLER).map_or_else(|_| self.url(""), |address| self.url_through(&address))
    }

    /// The file with the certificate of its server, which is for its address alone.
    pub(crate) fn certificate() -> String {
        env::var("COUNTERSIGN_TEST_POSTGRES_CERTIFICATE").unwrap()
    }

    /// Opens it with few threads.
    pub(crate) fn open(&self) -> PostgresStore {
        self.open_as(&few())
    }

    /// Opens it.
    pub(crate) fn open_as(&self, options: &PostgresOptions) -> PostgresStore {
        PostgresStore::open(&self.url(""), options).unwrap()
    }

    /// A connection that is not the store's.
    pub(crate) async fn client(&self) -> Client {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        connect(&format!("{server}/{}", self.name)).await
    }

    async fn server(&self) -> Client {
        connect(&self.server).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop) =
            (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        if self.name.starts_with("template") {
            return;
        }
        // The runtime of the test may have ended.
        let dropping = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server).await.batch_execute(&drop).await.unwrap() });
        });
        dropping.join().unwrap();
    }
}

impl Backend for Database {
    async fn open(&self) -> Stores {
        Stores::of(Self::open(self))
    }
}

/// Few threads, so that many tests can run at once.
pub(crate) fn few() -> PostgresOptions {
    PostgresOptions { writers: 3, readers: 1, ..PostgresOptions::default() }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move {
        let _: Result<_, _> = connection.await;
    });
    client
}

/// The name of the database that others are copies of. Another schema has another name.
fn template() -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    MIGRATIONS.hash(&mut hasher);
    format!("template_{:x}", hasher.finish())
}
