//! The store as a whole: whether others changed it, and whether it works.

use std::sync::atomic::Ordering::AcqRel;

use async_trait::async_trait;
use countersign_authority::ports::{StoreError, StoreWatch};
use rusqlite::Connection;

use super::{SqliteStore, rows};

#[async_trait]
impl StoreWatch for SqliteStore {
    async fn changed_elsewhere(&self) -> Result<bool, StoreError> {
        // All our writes go through one connection, so its own changes do not count.
        let now = self.write_unmeasured(|c| {
            Ok::<_, StoreError>(data_version(c).map_err(super::DbError::from)?)
        });
        let now = now.await?;
        Ok(self.data_version.swap(now, AcqRel) != now)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let update = "UPDATE health SET checks = checks + 1";
        self.write(move |c| Ok::<_, StoreError>(rows::execute(c, update, [])?)).await?;
        let select = "SELECT checks FROM health";
        self.read(move |c| {
            Ok(rows::first(c, select, [], |row| Ok(row.get::<_, i64>(0)?)).map(drop)?)
        })
        .await
    }
}

/// A number that changes whenever another connection commits.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
