//! Why signing keys cannot be used.

use countersign_protocol::keys::{Algorithm, KeyError, SignError, Thumbprint};
use thiserror::Error;

use crate::ports::StoreError;

/// Why signing keys cannot be used.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// Other processes changed the keys again and again in between.
    #[error("other processes change the signing keys at the same time; try again")]
    Contended,
    /// A row was altered, or belongs to another master key.
    #[error("the signing key {0} is damaged: it does not open with the master key")]
    Damaged(Thumbprint),
    /// A key could not be made or parsed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key is active.
    #[error("no signing key is active")]
    NoneActive,
    /// Nothing is signed with that algorithm.
    #[error("no key of the server signs with {0}")]
    NotScheduled(Algorithm),
    /// The key could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rotated too often: verifiers would not accept so many keys.
    #[error(
        "{published} keys are published, and {limit} are the limit: rotate again when the tokens of \
         the retired ones have ended, or withdraw them all"
    )]
    TooManyPublished {
        /// How many are published.
        published: usize,
        /// How many may be.
        limit: usize,
    },
}
