//! How often somebody may do something.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::limits::{LimitKey, NotAdmitted, RateLimit};

/// Counts events per key and says when there were too many.
///
/// When it runs out of room, it forgets the keys that have the least to remember. One that cannot count,
/// because what it counts with is away, lets nobody pass ([`NotAdmitted::Unavailable`]).
///
/// All times are of the monotonic clock of this process, so that a time of day that jumps changes no limit.
/// One that several servers share finds out by itself by how much their clocks differ.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one from the allowance of `key` under `limit` at `now`.
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
/// Times are as for [`RateLimiter`].
#[async_trait]
pub trait WindowLimiter: Send + Sync {
    /// Lets one request of `key` pass, which is answered from `now` on.
    ///
    /// # Errors
    /// When ten have their places, or nobody knows how many.
    async fn enter(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted>;

    /// One request of `key` that had passed is answered at `now`. Where that cannot be noted, the place is
    /// held for longer.
    async fn answered(&self, key: LimitKey, now: Duration);
}
