//! A limiter in memory that looks at every second there is.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use async_trait::async_trait;
use countersign_authority::ports::{LimitKey, RateLimited, WindowLimiter};
use parking_lot::Mutex;

use super::rate_limiter::nanos;

/// How many keys share a set.
const WAYS: usize = 8;
/// How many events pass in one window.
const EVENTS: usize = 10;
const WINDOW: u64 = 1_000_000_000;

/// Remembers in this process when the last ten events of each key were, in a table of fixed size.
///
/// An event passes when the tenth before it was at least a second ago; so no second, wherever it
/// begins, sees eleven. The table is built like a processor's cache: a key belongs to one set of
/// eight. A key whose last event was a second ago makes room for another, for nothing of it counts
/// any more. There are neither timers nor threads.
///
/// *Failure direction.* When all eight keys of a set were seen within the last second, a ninth is
/// refused until one was not. So the limit holds whatever happens; it takes tens of thousands of
/// addresses within one second to refuse anybody because of others.
///
/// *Memory.* About 110 bytes per key, all of it taken at the start.
pub struct MemoryWindowLimiter {
    sets: Vec<Mutex<[Option<Events>; WAYS]>>,
    /// Keyed, so that nobody can choose keys that crowd a victim out of its set.
    hashing: RandomState,
}

/// The last events of a key, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy)]
struct Events {
    key: LimitKey,
    /// In the order of `next`: the oldest is at `next`. Zero stands for none.
    at: [u64; EVENTS],
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

    fn set_of(&self, key: LimitKey) -> &Mutex<[Option<Events>; WAYS]> {
        let index = self.hashing.hash_one(key) % self.sets.len() as u64;
        &self.sets[usize::try_from(index).unwrap_or_default()]
    }
}

#[async_trait]
impl WindowLimiter for MemoryWindowLimiter {
    async fn take(&self, key: LimitKey, now: Duration) -> Result<(), RateLimited> {
        // A second is added, so that zero lies outside of every window.
        let now = nanos(now).saturating_add(WINDOW);
        let mut set = self.set_of(key).lock();
        let place = set.iter_mut().min_by_key(|slot| match slot {
            Some(events) if events.key == key => (0, 0),
            None => (1, 0),
            Some(events) => (2, events.last()),
        });
        match place {
            Some(Some(events)) if events.key == key => events.take(now),
            Some(Some(events)) if now < events.last().saturating_add(WINDOW) => {
                Err(until(events.last(), now))
            }
            Some(slot) => slot.insert(Events { key, at: [0; EVENTS], next: 0 }).take(now),
            None => Err(until(now, now)),
        }
    }
}

impl Events {
    fn take(&mut self, now: u64) -> Result<(), RateLimited> {
        // Calls may overtake each other between reading the clock and coming here.
        let now = now.max(self.last());
        let oldest = self.at[self.next];
        if now < oldest.saturating_add(WINDOW) {
            return Err(until(oldest, now));
        }
        self.at[self.next] = now;
        self.next = (self.next + 1) % EVENTS;
        Ok(())
    }

    fn last(&self) -> u64 {
        self.at[(self.next + EVENTS - 1) % EVENTS]
    }
}

fn until(event: u64, now: u64) -> RateLimited {
    let retry_after = event.saturating_add(WINDOW).saturating_sub(now);
    RateLimited { retry_after: Duration::from_nanos(retry_after) }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> LimitKey {
        LimitKey::Network(IpAddr::from([192, 0, 2, number]).into())
    }

    fn passes(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) -> bool {
        take(limiter, key, millis).is_ok()
    }

    fn take(limiter: &MemoryWindowLimiter, key: LimitKey, millis: u64) -> Result<(), RateLimited> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(limiter.take(key, Duration::from_millis(millis)))
    }

    #[test]
    fn the_eleventh_within_a_second_is_refused_and_told_when_to_come() {
        let limiter = MemoryWindowLimiter::new(8);
        assert!((0..10).all(|n| passes(&limiter, address(1), n * 10)));
        let refused = take(&limiter, address(1), 400).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(600));
        assert!(!passes(&limiter, address(1), 999));
        assert!(passes(&limiter, address(1), 1000), "what was refused does not count");
        assert!(!passes(&limiter, address(1), 1000), "the next of the ten was at 10 ms");
        assert!(passes(&limiter, address(2), 400), "others are not concerned");
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
    }

    proptest! {
        #[test]
        fn no_second_sees_eleven(steps in prop::collection::vec(0_u64..300, 1..200)) {
            let limiter = MemoryWindowLimiter::new(8);
            let mut now = 0;
            let mut passed: Vec<u64> = Vec::new();
            for step in steps {
                now += step;
                if passes(&limiter, address(1), now) {
                    passed.push(now);
                } else {
                    let recent = passed.iter().filter(|at| **at + 1000 > now).count();
                    prop_assert_eq!(recent, EVENTS);
                }
            }
            for events in passed.windows(EVENTS + 1) {
                prop_assert!(events[EVENTS] - events[0] >= 1000);
            }
        }
    }
}
