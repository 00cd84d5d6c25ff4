//! How often somebody may do something.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use countersign_protocol::{AccountId, ClientNetwork, keys::Thumbprint};
use thiserror::Error;

/// Counts events per key and says when there were too many.
///
/// When it runs out of room, it forgets the keys that have the least to remember.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one from the allowance of `key` under `limit`; `now` is the monotonic clock.
    async fn take(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        now: Duration,
    ) -> Result<(), RateLimited> {
        self.take_many(limit, key, 1, now).await
    }

    /// Takes `count` at once, or none. What costs more than a whole allowance costs a whole one.
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), RateLimited>;

    /// Gives back one that was taken.
    async fn give_back(&self, limit: &RateLimit, key: LimitKey);
}

/// Lets at most ten requests of a key pass in any one second, wherever that second begins.
///
/// A request holds its place while it is answered, and for a second more. That second stands still
/// while another request of the same key is answered: how long answers take is the machine's doing,
/// so ten requests and an eleventh get the same answers from a slow one as from a fast one.
///
/// This is stricter than [`RateLimiter`], whose allowance refills while it is used. What was
/// refused does not count. Without room it refuses rather than forget anybody.
pub trait WindowLimiter: Send + Sync {
    /// Lets one request of `key` pass, which is answered from `now` on, by the monotonic clock.
    ///
    /// # Errors
    /// When ten have their places.
    fn enter(&self, key: LimitKey, now: Duration) -> Result<(), RateLimited>;

    /// One request of `key` that had passed is answered at `now`.
    fn answered(&self, key: LimitKey, now: Duration);
}

/// An allowance: `burst` at once, refilled evenly at `burst` per `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Which limit it is; counts are kept apart by it.
    pub name: &'static str,
    /// How many at once.
    pub burst: u32,
    /// The time in which an empty allowance becomes full.
    pub period: Duration,
}

/// Whose allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// The network of a client.
    Network(ClientNetwork),
    /// An account.
    Account(AccountId),
    /// A key that has signed.
    Key(Thumbprint),
    /// A name that may be nobody's, by its SHA-256.
    Name([u8; 32]),
}

/// The allowance is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct RateLimited {
    /// When the next one will be allowed.
    pub retry_after: Duration,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests; try again in {} s", self.retry_after.as_secs() + 1)
    }
}
