//! Work for a database thread, and the way its result comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{DbError, Unavailable};

/// A piece of work with a caller who waits for its result.
pub(super) trait Job: Send {
    /// Whether the caller still waits.
    fn is_wanted(&self) -> bool;

    /// Does the work. `true` when it succeeded, so that its changes are to be kept. A panic counts
    /// as a failure.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Gives the caller the result, or `failure` in its place.
    fn answer(self: Box<Self>, failure: Option<&Unavailable>);
}

/// A job, and the future of its result.
pub(super) fn new<T, E>(
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
) -> (Box<dyn Job>, impl Future<Output = Result<T, E>> + Send)
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (reply, result) = oneshot::channel();
    let job = Box::new(Pending { work: Some(work), result: None, reply });
    let result = async {
        // The thread answers every job that it takes; this is for one that it never took.
        result.await.unwrap_or_else(|_| Err(DbError::from(Unavailable::Closed).into()))
    };
    (job, result)
}

struct Pending<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Pending<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        // The connection may be used after a panic: whatever the job did to it is rolled back.
        self.result = catch_unwind(AssertUnwindSafe(|| work(connection))).ok();
        if self.result.is_none() {
            tracing::error!("a database job panicked");
        }
        self.result.as_ref().is_some_and(Result::is_ok)
    }

    fn answer(self: Box<Self>, failure: Option<&Unavailable>) {
        let result = match (failure, self.result) {
            (Some(failure), _) => Err(DbError::from(failure.clone()).into()),
            (None, Some(result)) => result,
            (None, None) => Err(DbError::from(Unavailable::Panicked).into()),
        };
        // A caller who went away in the meantime wants no answer.
        let _: Result<_, _> = self.reply.send(result);
    }
}
