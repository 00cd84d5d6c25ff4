//! Why PostgreSQL did not do something, and what may be done about it.

use std::{error::Error as _, io, sync::Arc};

use thiserror::Error;
use tokio_postgres::{Error, error::SqlState};

/// Why the database did not do something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    /// No connection can be made.
    #[error("the database cannot be reached: {0}")]
    Away(Arc<str>),
    /// The connection broke before anything was kept.
    #[error("the connection to the database was lost: {0}")]
    Lost(Arc<str>),
    /// A statement took too long. What it did before is undone.
    #[error("the database did not answer in time")]
    Late,
    /// The caller has waited long enough. What it asked for may still be done.
    #[error("the database took too long; it may have done what it was asked for")]
    TookTooLong,
    /// The commit was sent, and its answer did not come.
    #[error("the database did not say whether it kept the change: {0}")]
    Unknown(Arc<str>),
    /// A statement was refused.
    #[error("the database refused: {0}")]
    Refused(Arc<str>),
    /// The server might not keep it. Nothing was done.
    #[error("acknowledged changes could be lost when the database server fails: {0}")]
    WouldBeLost(&'static str),
    /// A statement failed, and the change wanted to go on.
    #[error("a change went on after a statement had failed")]
    Spoiled,
}

/// What a failure means for the connection, and for the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Another change was in the way. Run again, this one may pass.
    Contended,
    /// The connection is of no use any more.
    Lost,
    /// No connection to that server is.
    Gone,
    /// It did not answer in time.
    Late,
    /// The statement was refused.
    Refused,
}

impl Class {
    /// Whether the change may be run again: nothing of it was kept, and it may come to something.
    pub(super) const fn is_passing(self) -> bool {
        matches!(self, Self::Contended | Self::Lost | Self::Gone)
    }

    /// Whether the connection must not be used again.
    pub(super) const fn ends_connection(self) -> bool {
        matches!(self, Self::Lost | Self::Gone | Self::Late)
    }

    /// The class of a failed statement.
    pub(super) fn of(error: &Error) -> Self {
        let Some(code) = error.code() else {
            let is_io = error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>);
            return if error.is_closed() || is_io { Self::Gone } else { Self::Lost };
        };
        Self::of_state(code)
    }

    fn of_state(code: &SqlState) -> Self {
        if code.code().starts_with("08") {
            return Self::Gone;
        }
        match *code {
            SqlState::READ_ONLY_SQL_TRANSACTION
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::DATABASE_DROPPED => Self::Gone,
            // The last two: a rule looked first, and somebody else was quicker. It looks again.
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::UNIQUE_VIOLATION
            | SqlState::FOREIGN_KEY_VIOLATION => Self::Contended,
            // What was prepared is unknown to the server, or has another shape now.
            SqlState::INVALID_SQL_STATEMENT_NAME
            | SqlState::FEATURE_NOT_SUPPORTED
            | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            | SqlState::IDLE_SESSION_TIMEOUT => Self::Lost,
            _ => Self::Refused,
        }
    }

    /// The failure of a statement of this class, before a commit.
    pub(super) fn failure(self, error: &Error) -> Failure {
        match self {
            Self::Contended | Self::Refused => Failure::Refused(said(error).into()),
            Self::Lost | Self::Gone => Failure::Lost(said(error).into()),
            Self::Late => Failure::Late,
        }
    }
}

/// What went wrong, in one line. The details of PostgreSQL are left out, because they quote rows.
pub(super) fn said(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_takes_no_writes_any_more_ends_all_connections() {
        for code in ["25006", "57P01", "57P02", "57P03", "08000", "08003", "08006", "08P01"] {
            assert_eq!(Class::of_state(&SqlState::from_code(code)), Class::Gone, "{code}");
        }
    }

    #[test]
    fn what_another_change_caused_is_tried_again() {
        for (code, is_passing) in
            [("40001", true), ("40P01", true), ("23505", true), ("55P03", false), ("42703", false)]
        {
            assert_eq!(
                Class::of_state(&SqlState::from_code(code)).is_passing(),
                is_passing,
                "{code}"
            );
        }
    }
}
