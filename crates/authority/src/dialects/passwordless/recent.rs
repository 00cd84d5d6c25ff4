//! The numbers that clients asked for lately, for those clients who sign a hash of the number and do
//! not say which: from such a signature it cannot be read.
//!
//! A number that is not here costs its client a new challenge, and one that is remembered too long
//! is refused for its age. So this is bounded, and says nothing about what is valid.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use countersign_protocol::{
    AccountId, ClientNetwork, UnixTime,
    challenges::mutual::{LIFETIME, Number},
};
use parking_lot::Mutex;

/// How many pairs of account and network are remembered.
const CLIENTS: usize = 16_384;
/// How many of them may be of one network, and of one account.
const OF_NETWORK: usize = CLIENTS / 64;
const OF_ACCOUNT: usize = CLIENTS / 256;
/// How many numbers of each.
const NUMBERS: usize = 4;

type Client = (AccountId, ClientNetwork);

/// Kept apart by network, and each with a share: nobody elsewhere pushes out what a client asked
/// for, and who has used up a share is not remembered.
#[derive(Default)]
pub(crate) struct RecentNumbers(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    by_client: HashMap<Client, Numbers>,
    of_network: HashMap<ClientNetwork, usize>,
    of_account: HashMap<AccountId, usize>,
    /// Every client once, with the time at which it was entered here: those that came first first.
    order: VecDeque<(Client, UnixTime)>,
}

struct Numbers {
    latest: VecDeque<Number>,
    asked_at: UnixTime,
}

impl RecentNumbers {
    /// Remembers a number that was made for an account that exists.
    pub(crate) fn remember(
        &self,
        account: AccountId,
        address: IpAddr,
        number: Number,
        now: UnixTime,
    ) {
        let mut asked = self.0.lock();
        asked.forget_ended(now);
        let client = (account, address.into());
        if let Some(numbers) = asked.by_client.get_mut(&client) {
            numbers.asked_at = now;
            numbers.latest.truncate(NUMBERS - 1);
            numbers.latest.push_front(number);
        } else if asked.take_place(client) {
            let latest = VecDeque::from([number]);
            asked.by_client.insert(client, Numbers { latest, asked_at: now });
            asked.order.push_back((client, now));
        }
    }

    /// The numbers that were asked for from the network of `address`, latest first.
    pub(crate) fn of(&self, account: AccountId, address: IpAddr) -> Vec<Number> {
        let asked = self.0.lock();
        let numbers = asked.by_client.get(&(account, address.into()));
        numbers.map_or_else(Vec::new, |numbers| numbers.latest.iter().cloned().collect())
    }
}

impl Asked {
    /// Whether there is a place for another client; then it is taken.
    fn take_place(&mut self, (account, network): Client) -> bool {
        let held = |count: Option<&usize>| count.copied().unwrap_or_default();
        let is_free = self.by_client.len() < CLIENTS
            && held(self.of_network.get(&network)) < OF_NETWORK
            && held(self.of_account.get(&account)) < OF_ACCOUNT;
        if is_free {
            *self.of_network.entry(network).or_default() += 1;
            *self.of_account.entry(account).or_default() += 1;
        }
        is_free
    }

    /// Gives back the places of those whose last number can no longer come back.
    fn forget_ended(&mut self, now: UnixTime) {
        while let Some((client, entered_at)) = self.order.front().copied() {
            if now < entered_at + LIFETIME {
                return;
            }
            self.order.pop_front();
            let asked_at = self.by_client.get(&client).map(|numbers| numbers.asked_at);
            if let Some(asked_at) = asked_at.filter(|asked_at| now < *asked_at + LIFETIME) {
                self.order.push_back((client, asked_at));
            } else {
                self.by_client.remove(&client);
                give_back(&mut self.of_account, client.0);
                give_back(&mut self.of_network, client.1);
            }
        }
    }
}

fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, owner: K) {
    if let std::collections::hash_map::Entry::Occupied(mut count) = counts.entry(owner) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{
        challenges::mutual::MutualChallenges, envelope::aes_gcm::SealingKey,
    };

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn account(number: u16) -> AccountId {
        let mut bytes = [7; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        AccountId::from_bytes(bytes)
    }

    fn number(salt: u8) -> Number {
        let challenges = MutualChallenges::new(SealingKey::from_bytes(&[1; 32]));
        challenges.issue(account(0), [0, 0, salt], NOW)
    }

    fn address(network: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1])
    }

    #[test]
    fn the_latest_numbers_of_each_client_are_remembered() {
        let recent = RecentNumbers::default();
        recent.remember(account(1), address(1), number(0), NOW);
        for salt in 1..=20 {
            recent.remember(account(1), address(2), number(salt), NOW);
        }
        assert_eq!(recent.of(account(1), address(1)), [number(0)]);
        let latest: Vec<_> = (17..=20).rev().map(number).collect();
        assert_eq!(recent.of(account(1), address(2)), latest);
        assert_eq!(recent.of(account(2), address(1)), []);
        let neighbour = IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]);
        assert_eq!(recent.of(account(1), neighbour), [number(0)], "one /64 is one client");
    }

    #[test]
    fn a_flood_of_networks_pushes_out_no_number() {
        let recent = RecentNumbers::default();
        recent.remember(account(0), address(0), number(0), NOW);
        for network in 1..20_000 {
            recent.remember(account(0), address(network), number(1), NOW);
        }
        for accounts in 1..1_000 {
            recent.remember(account(accounts), address(1), number(1), NOW);
        }
        assert_eq!(recent.of(account(0), address(0)), [number(0)]);
        let remembered = recent.0.lock().by_client.len();
        assert!(remembered <= OF_ACCOUNT + OF_NETWORK, "{remembered}");
        recent.remember(account(5_000), address(5_000), number(2), NOW);
        assert_eq!(recent.of(account(5_000), address(5_000)), [number(2)], "others have room");
    }

    #[test]
    fn a_place_is_free_again_when_its_last_number_has_ended() {
        let recent = RecentNumbers::default();
        let half = LIFETIME / 2;
        for network in 0..100 {
            recent.remember(account(0), address(network), number(1), NOW);
        }
        assert_eq!(recent.of(account(0), address(99)), []);
        recent.remember(account(0), address(0), number(2), NOW + half);
        recent.remember(account(0), address(99), number(3), NOW + LIFETIME);
        assert_eq!(recent.of(account(0), address(99)), [number(3)]);
        assert_eq!(recent.of(account(0), address(0)), [number(2), number(1)], "it asked since");
        assert_eq!(recent.of(account(0), address(1)), []);
        recent.remember(account(1), address(1), number(4), NOW + LIFETIME * 3);
        let asked = recent.0.lock();
        let counts = (asked.by_client.len(), asked.of_account.len(), asked.of_network.len());
        assert_eq!((counts, asked.order.len()), ((1, 1, 1), 1), "nothing is left of the others");
    }
}
