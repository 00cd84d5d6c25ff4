//! A replay log in memory.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    future,
    hash::RandomState,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
};

use thiserror::Error;

use super::{
    entry::{ReplayEntry, SpentReceipt},
    epoch::{EpochId, FoundNew, LogEpoch},
    owners::{BUCKET_MILLIS, Owners, ReplayOwner, ReplayShareUsedUp},
};
use crate::{
    ports::replay_log::{Recording, ReplayError, ReplayLog},
    time::UnixTime,
};

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
/// Each owner has a share of the room, so that nobody alone can fill it.
///
/// *Failure direction.* It refuses whenever it cannot tell: when it is full, when the owner's share
/// is used up, and when the clock has gone back behind what it has already forgotten. It keeps the
/// first 16 bytes of each digest; two entries that share them (one pair in 2¹²⁸) count as one, so
/// the second is refused.
///
/// *Memory.* An entry takes 20 to 39 bytes, depending on how full its table is, and up to 58 for the
/// moment in which the table grows; what counts the shares of owners takes half a megabyte, however
/// many entries and owners there are. Entries lie in buckets by the time of their end; a bucket whose
/// time has come is freed as a whole, at the first call in each span of 16 seconds. There are no
/// timers and no threads.
///
/// *Epochs.* It has its memory from `begun.since` on, and is in another epoch whenever the clock was set
/// back: what it has freed may seem to be young again.
pub struct MemoryReplayLog {
    begun: LogEpoch,
    /// How often the clock was set back.
    set_backs: AtomicU64,
    capacity: u64,
    len: AtomicU64,
    /// The span of time, counted in bucket widths, in which expired buckets were last freed.
    freed_in: AtomicU64,
    shards: Vec<Mutex<Shard>>,
    /// Locked after a shard, never before.
    owners: Mutex<Owners>,
    /// Keyed, so that nobody can choose digests that collide in a table.
    hashing: RandomState,
}

#[derive(Default)]
struct Shard {
    buckets: BTreeMap<u64, Bucket>,
    /// Entries that ended up to then may have been forgotten.
    forgotten_until: UnixTime,
    /// How often the clock had been set back when this part last heard of it.
    set_backs: u64,
    /// Entries that were made since and ended up to then may have been forgotten.
    forgotten_in_epoch: UnixTime,
}

struct Bucket {
    keys: HashSet<[u8; KEY_LEN], RandomState>,
    /// When the last of them may be forgotten.
    ends_at: UnixTime,
}

impl MemoryReplayLog {
    /// An empty memory that begins with the epoch `begun`, with room for `capacity` entries. One owner
    /// may hold `share` of them. `hashing` is keyed at random.
    pub fn new(begun: LogEpoch, capacity: u64, share: u64, hashing: RandomState) -> Self {
        Self {
            begun,
            set_backs: AtomicU64::new(0),
            capacity,
            len: AtomicU64::new(0),
            freed_in: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            owners: Mutex::new(Owners::new(share, hashing.clone())),
            hashing,
        }
    }

    /// The epoch that it is in. The name of the first comes with it; the others count on from there.
    pub fn epoch(&self) -> LogEpoch {
        LogEpoch { id: self.epoch_after(self.set_backs.load(Acquire)), since: self.begun.since }
    }

    fn epoch_after(&self, set_backs: u64) -> EpochId {
        let mut id = *self.begun.id.as_bytes();
        if let Some(count) = id.last_chunk_mut() {
            *count = u64::from_be_bytes(*count).wrapping_add(set_backs).to_be_bytes();
        }
        EpochId::from_bytes(id)
    }

    /// Records `entry`, which was `found` to be new, as used at `now`, and counts it against the share
    /// of `owner`. Of concurrent calls with the same digest exactly one succeeds.
    ///
    /// # Errors
    /// When it was used before, when that is not known, or when the owner's share is used up.
    pub fn record(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<SpentReceipt, NotRecorded> {
        // A request that began before the clock was set back must not have anything forgotten by its time.
        if found.epoch() != self.epoch().id {
            return Err(NotRecorded::OtherEpoch);
        }
        self.free_expired(match found {
            FoundNew::ByNonce(_) => now,
            FoundNew::ByTime(_) => now.min(self.a_little_later()),
        });
        let key = key_of(&entry);
        let mut shard = lock(&self.shards[usize::from(key[0]) % SHARDS]);
        if found.epoch() != self.epoch_after(shard.set_backs) {
            return Err(NotRecorded::OtherEpoch);
        }
        if shard.may_have_forgotten(&entry, found) {
            return Err(NotRecorded::Forgotten);
        }
        if shard.buckets.values().any(|bucket| bucket.keys.contains(&key)) {
            return Err(NotRecorded::Used);
        }
        if self.len.fetch_add(1, AcqRel) >= self.capacity {
            self.len.fetch_sub(1, AcqRel);
            return Err(NotRecorded::Full);
        }
        let bucket = bucket_of(entry.forget_at, now);
        if let Err(error) = lock(&self.owners).take(owner, bucket, entry.forget_at) {
            self.len.fetch_sub(1, AcqRel);
            return Err(error.into());
        }
        shard.insert(key, bucket, entry.forget_at, &self.hashing);
        Ok(SpentReceipt::recorded(entry))
    }

    /// Remembers `entry`, which another memory has recorded as used, even if there is no room left,
    /// and counts it against the share of `owner`.
    pub fn learn(&self, entry: ReplayEntry, owner: ReplayOwner, now: UnixTime) {
        self.free_expired(now);
        let key = key_of(&entry);
        let mut shard = lock(&self.shards[usize::from(key[0]) % SHARDS]);
        let is_known = || shard.buckets.values().any(|bucket| bucket.keys.contains(&key));
        if entry.forget_at > shard.forgotten_until && !is_known() {
            self.len.fetch_add(1, AcqRel);
            let bucket = bucket_of(entry.forget_at, now);
            lock(&self.owners).count(owner, bucket, entry.forget_at);
            shard.insert(key, bucket, entry.forget_at, &self.hashing);
        }
    }

    /// The clock was set back to `now`, and another epoch begins. A value with a nonce of that epoch
    /// cannot have been used before, whatever was forgotten, so it can be recorded. Every other value
    /// is refused until the clock has passed the time up to which entries were forgotten. Nothing is
    /// forgotten by this call.
    pub fn clock_was_set_back(&self, now: UnixTime) {
        let set_backs = self.set_backs.fetch_add(1, AcqRel) + 1;
        // Until a part has been reached, it refuses what was found to be new in the epoch to come.
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.set_backs = shard.set_backs.max(set_backs);
            shard.forgotten_in_epoch = now;
        }
        self.freed_in.store(now.as_millis() / BUCKET_MILLIS, Release);
    }

    /// How many entries it remembers.
    pub fn len(&self) -> u64 {
        self.len.load(Acquire).min(self.capacity)
    }

    /// Whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the clock was set back: the end of the span after the one in which expired buckets were freed
    /// last. No further does a value have anything forgotten that does not say in which epoch it was made.
    fn a_little_later(&self) -> UnixTime {
        if self.set_backs.load(Acquire) == 0 {
            return UnixTime::from_millis(u64::MAX);
        }
        let next = self.freed_in.load(Acquire).saturating_add(1);
        UnixTime::from_millis(next.saturating_mul(BUCKET_MILLIS))
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
        lock(&self.owners).free_expired(now);
    }
}

impl ReplayLog for MemoryReplayLog {
    fn epoch(&self) -> LogEpoch {
        self.epoch()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        Box::pin(future::ready(self.record(entry, found, owner, now).map_err(ReplayError::from)))
    }

    fn clock_was_set_back(&self, now: UnixTime) {
        self.clock_was_set_back(now);
    }

    fn entries(&self) -> Option<u64> {
        Some(self.len())
    }
}

impl Shard {
    fn may_have_forgotten(&self, entry: &ReplayEntry, found: FoundNew) -> bool {
        let until = match found {
            FoundNew::ByNonce(_) => self.forgotten_in_epoch,
            FoundNew::ByTime(_) => self.forgotten_until,
        };
        entry.forget_at <= until
    }

    fn insert(
        &mut self,
        key: [u8; KEY_LEN],
        bucket: u64,
        forget_at: UnixTime,
        hashing: &RandomState,
    ) {
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
        self.forgotten_in_epoch = self.forgotten_in_epoch.max(now);
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
    /// Its owner holds as many entries as one may.
    #[error(transparent)]
    ShareUsedUp(#[from] ReplayShareUsedUp),
    /// It was found to be new in another epoch.
    #[error("what was used may have been forgotten since")]
    OtherEpoch,
    /// It would have been forgotten already.
    #[error("the entry has ended, or the clock has gone back")]
    Forgotten,
}

impl From<NotRecorded> for ReplayError {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Used => Self::Used,
            NotRecorded::OtherEpoch => Self::Forgot,
            NotRecorded::ShareUsedUp(error) => Self::ShareUsedUp(error),
            NotRecorded::Full => Self::Unavailable(Cow::Borrowed("it is full")),
            NotRecorded::Forgotten => Self::Ended,
        }
    }
}

/// Code that holds a lock never leaves its data half changed, so a panic there did no harm.
fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bucket of an entry that is recorded at `now`.
pub(super) fn bucket_of(forget_at: UnixTime, now: UnixTime) -> u64 {
    let last_near = now.as_millis() / BUCKET_MILLIS + NEAR_BUCKETS;
    let bucket = forget_at.as_millis() / BUCKET_MILLIS;
    if bucket > last_near { FAR } else { bucket }
}

fn key_of(entry: &ReplayEntry) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    key.copy_from_slice(&entry.digest[..KEY_LEN]);
    key
}

#[cfg(test)]
mod tests;
