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

    use countersign_protocol::ports::ReplayLog;
    use countersign_testkit::held::Held;

    use super::*;

    async fn fresh() -> [Arc<dyn ReplayLog>; 2] {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("countersign.db");
        let open = || SqliteStore::open(&path, &SqliteOptions::default()).unwrap();
        [open(), open()].map(|store| Arc::new(Held::new(store, Arc::clone(&directory))) as _)
    }

    countersign_testkit::replay_log_conformance!(fresh);
}
