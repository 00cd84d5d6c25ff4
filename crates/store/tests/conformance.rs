//! The SQLite store keeps every rule of the conformance suite.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_testkit::store_conformance::{Backend, Stores};
use tempfile::TempDir;

struct SqliteBackend(TempDir);

impl Backend for SqliteBackend {
    async fn open(&self) -> Stores {
        let path = self.0.path().join("countersign.db");
        Stores::of(SqliteStore::open(&path, &SqliteOptions::default()).unwrap())
    }
}

async fn fresh() -> SqliteBackend {
    SqliteBackend(tempfile::tempdir().unwrap())
}

countersign_testkit::store_conformance!(fresh);

/// What must stay used across restarts keeps the rules for replay logs.
mod durable_log {
    use std::sync::Arc;

    use countersign_protocol::{
        ReplayEntry, UnixTime,
        ports::{Recording, ReplayLog},
        replay::{FoundNew, LogEpoch, ReplayOwner},
    };

    use super::*;

    /// A handle, and the directory for as long as there is one.
    struct Handle(SqliteStore, #[expect(dead_code, reason = "held")] Arc<TempDir>);

    impl ReplayLog for Handle {
        fn epoch(&self) -> LogEpoch {
            self.0.epoch()
        }

        fn check_and_insert(
            &self,
            entry: ReplayEntry,
            found: FoundNew,
            owner: ReplayOwner,
            now: UnixTime,
        ) -> Recording<'_> {
            self.0.check_and_insert(entry, found, owner, now)
        }
    }

    async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("countersign.db");
        let open = || SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        [open(), open()].map(|store| Arc::new(Handle(store, Arc::clone(&directory))) as _)
    }

    countersign_testkit::replay_log_conformance!(fresh);
}
