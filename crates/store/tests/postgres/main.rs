//! The PostgreSQL store keeps every rule of the conformance suite, and goes on through what happens to
//! connections and servers.
//!
//! Run it beside a server: `scripts/with-postgres cargo nextest run -p countersign-store`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
mod databases;
mod faults;
mod logins;
mod moving;
mod nodes;
mod opening;
mod proxy;
mod scans;

/// Every rule.
mod rules {
    use super::databases::Database;

    async fn fresh() -> Database {
        Database::fresh().await
    }

    countersign_testkit::store_conformance!(fresh);
}

/// What must stay used across restarts keeps the rules for replay logs, also where nothing is prepared on
/// the server.
mod durable_log {
    use std::sync::Arc;

    use countersign_protocol::ports::ReplayLog;
    use countersign_store::postgres::PostgresOptions;
    use countersign_testkit::held::Held;

    use super::databases::{Database, few};

    async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
        let database = Arc::new(Database::fresh().await);
        [true, false].map(|prepared| {
            let store = database.open_as(&PostgresOptions { prepared, ..few() });
            Arc::new(Held::new(store, Arc::clone(&database))) as _
        })
    }

    countersign_testkit::replay_log_conformance!(fresh);
}

/// Every rule once more, through a pooler that gives each transaction another connection and knows no prepared
/// statements, where `scripts/with-postgres --pgbouncer` has started one.
mod unprepared {
    use countersign_store::postgres::{PostgresOptions, PostgresStore};
    use countersign_testkit::store_conformance::{Backend, Stores};

    use super::databases::{Database, few};

    struct Unprepared(Database);

    impl Backend for Unprepared {
        async fn open(&self) -> Stores {
            let options = PostgresOptions { prepared: false, ..few() };
            Stores::of(PostgresStore::open(&self.0.url_of_pooler(), &options).unwrap())
        }
    }

    async fn fresh() -> Unprepared {
        Unprepared(Database::fresh().await)
    }

    countersign_testkit::store_conformance!(fresh);
}
