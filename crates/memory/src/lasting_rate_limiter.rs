//! A rate limiter in memory that forgets nobody.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter};

use super::rate_limiter::{cost, nanos, take};

/// Counts in this process, in a fixed number of places. A keyed hash says which place is whose, and those
/// who have the same place share one allowance.
///
/// It is for what must not be forgotten because others are busy, such as wrong passwords.
///
/// *Failure direction.* Under a flood of keys it becomes stricter: somebody is refused because others with
/// the same place have used up the allowance. Nobody can choose with whom to share. There are three parts,
/// so that no flood of one sort reaches another: names at one client network and networks (half of the
/// places), names from everywhere, and keys that have signed with their accounts (a quarter each).
///
/// *Restart.* What was counted is gone. So each allowance begins half used: who can make the server restart
/// gains half an allowance by it, and nobody has to wait for a whole one.
///
/// *Memory.* 8 bytes per place, all of it taken at the start.
pub struct LastingRateLimiter {
    /// When each allowance will be full, in nanoseconds of the monotonic clock.
    of_names_at_networks: Vec<AtomicU64>,
    of_names: Vec<AtomicU64>,
    of_known: Vec<AtomicU64>,
    /// When it began, by the same clock.
    started: u64,
    /// Keyed, so that nobody can choose keys that share the place of a victim.
    hashing: RandomState,
}

impl LastingRateLimiter {
    /// A limiter with so many places, rounded up, that begins at `started` by the monotonic clock.
    pub fn new(places: usize, started: Duration) -> Self {
        let part = |of_four: usize| {
            let places = places.div_ceil(4).max(1) * of_four;
            (0..places).map(|_| AtomicU64::new(0)).collect()
        };
        Self {
            of_names_at_networks: part(2),
            of_names: part(1),
            of_known: part(1),
            started: nanos(started),
            hashing: RandomState::new(),
        }
    }

    fn place(&self, limit: &'static str, key: LimitKey) -> &AtomicU64 {
        let places = match key {
            LimitKey::Network(_) | LimitKey::NameAt(_) => &self.of_names_at_networks,
            LimitKey::Name(_) => &self.of_names,
            LimitKey::Account(_) | LimitKey::Key(_) => &self.of_known,
        };
        let index = self.hashing.hash_one((limit, key)) % places.len() as u64;
        &places[usize::try_from(index).unwrap_or_default()]
    }
}

#[async_trait]
impl RateLimiter for LastingRateLimiter {
    async fn take_many(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        count: u32,
        now: Duration,
    ) -> Result<(), NotAdmitted> {
        let place = self.place(limit.name, key);
        let half_used = self.started.saturating_add(nanos(limit.period) / 2);
        let mut answer = Ok(());
        let _before = place.fetch_update(Relaxed, Relaxed, |full_at| {
            let next = take(limit, full_at.max(half_used), count, nanos(now));
            answer = next.map(drop);
            next.ok()
        });
        answer
    }

    async fn give_back_many(&self, limit: &RateLimit, key: LimitKey, count: u32) {
        let place = self.place(limit.name, key);
        let given_back = |full_at: u64| Some(full_at.saturating_sub(cost(limit, count)));
        let _before = place.fetch_update(Relaxed, Relaxed, given_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: RateLimit = RateLimit { name: "wrong", burst: 5, period: Duration::from_hours(1) };
    const START: Duration = Duration::from_hours(1);

    fn hash(number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    /// One that has run for an hour at [`START`].
    fn limiter() -> LastingRateLimiter {
        LastingRateLimiter::new(64, Duration::ZERO)
    }

    async fn flood(limiter: &LastingRateLimiter, key: impl Fn([u8; 32]) -> LimitKey) {
        for number in 1..10_000 {
            let _taken_or_not = limiter.take(&WRONG, key(hash(number)), START).await;
        }
    }

    #[tokio::test]
    async fn a_flood_of_names_frees_nobody_and_takes_no_more_room() {
        let limiter = limiter();
        let own = LimitKey::NameAt(hash(0));
        limiter.take_many(&WRONG, own, 5, START).await.unwrap();
        flood(&limiter, LimitKey::NameAt).await;
        limiter.take(&WRONG, own, START).await.unwrap_err();
        assert_eq!(limiter.of_names_at_networks.len(), 32);
        // An hour later everybody has a whole allowance.
        limiter.take_many(&WRONG, own, 5, START + WRONG.period).await.unwrap();
    }

    #[tokio::test]
    async fn a_flood_of_one_sort_takes_nothing_from_another() {
        let limiter = limiter();
        flood(&limiter, LimitKey::NameAt).await;
        let from_everywhere = LimitKey::Name(hash(0));
        limiter.take_many(&WRONG, from_everywhere, 5, START).await.unwrap();
        flood(&limiter, LimitKey::Name).await;
        let account = LimitKey::Account(countersign_protocol::AccountId::from_bytes([7; 16]));
        limiter.take_many(&WRONG, account, 5, START).await.unwrap();
        limiter.take(&WRONG, account, START).await.unwrap_err();
    }

    #[tokio::test]
    async fn each_allowance_begins_half_used() {
        let limiter = LastingRateLimiter::new(1 << 16, START);
        let (alice, bob) = (LimitKey::Name(hash(1)), LimitKey::Name(hash(2)));
        limiter.take_many(&WRONG, alice, 3, START).await.unwrap_err();
        limiter.take_many(&WRONG, alice, 2, START).await.unwrap();
        limiter.take(&WRONG, alice, START).await.unwrap_err();
        // What is given back is not more than there was at the start.
        limiter.give_back_many(&WRONG, alice, 5).await;
        limiter.take_many(&WRONG, alice, 3, START).await.unwrap_err();
        limiter.take_many(&WRONG, bob, 5, START + WRONG.period / 2).await.unwrap();
    }
}
