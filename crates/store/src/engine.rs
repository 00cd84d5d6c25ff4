//! What runs the work of a store.

use std::pin::Pin;

use countersign_authority::ports::{LoginRecord, RecordLoginError, RecordedLogin};

use crate::{
    error::JobError,
    installation_id::InstallationId,
    sql::{Alone, Connection},
};

/// The result of a piece of work, when it is there.
pub(crate) type Outcome<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What runs the work of a store: the threads of a database. When a change returns an error, nothing of it is
/// kept. It may be undone and run again.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Makes a change, in a transaction.
    fn write<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError;

    /// The same for changes that strangers can cause without limit. Fails when little of the disk is left.
    fn write_growing<T, E>(
        &self,
        alone: impl Into<Vec<Alone>>,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError;

    /// Records an ordinary login by itself, where this engine is quicker than the rules are. `None` is the
    /// answer where it is not ordinary: then nothing has changed.
    fn log_in_at_once(
        &self,
        _login: &LoginRecord,
    ) -> Option<Outcome<'_, Option<RecordedLogin>, RecordLoginError>> {
        None
    }

    /// Runs queries.
    fn read_from<T, E>(
        &self,
        from: Reads,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError;

    /// Runs queries that look at few rows, whatever a client asks.
    fn read<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_from(Reads::FewRows, work)
    }

    /// Runs queries on the audit trail.
    fn read_trail<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_from(Reads::Trail, work)
    }

    /// Runs queries for the server's own safety.
    fn read_own<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_from(Reads::Own, work)
    }

    /// Runs queries on whole tables.
    fn read_whole<T, E>(
        &self,
        work: impl Fn(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Outcome<'_, T, E>
    where
        T: Send + 'static,
        E: JobError,
    {
        self.read_from(Reads::Whole, work)
    }

    /// Which installation the database belongs to.
    fn installation(&self) -> InstallationId;
}

/// The kinds of reads, which do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Of few rows, whatever a client asks.
    FewRows,
    /// Of the audit trail, as much of it as one page is made of.
    Trail,
    /// Of whole tables, which can have millions of rows. Nobody waits for them but housekeeping and
    /// administrators.
    Whole,
    /// Of what the server reads for its own safety, such as what administrators have revoked.
    Own,
}
