//! The store: its threads, and how work reaches them.

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use countersign_authority::ports::RoomKept;
use countersign_protocol::ports::Clock;
use rusqlite::Connection;

use super::{
    disk::Disk,
    error::{DbError, JobError, Unavailable},
    installation_id::InstallationId,
    job,
    log::LogReport,
    place::Place,
    readers::Readers,
    threads::Threads,
    writer::{Statistics, Writer},
};

/// The durable store. Dropping it finishes the queued writes and ends its threads, which blocks.
pub struct SqliteStore {
    // Fields are dropped in this order, so that the writer closes the file last and tidies it up.
    pub(super) readers: Readers,
    /// Folds the log into the database beside the writer's back. Only a server has it.
    pub(super) folder: Option<Threads>,
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
    pub(super) stopwatch: OnceLock<Stopwatch>,
}

/// Gets the duration of each operation.
pub(super) struct Stopwatch {
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(Operation, Duration) + Send + Sync>,
}

/// The kinds of operation whose durations are reported apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A query.
    Read,
    /// A change, until it is durable.
    Write,
}

impl Operation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl SqliteStore {
    /// From now on calls `report` with the time that each operation took, waiting included. Only the
    /// first call counts.
    pub fn measure(
        &self,
        clock: Arc<dyn Clock>,
        report: impl Fn(Operation, Duration) + Send + Sync + 'static,
    ) {
        let _: Result<(), Stopwatch> =
            self.stopwatch.set(Stopwatch { clock, report: Box::new(report) });
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

    /// Runs `work` on the writer thread, in a transaction that it may share with other writes.
    /// When it returns an error, none of its changes are kept. It may be undone and run again.
    pub(super) async fn write<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.measured(Operation::Write, self.write_unmeasured(work)).await
    }

    /// The same for the store's own work, whose duration is not reported because no caller waits
    /// for it.
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

    /// The same for writes that strangers can cause without limit. Fails when little of the disk is
    /// left.
    pub(super) async fn write_growing<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        if self.reserve > 0
            && let Ok(Disk { free_bytes: free, .. }) = Disk::of(&self.path)
            && free < self.reserve
        {
            let kept = RoomKept { free, reserve: self.reserve };
            return Err(DbError::from(Unavailable::LowSpace(kept)).into());
        }
        self.write(work).await
    }

    /// Runs `work`, one query, on a reader thread. It looks at few rows, whatever a client asks.
    pub(super) async fn read<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_on(&self.readers.few_rows, work).await
    }

    /// The same for the audit trail, which can have a million rows.
    pub(super) async fn read_trail<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_on(&self.readers.trail, work).await
    }

    /// The same for what the server reads for its own safety, such as what administrators have revoked.
    pub(super) async fn read_own<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_on(&self.readers.own, work).await
    }

    async fn read_on<T, E>(
        &self,
        threads: &Threads,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let (job, result) = job::new(work);
        self.measured(Operation::Read, async {
            threads.submit(job).map_err(DbError::from)?;
            result.await
        })
        .await
    }

    async fn measured<T>(&self, operation: Operation, work: impl Future<Output = T>) -> T {
        let Some(Stopwatch { clock, report }) = self.stopwatch.get() else { return work.await };
        let started = clock.monotonic();
        let result = work.await;
        report(operation, clock.monotonic().saturating_sub(started));
        result
    }
}
