//! What the tests of the SQLite store share, and those of its inside.

mod commit;
mod corruption;
mod failure;
mod readers;
mod shape;
mod size;

use std::{path::PathBuf, pin::Pin, task::Poll, time::Duration};

use countersign_authority::ports::{AccountStore, NewAccount, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{error::DbError, *};

/// A store in a directory of its own.
struct Fixture {
    store: SqliteStore,
    path: PathBuf,
    _directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&SqliteOptions::default())
    }

    fn with(options: &SqliteOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.db");
        let store = SqliteStore::open(&path, options).unwrap();
        Self { store, path, _directory: directory }
    }

    /// Another program's connection to the same file.
    fn other_program(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    /// A connection that keeps everybody else from writing until it is closed.
    fn lock(&self) -> Connection {
        let connection = self.other_program();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    async fn create(&self, new: NewAccount) {
        self.store.create_account(new).await.unwrap();
    }

    /// Runs `sql` on the writer connection, outside of all ports.
    async fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        self.store.write_unmeasured(move |c| Ok(c.execute_batch(sql).map_err(DbError::from)?)).await
    }

    async fn accounts(&self) -> usize {
        self.store.accounts(None, 10_000).await.unwrap().len()
    }
}

type Pending<'a, T> = Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// Starts all calls, so that each has queued its job, and waits for none. Returns the results of
/// those that had one at once, and leaves the others in `calls`.
async fn start<T>(calls: &mut Pending<'_, T>) -> Vec<T> {
    std::future::poll_fn(|context| {
        let mut results = Vec::new();
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        Poll::Ready(results)
    })
    .await
}
