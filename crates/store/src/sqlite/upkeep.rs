//! The store as a whole: whether others changed it, and whether it works.

use std::sync::atomic::Ordering::{AcqRel, Release};

use async_trait::async_trait;
use countersign_authority::ports::{
    ChangeCursor, Changes, ChangesSince, Retention, StoreCondition, StoreError, StoreUpkeep,
};
use countersign_protocol::UnixTime;

use super::{
    Sqlite, SqliteStore,
    connection::{MAX_LOG_BYTES, data_version, fold},
    disk::{self, Disk, LEAST_FREE_BYTES},
    error::{DbError, Unavailable},
    files, job, rows,
};
use crate::{engine::Engine as _, rules::pruning::Pruning, sql::Connection};

#[async_trait]
impl StoreUpkeep for SqliteStore {
    /// SQLite tells that somebody has written, and not what. Others write rarely: they are
    /// administrators.
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        let cursor = ChangeCursor::new(self.version().await?);
        let is_same = since == Some(cursor);
        let changes = if is_same { Changes::none() } else { Changes::Everything };
        Ok(ChangesSince { changes, cursor })
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.place.check().map_err(|error| DbError::from(Unavailable::from(error)))?;
        if let Ok(disk) = Disk::of(&self.path)
            && disk.is_full()
        {
            let (free, least) = (disk.free_bytes, LEAST_FREE_BYTES);
            return Err(DbError::from(Unavailable::Full { free, least }).into());
        }
        // As many pages as a login writes: a smaller write might work when logins no longer do.
        let update = "UPDATE health SET checks = checks + 1, padding = randomblob(40000)";
        let work = move |c: &Connection| Ok::<_, StoreError>(rows::execute(c, update, ())?);
        self.write([], work).await?;
        let select = "SELECT checks FROM health";
        let work = move |c: &Connection| {
            Ok::<_, StoreError>(rows::first(c, select, (), |row| row.get::<i64>(0)).map(drop)?)
        };
        self.read_own(work).await
    }

    fn condition(&self) -> StoreCondition {
        let disk = Disk::of(&self.path).ok();
        StoreCondition {
            misplaced: self.place.check().err().map(|error| error.to_string()),
            failed_writes: self.statistics().failures,
            free_bytes: disk.map(|disk| disk.free_bytes),
            log_bytes: files::length(&files::with_suffix(&self.path, "-wal")),
            dropped_transactions: self.log.dropped_transactions,
        }
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        Pruning::of(&**self).run(now, retention).await
    }

    async fn tidy(&self) -> Result<bool, StoreError> {
        let Some(folder) = &self.folder else { return Ok(true) };
        // Files that were moved away are left alone.
        self.place.check().map_err(|error| DbError::from(Unavailable::from(error)))?;
        if self.reserve > 0 {
            disk::take_ballast(&self.path, self.reserve)
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        }
        let (job, result) = job::new(|connection| {
            Ok::<_, StoreError>(fold(connection, "PASSIVE").map_err(DbError::from)?)
        });
        folder.submit(job).map_err(DbError::from)?;
        let is_folded = result.await?;
        self.warn_of_large_log(is_folded);
        Ok(is_folded)
    }
}

impl Sqlite {
    /// The version of the database, which changes whenever others write. It ignores changes by the same
    /// connection, and all our writes go through this one.
    ///
    /// While the writer is in a transaction nobody else can write, so its version is that of the present
    /// moment: also when the disk lets it wait for a while.
    async fn version(&self) -> Result<u64, StoreError> {
        let look =
            self.write_unmeasured(|c| Ok::<_, StoreError>(data_version(c).map_err(DbError::from)?));
        tokio::select! {
            biased;
            Some(version) = self.writer.held_version() => Ok(version),
            version = look => version,
        }
    }

    /// Logs once that the log grows although it should have been folded.
    fn warn_of_large_log(&self, is_folded: bool) {
        let bytes = files::length(&files::with_suffix(&self.path, "-wal"));
        let is_large = !is_folded && bytes >= MAX_LOG_BYTES.unsigned_abs();
        if is_large && !self.log_is_large.swap(is_large, AcqRel) {
            tracing::warn!(
                bytes,
                "the write-ahead log cannot be folded into the database and grows: a program that \
                 reads the database has kept a transaction open (see `fuser` on the -shm file)"
            );
        }
        self.log_is_large.store(is_large, Release);
    }
}
