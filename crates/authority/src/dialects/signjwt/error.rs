//! Why a session is not opened, and why a signed message is refused.

use thiserror::Error;

use crate::{
    model::{account::InvalidUsername, limits::NotAdmitted},
    ports::{PutNonceError, StoreError},
};

/// Why no session is opened.
#[derive(Debug, Error)]
pub enum OpenSessionError {
    /// No account could have this name.
    #[error(transparent)]
    Name(#[from] InvalidUsername),
    /// There were too many logins from that address.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The client network has as many sessions as it may.
    #[error("this client network has as many sessions as one may; try again when some have ended")]
    ShareUsedUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PutNonceError> for OpenSessionError {
    fn from(error: PutNonceError) -> Self {
        match error {
            PutNonceError::ShareUsedUp => Self::ShareUsedUp,
            PutNonceError::Store(error) => Self::Store(error),
        }
    }
}

/// Why a signed message is refused.
#[derive(Debug, Error)]
pub enum SessionError {
    /// Session, nonce or signature is not good.
    #[error("no key of the session's account has signed its nonce and the JWT")]
    Refused,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
