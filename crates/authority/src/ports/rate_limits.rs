//! How often somebody may do something.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::limits::{LimitKey, NotAdmitted, RateLimit};

/// Counts events per key and says when there were too many.
///
/// When it runs out of room, it forgets the keys that have the least to remember. One that cannot count,
/// because what it counts with is away, lets nobody pass ([`NotAdmitted::Unavailable`]).
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one from the allowance of `key` under `limit`; `now` is the monotonic clock.
    async fn take(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        now: Duration,
    ) -> Result<(), NotAdmitted> {
        self.take_many(limit, key, 1, now).await
    }

    /// Takes `count` at once, or none. A `count` above the whole allowance costs the whole
    /// allowance.
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), NotAdmitted>;

    /// Gives back one that was taken.
    async fn give_back(&self, limit: &RateLimit, key: LimitKey) {
        self.give_back_many(limit, key, 1).await;
    }

    /// Gives back what [`Self::take_many`] took for that `count`.
    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, count: u32);
}

/// Lets at most ten requests of a key pass in any one second, wherever that second begins.
///
/// A request holds its place while it is answered, and for a second after that. That second stands
/// still while another request of the same key is answered, so that the limit does not depend on
/// how fast the machine answers.
///
/// This is stricter than [`RateLimiter`], whose allowance refills while it is used. Refused
/// requests do not count. Without room it refuses, rather than forget a key; and where it cannot count.
pub trait WindowLimiter: Send + Sync {
    /// Lets one request of `key` pass, which is answered from `now` on, by the monotonic clock.
    ///
    /// # Errors
    /// When ten have their places, or nobody knows how many.
    fn enter(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted>;

    /// One request of `key` that had passed is answered at `now`.
    fn answered(&self, key: LimitKey, now: Duration);
}
