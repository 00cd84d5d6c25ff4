//! How much one node may have recorded in a replay log that several nodes share.

use std::{
    collections::BTreeMap,
    hash::RandomState,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    memory::{NotRecorded, bucket_of},
    owners::{BUCKET_MILLIS, Owners, ReplayOwner},
};
use crate::time::UnixTime;

/// Counts what this node has recorded elsewhere, in all and of each owner.
///
/// A log behind a network that counted owners itself would need another step for each entry. So each node
/// counts its own, and the log holds at most as many times this as there are nodes.
///
/// *Memory.* Half a megabyte, as for [`MemoryReplayLog`](super::MemoryReplayLog).
pub struct ReplayShares {
    capacity: u64,
    counted: Mutex<Counted>,
}

struct Counted {
    owners: Owners,
    len: u64,
    /// How many entries are in each bucket, and when the last of them ends.
    buckets: BTreeMap<u64, (u64, UnixTime)>,
    /// The span of time in which what had ended was last given back.
    freed_in: u64,
}

/// The place of one entry, which is taken until the entry ends. Who is no longer there to hear whether the entry was
/// recorded keeps its place too.
pub struct ReplayPlace {
    shares: Arc<ReplayShares>,
    owner: ReplayOwner,
    bucket: u64,
}

impl ReplayShares {
    /// Room for `capacity` entries, of which one owner may have `share`. `hashing` is keyed at random.
    pub fn new(capacity: u64, share: u64, hashing: RandomState) -> Self {
        let owners = Owners::new(share, hashing);
        let counted = Counted { owners, len: 0, buckets: BTreeMap::new(), freed_in: 0 };
        Self { capacity, counted: Mutex::new(counted) }
    }

    /// Takes a place for an entry that ends at `forget_at`.
    ///
    /// # Errors
    /// [`NotRecorded::Full`], or [`NotRecorded::ShareUsedUp`].
    pub fn take(
        self: &Arc<Self>,
        owner: ReplayOwner,
        forget_at: UnixTime,
        now: UnixTime,
    ) -> Result<ReplayPlace, NotRecorded> {
        let bucket = bucket_of(forget_at, now);
        let mut counted = self.lock();
        counted.free_expired(now);
        if counted.len >= self.capacity {
            return Err(NotRecorded::Full);
        }
        counted.owners.take(owner, bucket, forget_at)?;
        counted.len += 1;
        let (entries, ends_at) = counted.buckets.entry(bucket).or_insert((0, UnixTime::EPOCH));
        *entries += 1;
        *ends_at = (*ends_at).max(forget_at);
        drop(counted);
        Ok(ReplayPlace { shares: Arc::clone(self), owner, bucket })
    }

    /// The clock was set back to `now`. What ends from then on is given back when it does.
    pub fn clock_was_set_back(&self, now: UnixTime) {
        self.lock().freed_in = now.as_millis() / BUCKET_MILLIS;
    }

    /// Code that holds the lock never leaves the counts half changed.
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Gives back what has ended at `now`, once in every span of a bucket's width.
    fn free_expired(&mut self, now: UnixTime) {
        let span = now.as_millis() / BUCKET_MILLIS;
        if self.freed_in >= span {
            return;
        }
        self.freed_in = span;
        let len = &mut self.len;
        self.buckets.retain(|_, (entries, ends_at)| {
            let keep = *ends_at > now;
            *len -= if keep { 0 } else { *entries };
            keep
        });
        self.owners.free_expired(now);
    }

    fn give_back(&mut self, owner: ReplayOwner, bucket: u64) {
        // What has ended was given back already.
        if let Some((entries @ 1.., _)) = self.buckets.get_mut(&bucket) {
            *entries -= 1;
            self.len -= 1;
            self.owners.give_back(owner, bucket);
        }
    }
}

impl ReplayPlace {
    /// The entry was not recorded.
    pub fn give_back(self) {
        self.shares.lock().give_back(self.owner, self.bucket);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::AccountId;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const LIFETIME: Duration = Duration::from_mins(1);

    fn take(shares: &Arc<ReplayShares>, of: u8, now: UnixTime) -> Result<ReplayPlace, NotRecorded> {
        shares.take(ReplayOwner::Account(AccountId::from_bytes([of; 16])), now + LIFETIME, now)
    }

    fn shares() -> Arc<ReplayShares> {
        Arc::new(ReplayShares::new(5, 2, RandomState::new()))
    }

    #[test]
    fn what_is_recorded_counts_until_it_ends() {
        let shares = shares();
        for of in [1, 1, 2, 2, 3] {
            take(&shares, of, NOW).map(drop).unwrap();
        }
        assert!(matches!(take(&shares, 4, NOW), Err(NotRecorded::Full)));
        let later = NOW + LIFETIME + LIFETIME;
        for of in [1, 1] {
            take(&shares, of, later).map(drop).unwrap();
        }
        assert!(matches!(take(&shares, 1, later), Err(NotRecorded::ShareUsedUp(_))));
        assert_eq!(shares.lock().len, 2);
    }

    #[test]
    fn what_was_not_recorded_takes_nothing() {
        let shares = shares();
        for _ in 0..100 {
            take(&shares, 1, NOW).unwrap().give_back();
        }
        let held = [take(&shares, 1, NOW).unwrap(), take(&shares, 1, NOW).unwrap()];
        take(&shares, 1, NOW).map(drop).unwrap_err();
        held.into_iter().for_each(ReplayPlace::give_back);
        take(&shares, 1, NOW).map(drop).unwrap();
        assert_eq!(shares.lock().len, 1);
        // Its place was given back when it ended, and is not given back twice.
        let late = take(&shares, 2, NOW).unwrap();
        take(&shares, 3, NOW + LIFETIME * 2).map(drop).unwrap();
        late.give_back();
        assert_eq!(shares.lock().len, 1);
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_no_place_taken() {
        let shares = shares();
        take(&shares, 1, NOW + Duration::from_hours(1)).unwrap().give_back();
        shares.clock_was_set_back(NOW);
        for round in 0..10 {
            let now = NOW + LIFETIME * 2 * round;
            for _ in 0..2 {
                take(&shares, 1, now).map(drop).unwrap();
            }
        }
    }
}
