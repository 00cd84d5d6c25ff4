//! What a guard needs from outside.

use async_trait::async_trait;
pub use countersign_protocol::ports::Clock;
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    keys::{PublicKey, Thumbprint},
    tokens::issue::AccessTokenClaims,
};
use thiserror::Error;

/// The issuer's public signing keys.
#[async_trait]
pub trait IssuerKeys: Send + Sync {
    /// The key `kid`, if the issuer publishes it at `now`.
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable>;
}

/// Whether tokens that verify are still good: neither the token, nor its key, nor its account has
/// been revoked since.
#[async_trait]
pub trait Standing: Send + Sync {
    /// Whether the token of `claims` is still good at `now`.
    async fn standing(
        &self,
        claims: &AccessTokenClaims,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable>;
}

/// The answer of [`Standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStanding {
    /// Nothing was revoked.
    Good,
    /// The token, the key or the account was revoked.
    Revoked,
}

/// Remembers which proofs were used.
#[async_trait]
pub trait ReplayLog: Send + Sync {
    /// Records `entry` as used; of concurrent calls with one digest exactly one succeeds.
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError>;
}

/// Why a proof was not recorded as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The log cannot tell, so nothing is accepted.
    #[error("the replay log is unavailable")]
    Unavailable,
    /// It was used before.
    #[error("used before")]
    Used,
}

/// A port cannot answer, so the guard refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PortUnavailable(pub String);
