//! Why processes cannot share their state.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why processes cannot share their state.
#[derive(Debug, Error)]
pub enum SharedStateError {
    /// The system does not tell when it was started, so nobody knows whether files are complete.
    #[error(
        "this system has no boot id, so its processes cannot share used proofs: guard by one process, or send each \
         client to the same one"
    )]
    NoBootId,
    /// The path is not a directory.
    #[error("{} is not a directory: choose another for the shared state", .path.display())]
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// Another user could make used proofs work again.
    #[error(
        "{} belongs to user {owner}, and this process to user {user}: name another directory for the shared state, \
         which is for nothing else; one that is not there is made",
        .path.display()
    )]
    OfAnotherUser {
        /// What.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// The account that asks.
        user: u32,
    },
    /// Others could make used proofs work again.
    #[error(
        "{} can be changed by other users: name another directory for the shared state, which is for nothing else; \
         one that is not there is made",
        .path.display()
    )]
    WritableByOthers {
        /// What.
        path: PathBuf,
    },
    /// It cannot be made or opened.
    #[error("{}, where the processes of this machine share used proofs, cannot be used: {source}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
