//! The durable ports in one SQLite file.
//!
//! A [`SqliteStore`] has threads of its own. One of them writes: it runs all writes that wait and
//! commits them together, so that one `fsync` serves many callers (group commit). What was answered
//! with `Ok` is on disk. A few more threads read, each with its own connection. Queues are bounded: when one is full, the call fails as unavailable.
//!
//! Other processes may use the file at the same time; only one of them may be a server, which a
//! [`ServerLock`] ensures.

mod accounts;
mod acting;
mod audit;
mod backup;
mod claims;
mod connection;
mod credentials;
mod disk;
mod error;
mod files;
mod installation;
mod invitations;
mod job;
mod lock;
mod log;
mod open;
mod passwords;
mod place;
mod restore;
mod revocations;
mod rows;
mod schema;
mod server_keys;
mod serving;
mod signing_keys;
mod threads;
mod vault;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64},
    },
    time::Duration,
};

use countersign_authority::audit::Administrator;
use countersign_protocol::{UnixTime, ports::Clock};
use rusqlite::Connection;

pub use self::{
    backup::{BackupError, DatabaseSummary, verify_backup},
    disk::{Disk, give_up_ballast},
    files::create_private_dir,
    installation::{
        InstallationId, InvalidInstallationId, Presence, installation_in_file, make_room, presence,
    },
    lock::{LockError, Memory, ServerLock},
    log::{LogReport, inspect as inspect_log},
    open::OpenError,
    restore::{RestoreError, Restored, restore},
};
use self::{
    error::{DbError, JobError, Unavailable},
    place::Place,
    threads::Threads,
    writer::Writer,
};

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The durable store. Dropping it finishes the queued writes and ends its threads, which blocks.
pub struct SqliteStore {
    // Dropped in this order, so that the writer is the last to close the file and tidies it up.
    readers: Threads,
    /// Folds the log into the database beside the writer's back. Only a server has it.
    folder: Option<Threads>,
    writer: Writer,
    /// Closed after all connections: closing it takes their locks away.
    _claim: Option<File>,
    path: PathBuf,
    place: Arc<Place>,
    installation: InstallationId,
    /// What must stay free on the disk, in bytes.
    reserve: u64,
    /// What the log had to say when the store was opened.
    log: LogReport,
    /// Whether there was no log although there should have been one.
    lacked_log: bool,
    /// Whether the log was larger than it should be when it was last folded.
    log_is_large: AtomicBool,
    /// The writer connection's `data_version` when [`watch`] last looked.
    data_version: AtomicI64,
    busy_timeout: Duration,
    stopwatch: OnceLock<Stopwatch>,
}

/// Who is told how long operations take.
struct Stopwatch {
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(Operation, Duration) + Send + Sync>,
}

/// The kinds of operation that take different time.
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

/// How to open a [`SqliteStore`].
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What to do when the file is missing or of an earlier version.
    pub mode: OpenMode,
    /// How many threads read. At least one.
    pub readers: usize,
    /// How many reads may wait.
    pub read_queue: usize,
    /// How many writes may wait.
    pub write_queue: usize,
    /// How long to wait for another process that is writing.
    pub busy_timeout: Duration,
    /// The present, for what a migration writes down.
    pub now: UnixTime,
    /// Whether this is the one server of the database: it keeps every other server out, and folds
    /// the log into the database.
    pub is_server: bool,
    /// Whether to go on with what the file holds when its write-ahead log is missing, with which
    /// acknowledged changes may be lost.
    pub accept_loss: bool,
    /// Who opens the database to administer it: every event that is written names that one.
    pub administrator: Option<Administrator>,
    /// How much of the disk, in bytes, is kept for what protects somebody. With less left, no account
    /// is made. 0 keeps nothing.
    pub disk_reserve: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            mode: OpenMode::CreateOrUpgrade,
            readers: 2,
            read_queue: 1024,
            write_queue: 4096,
            busy_timeout: BUSY_TIMEOUT,
            is_server: false,
            accept_loss: false,
            administrator: None,
            disk_reserve: 0,
            now: UnixTime::from_secs(0),
        }
    }
}

/// What to do when the database is missing or of an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create it (the directory with mode 0700, the file with 0600), or bring it up to date.
    CreateOrUpgrade,
    /// Bring it up to date, but refuse where there is none or an empty one: it was there before.
    Upgrade,
    /// Refuse: for commands that must not change a database under a server of another version.
    Existing,
}

/// What the writer has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions committed.
    pub commits: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Writes in them, refused ones included.
    pub writes: u64,
}

impl SqliteStore {
    /// Opens the database at `path`. Blocks while it reads and, if need be, creates the file.
    ///
    /// # Errors
    /// [`OpenError`] names the file and says what is wrong with it. A file that is not ours, of a
    /// later version or damaged stays as it is.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        open::open(path, options)
    }

    /// Copies the database as it is at this moment to the new file `to`, while others go on
    /// reading and writing, and verifies the copy. Blocks until it is on disk.
    ///
    /// # Errors
    /// When `to` exists, or the copy cannot be made or does not verify; `to` is not made then.
    pub fn backup(&self, to: &Path) -> Result<DatabaseSummary, BackupError> {
        backup::backup(&self.path, to, self.busy_timeout)
    }

    /// Reads all of the database and checks that nothing in it contradicts anything else, while
    /// others go on using it. Blocks until that is done.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong.
    pub fn verify(&self) -> Result<DatabaseSummary, OpenError> {
        backup::verify_in_use(&self.path, self.busy_timeout)
    }

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
    /// [`SqliteOptions::accept_loss`] says so.
    pub const fn lacked_log(&self) -> bool {
        self.lacked_log
    }

    /// What the writer has done so far.
    pub fn statistics(&self) -> Statistics {
        self.writer.statistics()
    }

    /// Runs `work` on the writer thread, in a transaction that it may share with other writes.
    /// When it returns an error, none of its changes are kept. It may be undone and run again.
    async fn write<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.measured(Operation::Write, self.write_unmeasured(work)).await
    }

    /// The same for work of our own, which must not blur the picture of what callers wait for.
    async fn write_unmeasured<T, E>(
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

    /// The same for what fills the disk because strangers ask for it. Fails when little is left.
    async fn write_growing<T, E>(
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
            return Err(DbError::from(Unavailable::LowSpace { free, reserve: self.reserve }).into());
        }
        self.write(work).await
    }

    /// Runs `work`, one query, on a reader thread.
    async fn read<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let (job, result) = job::new(work);
        self.measured(Operation::Read, async {
            self.readers.submit(job).map_err(DbError::from)?;
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
