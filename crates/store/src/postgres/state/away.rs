//! Why the database did not answer.

use std::sync::Arc;

use countersign_authority::ports::{NotAdmitted, StoreError};
use countersign_protocol::ports::ReplayError;
use thiserror::Error;
use tokio_postgres::{Row, types::FromSql};

/// Why the database did not answer. What it was asked for may have been done, unless nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Away {
    /// There is no connection. Nothing was sent.
    #[error("the database of short-lived state cannot be reached")]
    NoConnection,
    /// Too many requests are under way. Nothing was sent.
    #[error("too many requests wait for the database of short-lived state")]
    Full,
    /// It did not answer in time.
    #[error("the database of short-lived state did not answer in time")]
    Late,
    /// The connection was lost, or the statement refused.
    #[error("the database of short-lived state gave no answer: {0}")]
    Failed(Arc<str>),
    /// An answer that cannot be.
    #[error("the database of short-lived state gave an answer that cannot be")]
    Damaged,
}

impl Away {
    /// Whether it is sure that nothing was done.
    pub(super) const fn is_unsent(&self) -> bool {
        matches!(self, Self::NoConnection | Self::Full)
    }
}

/// The value of a column, which is of a type that the statement says.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, Away> {
    row.try_get(index).map_err(|_| Away::Damaged)
}

impl From<Away> for StoreError {
    fn from(away: Away) -> Self {
        Self::Unavailable(Box::new(away))
    }
}

impl From<Away> for ReplayError {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.to_string().into())
    }
}

impl From<Away> for NotAdmitted {
    fn from(away: Away) -> Self {
        tracing::debug!(%away, "a request could not be counted");
        Self::Unavailable
    }
}
