//! Why a store did not answer.

use thiserror::Error;

/// The store could not do what was asked. The caller is not at fault.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It is away, full, locked or broken.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds something that this program never writes.
    #[error("the store holds an impossible value in {what}")]
    Corrupt {
        /// Where, and why it is impossible; never the value itself.
        what: String,
    },
}
