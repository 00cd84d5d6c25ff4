//! Errors between a database thread and its caller.

use std::sync::Arc;

use countersign_authority::ports::{
    AddCredentialError, AddPasskeyError, ChangeKeyringError, ChangeSigningKeysError,
    CreateAccountError, CreatePasswordAccountError, DeleteKeyringError, OpenKeyringError,
    RecordLoginError, RecoverError, RenameCredentialError, RevokeCredentialError, RoomKept,
    SignInError, StoreError, StoreKeyringError, UsePasskeyError, WouldBeLost,
};
use thiserror::Error;

use crate::{
    postgres::Failure,
    sqlite::{Misplaced, disk},
};

/// Why a job has no result of its own.
#[derive(Debug)]
pub(crate) enum DbError {
    /// A value that this program never writes.
    Corrupt { table: &'static str, column: &'static str, reason: String },
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// The job was not done, or undone.
    Unavailable(Unavailable),
}

/// Why a job was not done. Cloned for everybody who shared the transaction.
#[derive(Clone, Debug, Error)]
pub(crate) enum Unavailable {
    /// The transaction did not begin or did not commit.
    #[error("the transaction failed: {}", with_remedy(.0))]
    Transaction(#[source] Arc<rusqlite::Error>),
    /// SQLite refused a job, and the disk is to blame.
    #[error("{}", with_remedy(.0))]
    Disk(#[source] Arc<rusqlite::Error>),
    /// SQLite gave up the whole transaction because of another job in it.
    #[error("another write in the same transaction made the database give it up")]
    Abandoned,
    /// The database is no longer where it was.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// PostgreSQL did not do it.
    #[error(transparent)]
    Postgres(#[from] Failure),
    /// The rest of the disk is kept for changes that protect somebody.
    #[error(transparent)]
    LowSpace(RoomKept),
    /// The disk is as good as full.
    #[error("{free} bytes are free on the disk of the database, which takes {least} to work on")]
    Full { free: u64, least: u64 },
    /// The job panicked.
    #[error("a database job panicked")]
    Panicked,
    /// The queue is full.
    #[error("the queue of the database is full")]
    QueueFull,
    /// The store is closing.
    #[error("the database is closed")]
    Closed,
}

/// An error of SQLite, with advice about the disk if the disk is to blame.
fn with_remedy(error: &rusqlite::Error) -> String {
    match disk::trouble_behind(error) {
        Some(trouble) => format!("{error}; {trouble}"),
        None => error.to_string(),
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Unavailable> for DbError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Corrupt { table, column, reason } => {
                Self::Corrupt { what: format!("{table}.{column}: {reason}") }
            }
            DbError::Sqlite(error) if disk::trouble_behind(&error).is_some() => {
                Self::Unavailable(Box::new(Unavailable::Disk(Arc::new(error))))
            }
            DbError::Sqlite(error) => Self::Unavailable(Box::new(error)),
            DbError::Unavailable(Unavailable::LowSpace(kept)) => Self::Unavailable(Box::new(kept)),
            DbError::Unavailable(Unavailable::Postgres(Failure::WouldBeLost(reason))) => {
                Self::Unavailable(Box::new(WouldBeLost { reason }))
            }
            DbError::Unavailable(error) => Self::Unavailable(Box::new(error)),
        }
    }
}

/// An error that a job may return.
pub(crate) trait JobError: From<DbError> + Send + 'static {
    /// Whether the job itself refused, so that the database is not to blame.
    fn is_refusal(&self) -> bool;
}

impl JobError for StoreError {
    fn is_refusal(&self) -> bool {
        false
    }
}

impl JobError for DbError {
    fn is_refusal(&self) -> bool {
        false
    }
}

macro_rules! wraps_store_error {
    ($($operation:ty),+ $(,)?) => {
        $(impl From<DbError> for $operation {
            fn from(error: DbError) -> Self {
                Self::Store(error.into())
            }
        }

        impl JobError for $operation {
            fn is_refusal(&self) -> bool {
                !matches!(self, Self::Store(_))
            }
        })+
    };
}

wraps_store_error!(
    AddCredentialError,
    ChangeKeyringError,
    ChangeSigningKeysError,
    CreateAccountError,
    CreatePasswordAccountError,
    DeleteKeyringError,
    OpenKeyringError,
    RecordLoginError,
    RecoverError,
    RenameCredentialError,
    RevokeCredentialError,
    StoreKeyringError,
);

impl From<DbError> for UsePasskeyError {
    fn from(error: DbError) -> Self {
        RecordLoginError::from(error).into()
    }
}

impl From<DbError> for AddPasskeyError {
    fn from(error: DbError) -> Self {
        AddCredentialError::from(error).into()
    }
}

impl JobError for AddPasskeyError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Challenge(error) => error.is_refusal(),
            Self::Credential(error) => error.is_refusal(),
            Self::IdTaken => true,
        }
    }
}

impl From<DbError> for SignInError {
    fn from(error: DbError) -> Self {
        RecordLoginError::from(error).into()
    }
}

impl JobError for SignInError {
    fn is_refusal(&self) -> bool {
        match self {
            Self::Browser(_) | Self::CounterRegressed => true,
            Self::Login(error) => error.is_refusal(),
        }
    }
}
