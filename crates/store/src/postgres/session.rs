//! A connection on a thread of its own, which comes back by itself after it was lost.

use std::{
    cell::{Cell, RefCell},
    io,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use countersign_authority::ports::StoreError;
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tokio_postgres::{
    Error,
    types::{ToSql, Type},
};

use super::{
    connector::Connector,
    failure::{Class, Failure},
    live::Live,
    locks::{self, Lock},
    opening::Opening,
    owed::Owed,
    values::Columns,
};
use crate::{
    Operation,
    error::{DbError, Unavailable},
    sql::{Alone, Bound, Connection, Each, Row, Sql},
};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// How long a connection that is doubted has to answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Settings for statements that look at few rows, each by its key. A plan is made once and serves for long: one that
/// was made when there were hardly any accounts would go through all of them, however many there are by then.
const BY_INDEX: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// A connection, the runtime that drives it, and the job that has it.
pub(super) struct Session {
    connector: Arc<Connector>,
    owed: Arc<Owed>,
    /// Whether acknowledged changes may be lost.
    allows_asynchronous: bool,
    live: RefCell<Option<Live>>,
    had_connection: Cell<bool>,
    /// Ends when the job must have ended.
    patience: RefCell<Option<Pin<Box<Sleep>>>>,
    is_in_transaction: Cell<bool>,
    /// What has failed in the job, if anything has.
    trouble: Cell<Option<Class>>,
    /// Last, because the connection needs it when it is dropped.
    runtime: RefCell<Runtime>,
}

impl Session {
    /// A session without a connection yet. It shares with others of its kind what is `owed` to them.
    pub(super) fn new(
        connector: Arc<Connector>,
        owed: Arc<Owed>,
        allows_asynchronous: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            connector,
            owed,
            allows_asynchronous,
            live: RefCell::new(None),
            had_connection: Cell::new(false),
            patience: RefCell::new(None),
            is_in_transaction: Cell::new(false),
            trouble: Cell::new(None),
            runtime: RefCell::new(runtime()?),
        })
    }

    /// Gives the next job that much time, beginning now.
    pub(super) fn allow(&self, time: Duration) {
        let runtime = self.runtime.borrow();
        let _entered = runtime.enter();
        *self.patience.borrow_mut() = Some(Box::pin(sleep(time)));
    }

    /// A monotonic time.
    pub(super) fn now(&self) -> Duration {
        let runtime = self.runtime.borrow();
        let _entered = runtime.enter();
        self.connector.up_for()
    }

    /// Sees that there is a connection.
    pub(super) fn be_ready(&self) -> Result<(), Failure> {
        let found = match self.live.borrow().as_ref() {
            Some(live) => self.runtime.borrow().block_on(self.look_at(live)),
            None => Found::OfNoUse,
        };
        match found {
            Found::Good => return Ok(()),
            Found::OfNoUse => self.close(),
            Found::Silent => self.leave(),
        }
        self.connector.check()?;
        let stopwatch = &self.connector.stopwatch;
        let begun = stopwatch.begin();
        let live = self.connect()?;
        if self.had_connection.replace(true) {
            stopwatch.end(Operation::Reconnect, begun);
        }
        *self.live.borrow_mut() = Some(live);
        Ok(())
    }

    /// Connects to a server that does not owe too many answers.
    fn connect(&self) -> Result<Live, Failure> {
        let is_spared = |server| self.owed.is_too_much(server);
        let owes = || Failure::Away("it owes answers to all that was asked last".into());
        let is_looking = is_spared(self.connector.first());
        let _turn = if is_looking { Some(self.owed.look().ok_or_else(owes)?) } else { None };
        let connecting = self.connector.connect_unless(is_spared);
        self.runtime
            .borrow()
            .block_on(connecting)
            .map_err(|error| if is_looking { owes() } else { self.connector.went_away(&error) })
    }

    /// Whether a connection may be used.
    async fn look_at(&self, live: &Live) -> Found {
        // The runtime sees what has arrived, and the connection that the server has closed it.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        if live.is_closed() || !self.connector.is_current(&live.since) {
            return Found::OfNoUse;
        }
        let doubts = self.connector.doubts();
        if live.since.doubts.get() != doubts {
            match timeout(ANSWER, live.batch("")).await {
                Ok(Ok(())) => live.since.doubts.set(doubts),
                Ok(Err(_)) => return Found::OfNoUse,
                Err(_) => return Found::Silent,
            }
        }
        Found::Good
    }

    /// What has failed since this was last asked.
    pub(super) fn take_trouble(&self) -> Option<Class> {
        self.trouble.take()
    }

    /// Begins a transaction with `locks`, in one round trip.
    pub(super) fn begin(&self, locks: &[Lock]) -> Result<(), DbError> {
        let opening = self.opening(locks, &[]);
        let (select, values) = (&opening.select, opening.bound());
        self.is_in_transaction.set(true);
        self.run(async |live| {
            let (begun, locked) =
                tokio::join!(biased; live.batch(BEGIN), live.query(select, &values));
            begun.and(locked)
        })?;
        Ok(())
    }

    fn opening(&self, locks: &[Lock], more: &[(&'static str, &'static str)]) -> Opening<'_> {
        let administrator = self.connector.administrator.as_ref();
        Opening::new(administrator, !self.allows_asynchronous, locks, more)
    }

    /// Commits.
    ///
    /// # Errors
    /// [`Failure::Refused`] when nothing was kept, [`Failure::Unknown`] when nobody knows. The class of the
    /// trouble is noted.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.is_in_transaction.set(false);
        self.take_warning();
        let committed = self.run(async |live| live.batch("COMMIT").await);
        self.sure(committed)
    }

    /// What was committed, if that is sure.
    fn sure<T>(&self, committed: Result<T, Failure>) -> Result<T, Failure> {
        let unknown = |reason: &str| {
            self.close();
            Failure::Unknown(reason.into())
        };
        match committed {
            // It has stopped waiting for its standby.
            Ok(_) if self.take_warning() => Err(unknown("it warned of something")),
            Ok(value) => Ok(value),
            Err(failure)
                if matches!(self.trouble.get(), Some(Class::Contended | Class::Refused)) =>
            {
                Err(failure)
            }
            Err(failure) => {
                self.trouble.set(None);
                Err(unknown(&failure.to_string()))
            }
        }
    }

    /// Runs one statement in a transaction of its own, in one round trip: when this returns, it is durable.
    ///
    /// # Errors
    /// As [`Self::commit`]. The class of the trouble is noted if nothing was kept.
    pub(super) fn at_once(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), DbError>,
    ) -> Result<(), Failure> {
        self.take_warning();
        let opening = self.opening(&locks::of_change(&[]), &BY_INDEX);
        let (select, values) = (&opening.select, opening.bound());
        let done = self.run(async |live| {
            // Known before, since what is sent at once must be sent in its order.
            live.prepare(select, &values).await?;
            let statement = live.native(sql, params).await?;
            let (begun, opened, rows, committed) = tokio::join!(
                biased;
                live.batch(BEGIN),
                live.query(select, &values),
                statement.query(),
                live.batch("COMMIT")
            );
            // After an error the server undoes what it is told to commit.
            begun.and(opened).and(rows).and_then(|rows| committed.map(|()| rows))
        });
        let rows = self.sure(done)?;
        rows.iter()
            .try_for_each(|row| each(&Row::new(&Columns(row))))
            .map_err(|error| Failure::Unknown(StoreError::from(error).to_string().into()))
    }

    fn take_warning(&self) -> bool {
        self.live.borrow().as_ref().is_some_and(Live::take_warning)
    }

    /// Undoes the transaction, if there is one. If that fails, the server undoes it when it finds the
    /// connection closed.
    pub(super) fn roll_back(&self) {
        if self.is_in_transaction.replace(false)
            && self.live.borrow().is_some()
            && self.run(async |live| live.batch("ROLLBACK").await).is_err()
        {
            self.close();
        }
    }

    /// Runs statements in the time that is left for the job. When that has passed, the connection is given up:
    /// nothing is cancelled, because to cancel a commit is to acknowledge it.
    fn run<T>(&self, work: impl AsyncFnOnce(&Live) -> Result<T, Error>) -> Result<T, Failure> {
        let done = {
            let live = self.live.borrow();
            let Some(live) = live.as_ref() else {
                return Err(Failure::Lost("it was closed before".into()));
            };
            let mut patience = self.patience.borrow_mut();
            self.runtime.borrow().block_on(async {
                let Some(patience) = patience.as_mut() else { return Some(work(live).await) };
                tokio::select! {
                    biased;
                    done = work(live) => Some(done),
                    () = patience.as_mut() => None,
                }
            })
        };
        let (class, failure) = match done {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => {
                let class = Class::of(&error);
                (class, class.failure(&error))
            }
            None => (Class::Late, Failure::Late),
        };
        self.note(class);
        Err(failure)
    }

    fn note(&self, class: Class) {
        if self.trouble.get().is_none_or(|known| !known.ends_connection()) {
            self.trouble.set(Some(class));
        }
        if class.ends_connection() {
            let generation = self.live.borrow().as_ref().map(|live| live.since.generation);
            match (class, generation) {
                (Class::Gone, Some(generation)) => self.connector.give_up(generation),
                (Class::Late, _) => self.connector.doubt(),
                _ => {}
            }
            if class == Class::Late {
                self.leave();
            } else {
                self.close();
            }
        }
    }

    /// Gives up the connection, if there is one, whose server owes an answer. It stays until that comes, together
    /// with the runtime that drives it. This session goes on with another one.
    fn leave(&self) {
        let Some(live) = self.live.take() else { return };
        let Ok(next) = runtime() else {
            self.runtime.borrow().block_on(live.close());
            return;
        };
        let deadline = self.patience.take().map(|patience| patience.deadline());
        *self.patience.borrow_mut() = deadline.map(|deadline: Instant| {
            let _entered = next.enter();
            Box::pin(sleep_until(deadline))
        });
        let driving = self.runtime.replace(next);
        self.owed.keep(live, driving, Arc::clone(&self.connector));
    }

    /// Closes the connection, if there is one.
    fn close(&self) {
        if let Some(live) = self.live.take() {
            self.runtime.borrow().block_on(live.close());
        }
    }
}

/// What a connection is good for.
enum Found {
    Good,
    /// Its server owes no answer to it.
    OfNoUse,
    /// It was asked, and has not answered.
    Silent,
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

impl From<Failure> for DbError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(Unavailable::Postgres(failure))
    }
}

impl Sql for Session {
    fn execute(&self, sql: &str, values: &[Bound<'_>]) -> Result<usize, DbError> {
        let changed = self.run(async |live| live.execute(sql, values).await)?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn query(&self, sql: &str, values: &[Bound<'_>], each: Each<'_>) -> Result<(), DbError> {
        // All of them first: what is done with a row may be another query.
        let rows = self.run(async |live| live.query(sql, values).await)?;
        for row in &rows {
            if let ControlFlow::Break(()) = each(&Row::new(&Columns(row)))? {
                break;
            }
        }
        Ok(())
    }

    fn alone_with(&self, alone: Alone) -> Result<(), DbError> {
        let lock = Lock::alone(alone);
        let select = format!("SELECT {}", lock.sql());
        let values = [Bound::Int(Some(lock.number))];
        self.run(async |live| live.query(&select, &values).await)?;
        Ok(())
    }

    fn at_one_moment(
        &self,
        queries: &mut dyn FnMut(&Connection) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        if self.is_in_transaction.replace(true) {
            return queries(self);
        }
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let read = self.run(async |live| live.batch(begin).await).map_err(DbError::from);
        let read = read.and_then(|()| queries(self));
        // Nothing was changed.
        self.roll_back();
        read
    }
}
