//! The store: its threads, and how work reaches them.

use std::{
    fs::File,
    future::ready,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use countersign_authority::ports::RoomKept;
use countersign_protocol::ports::Clock;
use rusqlite::Connection;

use super::{
    disk::Disk,
    log::LogReport,
    place::Place,
    readers::Readers,
    writer::{Statistics, Writer},
};
use crate::{
    engine::{Engine, Outcome, Reads},
    error::{DbError, JobError, Unavailable},
    installation_id::InstallationId,
    job,
    operation::{Operation, Stopwatch},
    sql::{self, Alone},
    stored::Stored,
    threads::JobThreads,
};

/// The durable store in one SQLite file. Dropping it finishes the queued writes and ends its threads, which blocks.
pub struct Sqlite {
    // Fields are dropped in this order, so that the writer closes the file last and tidies it up.
    pub(super) readers: Readers,
    /// Folds the log into the database beside the writer's back. Only a server has it.
    pub(super) folder: Option<JobThreads<Connection>>,
    pub(super) writer: Writer,
    /// Closed after all connections: closing it takes their locks away.
    pub(super) _claim: Option<File>,
    pub(super) path: PathBuf,
    pub(super) place: Arc<Place>,
    pub(super) installation: InstallationId,
    /// What must stay free on the disk, in bytes.
    pub(super) reserve: u64,
    /// The report on the log when the store was opened.
    pub(super) log: LogReport,
    /// Whether there was no log although there should have been one.
    pub(super) lacked_log: bool,
    /// Whether the log was larger than it should be when it was last folded.
    pub(super) log_is_large: AtomicBool,
    pub(super) busy_timeout: Duration,
    pub(super) stopwatch: Stopwatch,
}

/// The store in one SQLite file.
pub type SqliteStore = Stored<Sqlite>;

impl Sqlite {
    /// From now on calls `report` with the time that each operation took, waiting included. Only the
    /// first call counts.
    pub fn measure(
        &self,
        clock: Arc<dyn Clock>,
        report: impl Fn(Operation, Duration) + Send + Sync + 'static,
    ) {
        self.stopwatch.start(clock, report);
    }

    /// Which installation the database belongs to.
    pub const fn installation(&self) -> InstallationId {
        self.installation
    }

    /// What the write-ahead log held when the store was opened. Only a server looks.
    pub const fn log_report(&self) -> LogReport {
        self.log
    }

    /// Whether the database was opened without the write-ahead log that belongs to it, because
    /// [`SqliteOptions::accept_loss`](super::SqliteOptions::accept_loss) says so.
    pub const fn lacked_log(&self) -> bool {
        self.lacked_log
    }

    /// What the writer has done so far.
    pub fn statistics(&self) -> Statistics {
        self.writer.statistics()
    }

    /// Makes a change whose duration is not reported because no caller waits for it.
    pub(super) async fn write_unmeasured<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let (job, result) = job::new(work);
        self.writer.submit(job).map_err(DbError::from)?;
        result.await
    }

    fn check_room(&self) -> Result<(), Unavailable> {
        if self.reserve > 0
            && let Ok(Disk { free_bytes: free, .. }) = Disk::of(&self.path)
            && free < self.reserve
        {
            return Err(Unavailable::LowSpace(RoomKept { free, reserve: self.reserve }));
        }
        Ok(())
    }
}

/// One thread writes, so every change is alone.
impl Engine for Sqlite {
    /// Runs `work` on the writer thread, in a transaction that it may share with other writes.
    fn write<T, E>(
        &self,
        _: impl Into<Vec<Alone>>,
        work: impl Fn(&sql::Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let written = self.write_unmeasured(move |connection| work(connection));
        Box::pin(self.stopwatch.measured(Operation::Write, written))
    }

    fn write_growing<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&sql::Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        match self.check_room() {
            Ok(()) => self.write(alone, work),
            Err(error) => Box::pin(ready(Err(DbError::from(error).into()))),
        }
    }

    fn read_from<T, E>(
        &self,
        from: Reads,
        work: impl Fn(&sql::Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let threads = match from {
            Reads::FewRows => &self.readers.few_rows,
            Reads::Trail | Reads::Whole => &self.readers.trail,
            Reads::Own => &self.readers.own,
        };
        let (job, result) = job::new(move |connection: &Connection| work(connection));
        Box::pin(self.stopwatch.measured(Operation::Read, async {
            threads.submit(job).map_err(DbError::from)?;
            result.await
        }))
    }

    fn installation(&self) -> InstallationId {
        self.installation
    }
}
