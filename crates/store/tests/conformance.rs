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
