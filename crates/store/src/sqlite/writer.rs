//! The one thread that writes: group commit.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rusqlite::Connection;

use super::{
    Statistics,
    error::Unavailable,
    job::Job,
    threads::{Queue, Threads},
};

/// How many jobs share a transaction at most, which bounds how long the first of them waits.
const MAX_BATCH: usize = 512;

/// The writer thread and its queue.
pub(super) struct Writer {
    threads: Threads,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    writes: AtomicU64,
}

impl Writer {
    pub(super) fn start(connection: Connection, capacity: usize) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let serve = move |queue: &Queue| {
            while let Some(job) = queue.next() {
                commit_together(&connection, job, queue, &shared);
            }
        };
        Ok(Self { threads: Threads::start("sqlite-writer", capacity, [serve])?, counters })
    }

    /// Queues `job`, without waiting.
    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<(), Unavailable> {
        self.threads.submit(job)
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            commits: self.counters.commits.load(Relaxed),
            writes: self.counters.writes.load(Relaxed),
        }
    }
}

/// Runs `first` and what waits behind it in one transaction, commits, and only then answers.
fn commit_together(
    connection: &Connection,
    first: Box<dyn Job>,
    queue: &Queue,
    counters: &Counters,
) {
    let mut batch = vec![first];
    let failure = match run_batch(connection, &mut batch, queue) {
        Ok(()) => {
            counters.commits.fetch_add(1, Relaxed);
            counters.writes.fetch_add(batch.len() as u64, Relaxed);
            None
        }
        Err(failure) => {
            tracing::error!(%failure, writes = batch.len(), "writes to the database were lost");
            roll_back(connection);
            Some(failure)
        }
    };
    for job in batch {
        job.answer(failure.as_ref());
    }
}

/// Fills `batch` from `queue` while it runs. On an error, none of `batch` has happened.
fn run_batch(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job>>,
    queue: &Queue,
) -> Result<(), Unavailable> {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        // Another process would not let go in time. Who waits has waited as long.
        batch.extend(std::iter::from_fn(|| queue.next_waiting()).take(MAX_BATCH));
        return Err(error);
    }
    let mut at = 0;
    while at < batch.len() {
        if batch[at].is_wanted() {
            run_one(connection, batch, at)?;
        }
        at += 1;
        if batch.len() < MAX_BATCH {
            batch.extend(queue.next_waiting());
        }
    }
    execute(connection, "COMMIT")
}

/// Runs the job `at`. Its failure undoes only its own changes.
fn run_one(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job>>,
    at: usize,
) -> Result<(), Unavailable> {
    execute(connection, "SAVEPOINT job")?;
    let succeeded = batch[at].run(connection);
    if connection.is_autocommit() {
        // Some errors, such as a full disk, make SQLite roll back everything. The job that met
        // the error knows best what it was.
        batch.remove(at).answer(None);
        return Err(Unavailable::Abandoned);
    }
    if !succeeded {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(failure) = execute(connection, "ROLLBACK")
    {
        tracing::error!(%failure, "the database did not roll back");
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Unavailable> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]);
    run(sql).map(drop).map_err(|error| Unavailable::Transaction(Arc::new(error)))
}
