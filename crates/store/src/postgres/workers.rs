//! The threads that work on the database, each with a session of its own.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::runtime::Builder;

use super::{
    connector::Connector,
    failed_writes::FailedWrites,
    failure::{Class, Failure},
    login::{self, Ordinary},
    options::PostgresOptions,
    owed::Owed,
    session::Session,
};
use crate::{
    engine::Reads,
    error::Unavailable,
    job::{Job, Outcome},
    sql::Alone,
    threads::{JobQueue, JobThreads, Queue, Threads},
};

/// How often a job is run at most, if others get in its way or connections break.
const ATTEMPTS: u32 = 4;

/// How long work may take, from when somebody asks for it until its caller is told that it took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A change, or a page of the audit trail.
    Usual,
    /// A read of few rows.
    Short,
    /// What looks at whole tables, or removes what has outlived its use.
    Long,
}

impl Patience {
    /// The time.
    pub(super) const fn time(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(1),
            Self::Usual => Duration::from_secs(2),
            Self::Long => Duration::from_secs(30),
        }
    }

    /// The part of it that a thread has for the work: less than all, so that it is the thread that gives the
    /// connection up, and its caller hears why.
    pub(super) const fn for_work(self) -> Duration {
        self.time().saturating_sub(Duration::from_millis(200))
    }

    /// For a read.
    pub(super) const fn of_read(reads: Reads) -> Self {
        match reads {
            Reads::FewRows | Reads::Own => Self::Short,
            Reads::Trail => Self::Usual,
            Reads::Whole => Self::Long,
        }
    }

    /// For a change.
    pub(super) fn of_change(alone: &[Alone]) -> Self {
        if alone.contains(&Alone::Upkeep) { Self::Long } else { Self::Usual }
    }
}

/// How many threads record ordinary logins: one does while the other's commit is on its way to the disk.
const LOGIN_THREADS: usize = 2;
/// How many threads read apart from those that read few rows.
const OTHER_READERS: usize = 3;

/// The threads, apart by what waits for what.
pub(super) struct Workers {
    pub(super) writers: JobThreads<Session>,
    pub(super) few_rows: JobThreads<Session>,
    pub(super) trail: JobThreads<Session>,
    pub(super) own: JobThreads<Session>,
    pub(super) whole: JobThreads<Session>,
    pub(super) logins: Threads<Ordinary>,
    pub(super) failed_writes: Arc<FailedWrites>,
    // Last: it ends when the others have ended.
    _returning: Returning,
}

impl Workers {
    /// Starts them. Connections are made when they are needed.
    pub(super) fn start(connector: &Arc<Connector>, options: &PostgresOptions) -> io::Result<Self> {
        let sessions = |count: usize, owed: &Arc<Owed>| {
            let session = |_| {
                Session::new(Arc::clone(connector), Arc::clone(owed), options.allow_asynchronous)
            };
            (0..count).map(session).collect::<io::Result<Vec<_>>>()
        };
        let (writers, readers) = (options.writers.max(1), options.readers.max(1));
        let owed_to = |threads| Owed::new(connector.servers(), threads);
        let (to_changes, to_reads) =
            (owed_to(writers + LOGIN_THREADS), owed_to(readers + OTHER_READERS));
        let failed_writes = Arc::new(FailedWrites::default());
        let writer = |session: Session| {
            let failed_writes = Arc::clone(&failed_writes);
            move |queue: &JobQueue<Session>| serve_writes(&session, queue, &failed_writes)
        };
        let reading = |name, count| {
            let reader =
                |session: Session| move |queue: &JobQueue<Session>| serve_reads(&session, queue);
            Threads::start(
                name,
                options.read_queue,
                sessions(count, &to_reads)?.into_iter().map(reader),
            )
        };
        let writers = sessions(writers, &to_changes)?.into_iter().map(writer);
        let logins = sessions(LOGIN_THREADS, &to_changes)?.into_iter().map(|session: Session| {
            let failed = Arc::clone(&failed_writes);
            move |queue: &Queue<Ordinary>| {
                login::serve(&session, queue, Patience::Usual.time(), &failed);
            }
        });
        Ok(Self {
            logins: Threads::start("postgres-login", options.write_queue, logins)?,
            writers: Threads::start("postgres-writer", options.write_queue, writers)?,
            few_rows: reading("postgres-reader", readers)?,
            trail: reading("postgres-trail", 1)?,
            own: reading("postgres-own", 1)?,
            whole: reading("postgres-whole", 1)?,
            failed_writes,
            _returning: Returning::start(Arc::clone(connector))?,
        })
    }
}

/// The thread that tries to connect while the database is away.
struct Returning {
    connector: Arc<Connector>,
    thread: Option<JoinHandle<()>>,
}

impl Returning {
    fn start(connector: Arc<Connector>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&connector);
        let work = move || runtime.block_on(shared.bring_back());
        let thread = thread::Builder::new().name("postgres-return".to_owned()).spawn(work)?;
        Ok(Self { connector, thread: Some(thread) })
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.connector.close();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, there is nothing to wait for.
            let _: Result<_, _> = thread.join();
        }
    }
}

fn serve_writes(session: &Session, queue: &JobQueue<Session>, failed: &FailedWrites) {
    while let Some(mut job) = queue.next() {
        if !job.is_wanted() {
            continue;
        }
        let failure = write(session, &mut *job, failed);
        if let Some(failure) = &failure {
            failed.failed(failure, session.now());
        }
        job.answer(failure.map(Unavailable::from).as_ref());
    }
}

/// Runs `job` in a transaction and commits. Returns why it was not kept, unless the job knows.
fn write(session: &Session, job: &mut dyn Job<Session>, failed: &FailedWrites) -> Option<Failure> {
    let mut attempts = 0;
    loop {
        if let Err(failure) = session.be_ready() {
            return Some(failure);
        }
        let (failure, trouble) = write_once(session, job, failed);
        attempts += 1;
        let may_pass = trouble.is_some_and(Class::is_passing) && job.is_wanted();
        if attempts == ATTEMPTS || !may_pass {
            return failure;
        }
    }
}

/// Why it was not kept, unless the job knows; and what has failed.
fn write_once(
    session: &Session,
    job: &mut dyn Job<Session>,
    failed: &FailedWrites,
) -> (Option<Failure>, Option<Class>) {
    let outcome = job.run(session);
    let trouble = session.take_trouble();
    let failure = match (outcome, trouble) {
        (Outcome::Done, None) => match session.commit() {
            Ok(()) => {
                failed.kept(|| session.now());
                return (None, None);
            }
            Err(failure) => Some(failure),
        },
        (Outcome::Done, Some(_)) => Some(Failure::Spoiled),
        (Outcome::Refused | Outcome::Failed, _) => None,
    };
    let trouble = trouble.or_else(|| session.take_trouble());
    session.roll_back();
    // Whatever failed there is settled: the connection is closed then.
    session.take_trouble();
    (failure, trouble)
}

fn serve_reads(session: &Session, queue: &JobQueue<Session>) {
    while let Some(mut job) = queue.next() {
        if job.is_wanted() {
            let failure = read(session, &mut *job);
            job.answer(failure.map(Unavailable::from).as_ref());
        }
    }
}

/// Runs `job`, which changes nothing.
fn read(session: &Session, job: &mut dyn Job<Session>) -> Option<Failure> {
    for _ in 0..ATTEMPTS {
        if let Err(failure) = session.be_ready() {
            return Some(failure);
        }
        job.run(session);
        // A job that panicked may have left one.
        session.roll_back();
        if !(session.take_trouble().is_some_and(Class::is_passing) && job.is_wanted()) {
            break;
        }
    }
    None
}
