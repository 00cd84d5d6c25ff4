//! The one thread that writes: group commit.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    connection::data_version,
    error::Unavailable,
    job::{Job, Outcome},
    place::Place,
    serving,
    threads::{JobQueue, JobThreads, Threads},
};

/// At most this many jobs share a transaction, which bounds how long the first of them waits.
const MAX_BATCH: usize = 512;
/// At most this many calls of `sched_yield` before a commit. Each lasts a few milliseconds at
/// worst.
const MAX_PAUSES: usize = 4;

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

/// The writer thread and its queue.
pub(super) struct Writer {
    threads: JobThreads<Connection>,
    counters: Arc<Counters>,
    held: watch::Receiver<HeldVersion>,
    /// The transaction that answered the last look, and how many it has answered.
    looks: Mutex<(u64, u32)>,
}

/// The version of the database while a transaction keeps everybody else from writing.
type HeldVersion = Option<Held>;

/// Such a version.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// SQLite's `data_version`.
    version: u64,
    /// Another one for each transaction.
    transaction: u64,
}

/// How many looks one transaction answers. At its end SQLite may fold the log, for as long as the disk
/// likes, and then others can write already: what they write must not stay unseen for that long.
const MAX_LOOKS: u32 = 20;

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    failures: AtomicU64,
    writes: AtomicU64,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        place: Arc<Place>,
        capacity: usize,
        is_server: bool,
    ) -> io::Result<Self> {
        Self::giving_way(connection, place, capacity, is_server, thread::yield_now)
    }

    /// The same, with another way to let others run.
    fn giving_way(
        connection: Connection,
        place: Arc<Place>,
        capacity: usize,
        is_server: bool,
        give_way: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let (hold, held) = watch::channel(None);
        let serve = move |queue: &JobQueue<Connection>| {
            let counters = &*shared;
            let mut transactions = Transactions {
                connection,
                place,
                queue,
                give_way,
                counters,
                hold,
                transaction: Cell::new(1),
                in_company: false,
            };
            while let Some(job) = queue.next() {
                transactions.commit_together(job);
            }
            if is_server {
                let Transactions { connection, place, .. } = &transactions;
                serving::settle(connection, place.check().is_ok());
            }
        };
        let threads = Threads::start("sqlite-writer", capacity, [serve])?;
        Ok(Self { threads, counters, held, looks: Mutex::default() })
    }

    /// Queues `job`, without waiting.
    pub(super) fn submit(&self, job: Box<dyn Job<Connection>>) -> Result<(), Unavailable> {
        self.threads.submit(job)
    }

    /// The version of the database, as soon as nobody else can write. One transaction answers [`MAX_LOOKS`]
    /// times.
    pub(super) async fn held_version(&self) -> Option<u64> {
        let mut held = self.held.clone();
        let held = held.wait_for(|held| held.is_some_and(|held| self.answers(held))).await;
        held.ok().and_then(|held| held.map(|held| held.version))
    }

    fn answers(&self, held: Held) -> bool {
        let mut looks = self.looks.lock();
        let answered = if looks.0 == held.transaction { looks.1 } else { 0 };
        *looks = (held.transaction, answered.saturating_add(1));
        answered < MAX_LOOKS
    }

    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            commits: self.counters.commits.load(Relaxed),
            failures: self.counters.failures.load(Relaxed),
            writes: self.counters.writes.load(Relaxed),
        }
    }
}

/// What the writer thread works with.
struct Transactions<'a, Y> {
    connection: Connection,
    place: Arc<Place>,
    queue: &'a JobQueue<Connection>,
    /// Lets other threads run that wait for the processor. Returns at once if there are none.
    give_way: Y,
    counters: &'a Counters,
    hold: watch::Sender<HeldVersion>,
    /// The number of the next transaction.
    transaction: Cell<u64>,
    /// Whether more than one write shared the last transaction.
    in_company: bool,
}

impl<Y: Fn()> Transactions<'_, Y> {
    /// Runs `first` and the jobs queued behind it in one transaction, commits, and only then
    /// answers.
    fn commit_together(&mut self, first: Box<dyn Job<Connection>>) {
        let mut batch = vec![first];
        let failure = match self.run_batch(&mut batch) {
            Ok(()) => {
                self.counters.commits.fetch_add(1, Relaxed);
                self.counters.writes.fetch_add(batch.len() as u64, Relaxed);
                None
            }
            Err(failure) => {
                self.counters.failures.fetch_add(1, Relaxed);
                tracing::error!(%failure, writes = batch.len(), "writes to the database were lost");
                roll_back(&self.connection);
                Some(failure)
            }
        };
        self.hold.send_replace(None);
        self.in_company = batch.len() > 1;
        for job in batch {
            job.answer(failure.as_ref());
        }
    }

    /// Fills `batch` from the queue while it runs. On an error, none of `batch` has happened.
    ///
    /// With savepoints SQLite copies each page before each job that changes it, and jobs hardly
    /// ever fail after a change. So savepoints are used only after such a failure: the transaction
    /// is rolled back and all jobs run again, with savepoints.
    fn run_batch(&self, batch: &mut Vec<Box<dyn Job<Connection>>>) -> Result<(), Unavailable> {
        if let Err(error) = execute(&self.connection, "BEGIN IMMEDIATE") {
            // Another process held the lock for too long. The queued jobs have waited just as long.
            batch.extend(std::iter::from_fn(|| self.queue.next_waiting()).take(MAX_BATCH));
            return Err(error);
        }
        self.hold_version();
        let before = self.connection.total_changes();
        let (mut run_one, mut at, mut pauses): (RunOne, _, _) = (run_bare, 0, 0);
        while at < batch.len() {
            if batch[at].is_wanted() && run_one(&self.connection, batch, at)? == After::Spoiled {
                self.hold.send_replace(None);
                execute(&self.connection, "ROLLBACK")?;
                execute(&self.connection, "BEGIN IMMEDIATE")?;
                self.hold_version();
                (run_one, at) = (run_in_savepoint, 0);
                continue;
            }
            at += 1;
            if batch.len() < MAX_BATCH {
                batch.extend(self.queue.next_waiting());
            }
            if at == batch.len() && pauses < MAX_PAUSES && self.expects_more(at) {
                pauses += 1;
                (self.give_way)();
                batch.extend(self.queue.next_waiting());
            }
        }
        if self.connection.total_changes() != before {
            self.place.check()?;
        }
        execute(&self.connection, "COMMIT")
    }

    /// Tells which version of the database the transaction has, which nobody else changes until it ends.
    fn hold_version(&self) {
        let version = data_version(&self.connection).ok();
        let transaction = self.transaction.replace(self.transaction.get().wrapping_add(1));
        self.hold.send_replace(version.map(|version| Held { version, transaction }));
    }

    /// Whether a transaction of this many writes yields before it commits. Threads that wait for
    /// the processor may be about to write, and one commit costs as much for many writes as for
    /// one. A lone write does not yield, because it would only wait for whatever else the machine
    /// does.
    const fn expects_more(&self, writes: usize) -> bool {
        writes < MAX_BATCH && (writes > 1 || self.in_company)
    }
}

/// The state of the transaction after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It has the changes of successful jobs only.
    Sound,
    /// It also has changes of a job that failed.
    Spoiled,
}

type RunOne =
    fn(&Connection, &mut Vec<Box<dyn Job<Connection>>>, usize) -> Result<After, Unavailable>;

/// Runs the job `at`, and keeps its changes.
fn run_bare(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job<Connection>>>,
    at: usize,
) -> Result<After, Unavailable> {
    let before = connection.total_changes();
    let outcome = batch[at].run(connection);
    check_transaction(connection, batch, at)?;
    Ok(match outcome {
        Outcome::Done => After::Sound,
        Outcome::Refused if connection.total_changes() == before => After::Sound,
        Outcome::Refused | Outcome::Failed => After::Spoiled,
    })
}

/// Runs the job `at`. Its failure undoes only its own changes.
fn run_in_savepoint(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job<Connection>>>,
    at: usize,
) -> Result<After, Unavailable> {
    execute(connection, "SAVEPOINT job")?;
    let outcome = batch[at].run(connection);
    check_transaction(connection, batch, at)?;
    if outcome != Outcome::Done {
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")?;
    Ok(After::Sound)
}

/// Some errors, such as a full disk, make SQLite roll back everything. The job `at` met the error
/// and reports it; the others are told that they were rolled back.
fn check_transaction(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job<Connection>>>,
    at: usize,
) -> Result<(), Unavailable> {
    if connection.is_autocommit() {
        batch.remove(at).answer(None);
        return Err(Unavailable::Abandoned);
    }
    Ok(())
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

#[cfg(test)]
mod tests;
