//! A limiter in memory for any window of one second, wherever the window begins.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, NotAdmitted, WindowLimiter};
use parking_lot::Mutex;

use super::rate_limiter::nanos;

/// How many keys share a set.
const WAYS: usize = 8;
/// How many requests have a place in one window.
const PLACES: usize = 10;
const WINDOW: u64 = 1_000_000_000;

/// Remembers in this process the last ten requests of each key, in a table of fixed size.
///
/// A request takes one of ten places and gives it back a second after its answer. So no window of
/// one second, wherever it begins, has eleven requests. The table is built like a processor's
/// cache: a key belongs to one set of eight. A key whose places are all free again can be replaced
/// by another key. There are neither timers nor threads.
///
/// *Failure direction.* When all eight keys of a set hold places, a ninth key is refused until one
/// of them holds none. So the limit always holds. Only a flood from tens of thousands of addresses
/// within one second can make it refuse somebody else.
///
/// *Memory.* About 140 bytes per key, all of it taken at the start.
pub struct MemoryWindowLimiter {
    sets: Vec<Mutex<[Option<Requests>; WAYS]>>,
    /// Keyed, so that nobody can choose keys that crowd a victim out of its set.
    hashing: RandomState,
}

/// The last requests of a key. The key has a clock of its own: it counts nanoseconds like the
/// monotonic clock, but stands still while one of the key's requests is being answered.
#[derive(Clone, Copy)]
struct Requests {
    key: LimitKey,
    /// How many are being answered.
    under_way: usize,
    /// Since when the clock stands still, by the monotonic clock, if any are.
    stopped_at: u64,
    /// For how long it has stood still before.
    stopped_for: u64,
    /// When the last requests were answered, by the key's clock. It is a ring: the oldest is at
    /// `next`. Zero stands for none.
    answered: [u64; PLACES],
    next: usize,
}

impl MemoryWindowLimiter {
    /// A limiter with room for `capacity` keys, rounded up to a multiple of eight.
    pub fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).max(1);
        Self {
            sets: (0..sets).map(|_| Mutex::new([None; WAYS])).collect(),
            hashing: RandomState::new(),
        }
    }

    fn set_of(&self, key: LimitKey) -> &Mutex<[Option<Requests>; WAYS]> {
        let index = self.hashing.hash_one(key) % self.sets.len() as u64;
        &self.sets[usize::try_from(index).unwrap_or_default()]
    }
}

#[async_trait]
impl WindowLimiter for MemoryWindowLimiter {
    async fn enter(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted> {
        self.begin(key, now)
    }

    async fn answered(&self, key: LimitKey, now: Duration) {
        self.end(key, now);
    }
}

impl MemoryWindowLimiter {
    fn begin(&self, key: LimitKey, now: Duration) -> Result<(), NotAdmitted> {
        let now = later(now);
        let mut set = self.set_of(key).lock();
        let place = set.iter_mut().min_by_key(|slot| match slot {
            Some(requests) if requests.key == key => (0, 0),
            None => (1, 0),
            Some(requests) => (2, requests.free_in(now)),
        });
        match place {
            Some(Some(requests)) if requests.key == key => requests.enter(now),
            Some(Some(requests)) if requests.free_in(now) > 0 => {
                Err(refusal(requests.free_in(now)))
            }
            Some(slot) => slot.insert(Requests::none(key)).enter(now),
            None => Err(refusal(WINDOW)),
        }
    }

    fn end(&self, key: LimitKey, now: Duration) {
        let mut set = self.set_of(key).lock();
        if let Some(requests) = set.iter_mut().flatten().find(|requests| requests.key == key) {
            requests.answered(later(now));
        }
    }
}

impl Requests {
    const fn none(key: LimitKey) -> Self {
        let answered = [0; PLACES];
        Self { key, under_way: 0, stopped_at: 0, stopped_for: 0, answered, next: 0 }
    }

    fn enter(&mut self, now: u64) -> Result<(), NotAdmitted> {
        let clock = self.clock(now);
        let is_taken = |answered: &&u64| **answered + WINDOW > clock;
        let taken = self.answered.iter().filter(is_taken);
        if self.under_way + taken.clone().count() >= PLACES {
            let first = taken.min().map_or(WINDOW, |answered| answered + WINDOW - clock);
            return Err(refusal(first));
        }
        if self.under_way == 0 {
            self.stopped_at = now;
        }
        self.under_way += 1;
        Ok(())
    }

    fn answered(&mut self, now: u64) {
        self.answered[self.next] = self.clock(now);
        self.next = (self.next + 1) % PLACES;
        self.under_way = self.under_way.saturating_sub(1);
        if self.under_way == 0 {
            // Calls may overtake each other between reading the clock and reaching this line.
            self.stopped_for += now.saturating_sub(self.stopped_at);
        }
    }

    /// The time on the key's clock.
    const fn clock(&self, now: u64) -> u64 {
        let running = if self.under_way > 0 { self.stopped_at } else { now };
        running.saturating_sub(self.stopped_for)
    }

    /// How long until no request of the key counts any more, if no further one comes.
    fn free_in(&self, now: u64) -> u64 {
        let last = self.answered[(self.next + PLACES - 1) % PLACES];
        match self.under_way {
            0 => (last + WINDOW).saturating_sub(self.clock(now)),
            _ => WINDOW,
        }
    }
}

/// Nanoseconds, with a second added, so that zero lies outside of every window.
fn later(now: Duration) -> u64 {
    nanos(now).saturating_add(WINDOW)
}

fn refusal(retry_after: u64) -> NotAdmitted {
    NotAdmitted::TooMany { retry_after: Duration::from_nanos(retry_after) }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> LimitKey {
        LimitKey::Network(IpAddr::from([192, 0, 2, number]).into())
    }

    fn enter(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) -> Result<(), NotAdmitted> {
        limiter.begin(key, Duration::from_millis(millis))
    }

    fn answered(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) {
        limiter.end(key, Duration::from_millis(millis));
    }

    /// A request that is answered at once.
    fn take(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) -> Result<(), NotAdmitted> {
        enter(limiter, key, millis)?;
        answered(limiter, key, millis);
        Ok(())
    }

    fn passes(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) -> bool {
        take(limiter, key, millis).is_ok()
    }

    #[test]
    fn an_ipv6_client_has_one_allowance_for_its_network() {
        let limiter = MemoryWindowLimiter::new(8);
        let address = |host: u128| {
            LimitKey::Network(IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host)).into())
        };
        assert!((0..10).all(|n| passes(&limiter, address(n), 0)));
        assert!(!passes(&limiter, address(99), 0));
    }

    #[test]
    fn without_room_a_newcomer_waits_and_nobody_is_forgotten() {
        let limiter = MemoryWindowLimiter::new(8);
        for number in 0..8 {
            assert!((0..10).all(|_| passes(&limiter, address(number), 0)));
        }
        assert!(!passes(&limiter, address(8), 999));
        assert!((0..8).all(|number| !passes(&limiter, address(number), 999)));
        assert!(passes(&limiter, address(8), 1000));
        let limiter = MemoryWindowLimiter::new(8);
        (0..8).for_each(|number| enter(&limiter, address(number), 0).unwrap());
        assert!(!passes(&limiter, address(8), 60_000), "all are being answered");
    }

    proptest! {
        /// Each step goes on in time and either begins a request or answers the oldest.
        #[test]
        fn no_second_sees_eleven(
            steps in prop::collection::vec((0_u64..300, any::<bool>()), 1..300),
        ) {
            let limiter = MemoryWindowLimiter::new(8);
            let mut now = 0;
            let (mut begun, mut ended): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            for (step, begins) in steps {
                now += step;
                if begins && enter(&limiter, address(1), now).is_ok() {
                    begun.push(now);
                } else if !begins && ended.len() < begun.len() {
                    answered(&limiter, address(1), now);
                    ended.push(now);
                }
            }
            for times in [begun, ended] {
                for events in times.windows(PLACES + 1) {
                    prop_assert!(events[PLACES] - events[0] >= 1000);
                }
            }
        }

        /// After a second without requests, a key has all ten places again.
        #[test]
        fn after_a_quiet_second_ten_pass(takes in 0_u64..5_000, requests in 1_usize..=10) {
            let limiter = MemoryWindowLimiter::new(8);
            (0..requests).for_each(|_| enter(&limiter, address(1), 0).unwrap());
            (0..requests).for_each(|_| answered(&limiter, address(1), takes));
            prop_assert!((0..10).all(|_| passes(&limiter, address(1), takes + 1_000)));
            prop_assert!(!passes(&limiter, address(1), takes + 1_000));
        }
    }
}
