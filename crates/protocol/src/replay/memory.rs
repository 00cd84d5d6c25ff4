//! The memory of a replay log.

use std::{
    collections::{BTreeMap, HashSet},
    hash::RandomState,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use thiserror::Error;

use super::{ReplayEntry, SpentReceipt};
use crate::time::UnixTime;

/// The width of a bucket, in milliseconds: entries stay that much longer than they must.
const BUCKET_MILLIS: u64 = 16_000;
/// Entries that must be kept for longer than this share one bucket.
const NEAR_BUCKETS: u64 = 32;
/// The bucket of entries that must be kept for long.
const FAR: u64 = u64::MAX;
/// Independently locked parts.
const SHARDS: usize = 64;
/// How much of a digest is kept.
const KEY_LEN: usize = 16;

/// Remembers in this process what was used, until it has expired; a restart forgets it.
///
/// *Failure direction.* It refuses whenever it cannot tell: when it is full, and when the clock has
/// gone back behind what it has already forgotten. It keeps the first 16 bytes of each digest; two
/// entries that share them, which happens to one pair in 2¹²⁸, count as one, so that the second is
/// refused.
///
/// *Memory.* An entry takes 20 to 39 bytes, depending on how full its table is, and up to 58 for the
/// moment in which the table grows. Entries lie in buckets by the time of their end; a bucket whose
/// time has come is freed as a whole, at the first call in each span of 16 seconds. There are no
/// timers and no threads.
pub struct ReplayMemory {
    capacity: u64,
    len: AtomicU64,
    /// The span of time, counted in bucket widths, in which expired buckets were last freed.
    freed_in: AtomicU64,
    shards: Vec<Mutex<Shard>>,
    /// Keyed, so that nobody can choose digests that collide in a table.
    hashing: RandomState,
}

#[derive(Default)]
struct Shard {
    buckets: BTreeMap<u64, Bucket>,
    /// What ended up to then may have been forgotten.
    forgotten_until: UnixTime,
}

struct Bucket {
    keys: HashSet<[u8; KEY_LEN], RandomState>,
    /// When the last of them may be forgotten.
    ends_at: UnixTime,
}

impl ReplayMemory {
    /// An empty one with room for `capacity` entries; `hashing` is keyed at random.
    pub fn new(capacity: u64, hashing: RandomState) -> Self {
        Self {
            capacity,
            len: AtomicU64::new(0),
            freed_in: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hashing,
        }
    }

    /// Records `entry` as used, at `now`; of concurrent calls with one digest exactly one succeeds.
    ///
    /// # Errors
    /// When it was used before, or that cannot be told.
    pub fn record(&self, entry: ReplayEntry, now: UnixTime) -> Result<SpentReceipt, NotRecorded> {
        self.free_expired(now);
        let key = key_of(&entry);
        let mut shard = lock(&self.shards[usize::from(key[0]) % SHARDS]);
        if entry.forget_at <= shard.forgotten_until {
            return Err(NotRecorded::Forgotten);
        }
        if shard.buckets.values().any(|bucket| bucket.keys.contains(&key)) {
            return Err(NotRecorded::Used);
        }
        if self.len.fetch_add(1, AcqRel) >= self.capacity {
            self.len.fetch_sub(1, AcqRel);
            return Err(NotRecorded::Full);
        }
        shard.insert(key, entry.forget_at, now, &self.hashing);
        Ok(SpentReceipt::recorded(entry))
    }

    /// How many entries it remembers.
    pub fn len(&self) -> u64 {
        self.len.load(Acquire).min(self.capacity)
    }

    /// Whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frees the buckets that have expired at `now`, once in every span of a bucket's width.
    fn free_expired(&self, now: UnixTime) {
        let span = now.as_millis() / BUCKET_MILLIS;
        if self.freed_in.fetch_max(span, AcqRel) >= span {
            return;
        }
        for shard in &self.shards {
            let freed = lock(shard).free_expired(now);
            self.len.fetch_sub(freed, AcqRel);
        }
    }
}

impl Shard {
    fn insert(
        &mut self,
        key: [u8; KEY_LEN],
        forget_at: UnixTime,
        now: UnixTime,
        hashing: &RandomState,
    ) {
        let last_near = now.as_millis() / BUCKET_MILLIS + NEAR_BUCKETS;
        let bucket = forget_at.as_millis() / BUCKET_MILLIS;
        let bucket = if bucket > last_near { FAR } else { bucket };
        let bucket = self.buckets.entry(bucket).or_insert_with(|| Bucket {
            keys: HashSet::with_hasher(hashing.clone()),
            ends_at: UnixTime::EPOCH,
        });
        bucket.keys.insert(key);
        bucket.ends_at = bucket.ends_at.max(forget_at);
    }

    /// Frees the buckets that have expired and returns how many entries they held.
    fn free_expired(&mut self, now: UnixTime) -> u64 {
        self.forgotten_until = self.forgotten_until.max(now);
        let mut freed = 0;
        self.buckets.retain(|_, bucket| {
            let keep = bucket.ends_at > now;
            freed += if keep { 0 } else { bucket.keys.len() as u64 };
            keep
        });
        freed
    }
}

/// Why an entry was not recorded as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotRecorded {
    /// It was used before.
    #[error("used before")]
    Used,
    /// There is no room.
    #[error("it is full")]
    Full,
    /// It would have been forgotten already.
    #[error("the entry has ended, or the clock has gone back")]
    Forgotten,
}

/// No code that holds a lock leaves a shard half changed, so one that panicked there did no harm.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key_of(entry: &ReplayEntry) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key.copy_from_slice(&entry.digest[..KEY_LEN]);
    key
}

#[cfg(test)]
mod tests;
