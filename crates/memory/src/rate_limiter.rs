//! A rate limiter in memory.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter};
use parking_lot::Mutex;

/// How many keys share a set. When the set is full, one of them is forgotten to make room.
const WAYS: usize = 8;

/// Counts in this process, in a table of fixed size.
///
/// It uses the generic cell rate algorithm: of each key it keeps only the moment at which the key's
/// allowance will be full again. The table is built like a processor's cache: a key belongs to one
/// set of eight, and when all eight are taken, the one whose allowance is full, or will be full
/// first, is forgotten. So every call takes the same time, and there are neither timers nor
/// threads.
///
/// *Failure direction.* A key that is forgotten has its full allowance again. Under a flood of keys
/// the limiter therefore becomes more lenient, first with the keys that did the least. It never
/// refuses anybody because of others.
///
/// *Memory.* 65 bytes per key, all of it taken at the start.
pub struct MemoryRateLimiter {
    sets: Vec<Mutex<[Option<Allowance>; WAYS]>>,
    /// Keyed, so that nobody can choose keys that crowd a victim out of its set.
    hashing: RandomState,
}

#[derive(Clone, Copy)]
struct Allowance {
    limit: &'static str,
    key: LimitKey,
    /// When it will be full, in nanoseconds of the monotonic clock.
    full_at: u64,
}

impl MemoryRateLimiter {
    /// A limiter with room for `capacity` keys, rounded up to a multiple of eight.
    pub fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1);
        Self {
            sets: (0..sets).map(|_| Mutex::new([None; WAYS])).collect(),
            hashing: RandomState::new(),
        }
    }

    fn set_of(&self, limit: &'static str, key: LimitKey) -> &Mutex<[Option<Allowance>; WAYS]> {
        let hash = self.hashing.hash_one((limit, key));
        let index = hash % self.sets.len() as u64;
        &self.sets[usize::try_from(index).unwrap_or_default()]
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), NotAdmitted> {
        let mut set = self.set_of(limit.name, key).lock();
        let is_it = |allowance: &Allowance| allowance.limit == limit.name && allowance.key == key;
        let known = set.iter().flatten().find(|allowance| is_it(allowance));
        let full_at = known.map_or(0, |allowance| allowance.full_at);
        let full_at = take(limit, full_at, count, nanos(now))?;
        let slot = set.iter_mut().min_by_key(|slot| match slot {
            Some(allowance) if is_it(allowance) => (0, 0),
            None => (1, 0),
            Some(allowance) => (2, allowance.full_at),
        });
        if let Some(slot) = slot {
            *slot = Some(Allowance { limit: limit.name, key, full_at });
        }
        Ok(())
    }

    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, count: u32) {
        let mut set = self.set_of(limit.name, key).lock();
        let is_it = |allowance: &Allowance| allowance.limit == limit.name && allowance.key == key;
        if let Some(allowance) = set.iter_mut().flatten().find(|allowance| is_it(allowance)) {
            allowance.full_at = allowance.full_at.saturating_sub(cost(limit, count));
        }
    }
}

/// Takes `count` from an allowance that will be full at `full_at`, and returns when it will be full
/// after that.
pub(super) fn take(
    limit: &RateLimit,
    full_at: u64,
    count: u32,
    now: u64,
) -> Result<u64, NotAdmitted> {
    if limit.burst == 0 {
        // An allowance of none.
        return Err(NotAdmitted::TooMany { retry_after: limit.period });
    }
    let empty = cost(limit, limit.burst);
    let next = full_at.max(now).saturating_add(cost(limit, count));
    match next.saturating_sub(now).saturating_sub(empty) {
        0 => Ok(next),
        excess => Err(NotAdmitted::TooMany { retry_after: Duration::from_nanos(excess) }),
    }
}

/// How long so many of an allowance take to come back, or the whole where that is less, in nanoseconds; 0
/// where there is none.
pub(super) fn cost(limit: &RateLimit, count: u32) -> u64 {
    let interval = nanos(limit.period).checked_div(u64::from(limit.burst)).unwrap_or_default();
    interval * u64::from(count.min(limit.burst))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
