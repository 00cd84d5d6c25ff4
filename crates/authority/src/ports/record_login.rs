//! Why something that works once was not recorded as used.

use thiserror::Error;

use super::StoreError;

/// Why a login was not recorded.
#[derive(Debug, Error)]
pub enum RecordLoginError {
    /// The assertion was used before.
    #[error("the assertion was used before")]
    AlreadyUsed,
    /// It says that it ends before the last forgotten assertions ended: the clock is behind, and it
    /// is unknown whether the assertion was one of these.
    #[error(
        "the clock is behind: used assertions that ended later are forgotten, so nobody can tell \
         whether this one was used"
    )]
    Forgotten,
    /// The key is revoked, unknown, or its account is disabled.
    #[error("the credential is not live")]
    NotLive,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
