//! Work for a database thread, and the way its result comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::error::{DbError, JobError, Unavailable};

/// A piece of work on a connection of type `C`, with a caller who waits for its result.
pub(crate) trait Job<C>: Send {
    /// Whether the caller still waits.
    fn is_wanted(&self) -> bool;

    /// Does the work. If it is called again, the first run has been rolled back and its result is
    /// discarded.
    fn run(&mut self, connection: &C) -> Outcome;

    /// Gives the caller the result, or `failure` in its place.
    fn answer(self: Box<Self>, failure: Option<&Unavailable>);
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its changes are to be kept.
    Done,
    /// It found that a rule is broken. Its changes must be rolled back.
    Refused,
    /// The database failed, or the job panicked. Its changes are unknown and must be rolled back.
    Failed,
}

/// A job, and the future of its result.
pub(crate) fn new<C, T, E>(
    work: impl Fn(&C) -> Result<T, E> + Send + 'static,
) -> (Box<dyn Job<C>>, impl Future<Output = Result<T, E>> + Send)
where
    C: 'static,
    T: Send + 'static,
    E: JobError,
{
    let (reply, result) = oneshot::channel();
    let job = Box::new(Pending { work, result: None, reply });
    let result = async {
        // The thread answers every job that it takes. This answers a job that it never took.
        result.await.unwrap_or_else(|_| Err(DbError::from(Unavailable::Closed).into()))
    };
    (job, result)
}

struct Pending<F, T, E> {
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<C, F, T, E> Job<C> for Pending<F, T, E>
where
    F: Fn(&C) -> Result<T, E> + Send,
    T: Send,
    E: JobError,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, connection: &C) -> Outcome {
        // The connection may be used after a panic: the job's changes are rolled back.
        self.result = catch_unwind(AssertUnwindSafe(|| (self.work)(connection))).ok();
        match &self.result {
            Some(Ok(_)) => Outcome::Done,
            Some(Err(error)) if error.is_refusal() => Outcome::Refused,
            Some(Err(_)) => Outcome::Failed,
            None => {
                tracing::error!("a database job panicked");
                Outcome::Failed
            }
        }
    }

    fn answer(self: Box<Self>, failure: Option<&Unavailable>) {
        let result = match (failure, self.result) {
            (Some(failure), _) => Err(DbError::from(failure.clone()).into()),
            (None, Some(result)) => result,
            (None, None) => Err(DbError::from(Unavailable::Panicked).into()),
        };
        // A caller that has gone away needs no answer.
        let _: Result<_, _> = self.reply.send(result);
    }
}
