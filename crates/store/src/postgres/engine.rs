//! The engine: its threads, and how work reaches them.

use std::{future::ready, sync::Arc, time::Duration};

use countersign_authority::ports::{LoginRecord, RecordLoginError, RecordedLogin};
use countersign_protocol::ports::Clock;
use tokio::time::timeout;

use super::{
    beats::Beats,
    changes::Cursors,
    connector::Connector,
    failure::Failure,
    locks,
    login::Ordinary,
    losses::Losses,
    session::Session,
    workers::{Patience, Workers},
};
use crate::{
    InstallationId, Operation, Stored,
    engine::{Engine, Outcome, Reads},
    error::{DbError, JobError, Unavailable},
    job::{self, Job},
    operation::Stopwatch,
    sql::{Alone, Connection},
    threads::JobThreads,
};

/// The engine of a store in a PostgreSQL database. Dropping it finishes the queued writes and ends its
/// threads, which blocks.
pub struct Postgres {
    pub(super) workers: Workers,
    pub(super) connector: Arc<Connector>,
    pub(super) installation: InstallationId,
    pub(super) cursors: Cursors,
    pub(super) beats: Beats,
    pub(super) losses: Losses,
    pub(super) stopwatch: Arc<Stopwatch>,
    /// Whether an administrator's command uses it, which may change as much as it likes.
    pub(super) is_command: bool,
}

/// The store in a PostgreSQL database, which many servers share.
pub type PostgresStore = Stored<Postgres>;

impl Postgres {
    /// From now on calls `report` with the time that each operation took, waiting included. Only the
    /// first call counts.
    pub fn measure(
        &self,
        clock: Arc<dyn Clock>,
        report: impl Fn(Operation, Duration) + Send + Sync + 'static,
    ) {
        self.stopwatch.start(clock, report);
    }

    /// By which it measures, so that the state in the same database can be measured with it.
    pub fn stopwatch(&self) -> Arc<Stopwatch> {
        Arc::clone(&self.stopwatch)
    }

    /// Makes a change that nobody is told of, so that its loss harms nobody.
    pub(super) fn write_what_may_be_lost<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let alone = alone.into();
        let patience = if self.is_command { Patience::Long } else { Patience::of_change(&alone) };
        let locks = locks::of_change(&alone);
        let (job, result) = job::new(move |session: &Session| {
            session.allow(patience.for_work());
            session.begin(&locks)?;
            work(session)
        });
        let answer = ask(&self.workers.writers, job, result, patience);
        Box::pin(self.stopwatch.measured(Operation::Write, answer))
    }

    /// Which installation the database belongs to.
    pub const fn installation(&self) -> InstallationId {
        self.installation
    }
}

impl Engine for Postgres {
    /// Answers when PostgreSQL has committed. Refuses while the server may lose what it acknowledges.
    fn write<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        if let Err(failure) = self.losses.check() {
            return Box::pin(ready(Err(DbError::from(failure).into())));
        }
        self.write_what_may_be_lost(alone, work)
    }

    /// As [`Self::write`]: how full the disks of the database are is not seen from here.
    fn write_growing<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.write(alone, work)
    }

    fn log_in_at_once(
        &self,
        login: &LoginRecord,
    ) -> Option<Outcome<'_, Option<RecordedLogin>, RecordLoginError>> {
        let (ordinary, answer) = Ordinary::new(login)?;
        let recorded = async {
            self.losses.check().map_err(DbError::from)?;
            self.workers.logins.submit(ordinary).map_err(DbError::from)?;
            let answer = timeout(Patience::Usual.time(), answer).await;
            let answer = answer.map_err(|_| DbError::from(Failure::TookTooLong))?;
            let closed = |_| DbError::from(Unavailable::Closed);
            Ok(answer.map_err(closed)?.map_err(DbError::from)?)
        };
        Some(Box::pin(self.stopwatch.measured(Operation::Write, recorded)))
    }

    fn read_from<T, E>(
        &self,
        from: Reads,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        let threads = match from {
            Reads::FewRows => &self.workers.few_rows,
            Reads::Trail => &self.workers.trail,
            Reads::Own => &self.workers.own,
            Reads::Whole => &self.workers.whole,
        };
        let patience = Patience::of_read(from);
        let (job, result) = job::new(move |session: &Session| {
            session.allow(patience.for_work());
            work(session)
        });
        let answer = ask(threads, job, result, patience);
        Box::pin(self.stopwatch.measured(Operation::Read, answer))
    }

    fn installation(&self) -> InstallationId {
        self.installation
    }
}

/// Hands `job` to `threads` and waits for its result, as long as that may take.
async fn ask<T, E: JobError>(
    threads: &JobThreads<Session>,
    job: Box<dyn Job<Session>>,
    result: impl Future<Output = Result<T, E>>,
    patience: Patience,
) -> Result<T, E> {
    threads.submit(job).map_err(DbError::from)?;
    // A job that nobody waits for any more is not begun.
    let result = timeout(patience.time(), result).await;
    result.unwrap_or_else(|_| Err(DbError::from(Failure::TookTooLong).into()))
}
