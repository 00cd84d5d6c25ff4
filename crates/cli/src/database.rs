//! An opened database, of either engine, with everything that an authority needs of the outside.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use countersign_authority::ports::{Clock, Ports, State, Store};
use countersign_memory::Capacity;
use countersign_protocol::{UnixTime, replay::LogEpoch};
use countersign_store::{
    Operation,
    postgres::{DatabaseUrl, PostgresStore},
    sqlite::SqliteStore,
};
use countersign_system::{SystemClock, SystemRandom};

use crate::config::Settings;

/// An opened database.
pub(crate) struct Database {
    pub(crate) engine: Engine,
    pub(crate) ports: Ports,
}

/// What the database is worked by, for the little that not all of them have.
#[derive(Clone)]
pub(crate) enum Engine {
    /// A file of one server.
    Sqlite(Arc<SqliteStore>),
    /// A server that several of ours share.
    Postgres(Arc<PostgresStore>),
}

impl Engine {
    /// From now on calls `report` with the time that each operation took.
    pub(crate) fn measure(
        &self,
        clock: Arc<dyn Clock>,
        report: impl Fn(Operation, Duration) + Send + Sync + 'static,
    ) {
        match self {
            Self::Sqlite(store) => store.measure(clock, report),
            Self::Postgres(store) => store.measure(clock, report),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as _,
            Self::Postgres(store) => Arc::clone(store) as _,
        }
    }
}

impl Database {
    /// The database of `engine`, with state in memory that began at `since`: before it, nothing is known
    /// of what was used.
    pub(crate) fn of(engine: Engine, settings: &Settings, since: UnixTime) -> Self {
        let limits = &settings.limits;
        let used_proofs = limits.replay_log();
        let capacity = Capacity {
            limited: limits.rate_limit_clients,
            keyring_tries: limits.keyring_try_places,
            used_proofs,
            used_proofs_share: limits.share_of(used_proofs),
            sessions: limits.sessions,
            sessions_share: limits.share(limits.sessions),
        };
        let (clock, random) = (SystemClock::new(), SystemRandom);
        let epoch = LogEpoch::begin(&random, since);
        let state = State {
            has_neighbours: matches!(engine, Engine::Postgres(_)),
            ..countersign_memory::state(&capacity, epoch, clock.monotonic())
        };
        let store = engine.store();
        let ports = Ports { clock: Arc::new(clock), random: Arc::new(random), state, store };
        Self { engine, ports }
    }
}

/// Where a database is, for a sentence.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a data directory.
    DataDir(PathBuf),
    /// At a PostgreSQL server.
    Postgres(Box<DatabaseUrl>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataDir(path) => write!(f, "the data directory {}", path.display()),
            Self::Postgres(url) => write!(f, "the database {url}"),
        }
    }
}
