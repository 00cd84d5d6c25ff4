//! The numbers that clients asked for lately, for those clients who sign a hash of the number: from
//! such a signature it cannot be read.
//!
//! A number that is forgotten costs its client a new challenge, and one that is remembered too long
//! is refused for its age. So this is bounded, and says nothing about what is valid.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use countersign_protocol::{AccountId, ClientNetwork, challenges::mutual::Number};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

/// How many pairs of account and address are remembered.
const CLIENTS: usize = 16_384;
/// How many numbers of each.
const NUMBERS: usize = 8;

/// Kept apart by address, so that nobody elsewhere can push out the numbers of an account.
pub(crate) struct RecentNumbers(Cache<(AccountId, ClientNetwork), Arc<Mutex<VecDeque<Number>>>>);

impl Default for RecentNumbers {
    fn default() -> Self {
        Self(Cache::new(CLIENTS))
    }
}

impl RecentNumbers {
    pub(crate) fn remember(&self, account: AccountId, address: IpAddr, number: Number) {
        let client = (account, address.into());
        let Ok(numbers) = self
            .0
            .get_or_insert_with(&client, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let mut numbers = numbers.lock();
        if numbers.len() >= NUMBERS {
            numbers.pop_front();
        }
        numbers.push_back(number);
    }

    /// The numbers that were asked for from `address`, latest first.
    pub(crate) fn of(&self, account: AccountId, address: IpAddr) -> Vec<Number> {
        let numbers = self.0.get(&(account, address.into()));
        numbers.map_or_else(Vec::new, |numbers| numbers.lock().iter().rev().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_protocol::{
        UnixTime, challenges::mutual::MutualChallenges, envelope::aes_gcm::SealingKey,
    };

    use super::*;

    #[test]
    fn the_latest_numbers_of_each_client_are_remembered() {
        let challenges = MutualChallenges::new(SealingKey::from_bytes([1; 32]));
        let (alice, bob) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let number =
            |n: u8| challenges.issue(alice, [0, 0, n], UnixTime::from_secs(1) + Duration::ZERO);
        let recent = RecentNumbers::default();
        recent.remember(alice, here, number(0));
        for n in 1..=20 {
            recent.remember(alice, there, number(n));
        }
        assert_eq!(recent.of(alice, here), [number(0)]);
        assert_eq!(recent.of(alice, there), (13..=20).rev().map(number).collect::<Vec<_>>());
        assert_eq!(recent.of(bob, here), []);
        recent.remember(bob, "2001:db8::1".parse().unwrap(), number(0));
        assert_eq!(recent.of(bob, "2001:db8::2".parse().unwrap()), [number(0)]);
        assert_eq!(recent.of(bob, "2001:db8:0:1::1".parse().unwrap()), []);
    }
}
