//! The numbers that clients asked for lately, in memory.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use countersign_authority::ports::{NUMBERS_OF_EACH_CLIENT, RecentNumbers};
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

type Client = (AccountId, ClientNetwork);

/// Kept apart by network, and each with a share: nobody elsewhere pushes out what a client asked
/// for.
///
/// *Failure direction.* Who has used up a share is not remembered, and asks for another challenge.
///
/// *Memory.* About five megabytes when full. What has ended is freed by the calls that follow; there
/// are no timers and no threads.
#[derive(Default)]
pub struct MemoryRecentNumbers(Mutex<Asked>);

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

#[async_trait]
impl RecentNumbers for MemoryRecentNumbers {
    async fn remember(
        &self,
        account: AccountId,
        network: ClientNetwork,
        number: Number,
        now: UnixTime,
    ) {
        self.0.lock().remember((account, network), number, now);
    }

    async fn recent(&self, account: AccountId, network: ClientNetwork) -> Vec<Number> {
        self.0.lock().recent((account, network))
    }
}

impl Asked {
    fn remember(&mut self, client: Client, number: Number, now: UnixTime) {
        self.forget_ended(now);
        if let Some(numbers) = self.by_client.get_mut(&client) {
            numbers.asked_at = now;
            numbers.latest.truncate(NUMBERS_OF_EACH_CLIENT - 1);
            numbers.latest.push_front(number);
        } else if self.take_place(client) {
            let latest = VecDeque::from([number]);
            self.by_client.insert(client, Numbers { latest, asked_at: now });
            self.order.push_back((client, now));
        }
    }

    fn recent(&self, client: Client) -> Vec<Number> {
        let numbers = self.by_client.get(&client);
        numbers.map_or_else(Vec::new, |numbers| numbers.latest.iter().cloned().collect())
    }

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
    use std::net::IpAddr;

    use countersign_protocol::{
        challenges::mutual::MutualChallenges, envelope::aes_gcm::SealingKey, replay::EpochId,
    };

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    /// The client of that account and network.
    fn client(account: u16, network: u16) -> Client {
        let mut bytes = [7; 16];
        bytes[..2].copy_from_slice(&account.to_be_bytes());
        let address = IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, 1]);
        (AccountId::from_bytes(bytes), address.into())
    }

    fn number(salt: u8) -> Number {
        let challenges = MutualChallenges::new(SealingKey::from_bytes(&[1; 32]));
        challenges.issue(client(0, 0).0, [0, 0, salt], EpochId::from_bytes([1; 16]), NOW)
    }

    #[test]
    fn a_flood_takes_no_more_than_the_shares() {
        let mut asked = Asked::default();
        for network in 0..20_000 {
            asked.remember(client(0, network), number(1), NOW);
        }
        for account in 1..1_000 {
            asked.remember(client(account, 1), number(1), NOW);
        }
        let remembered = asked.by_client.len();
        assert!(remembered <= OF_ACCOUNT + OF_NETWORK, "{remembered}");
    }

    #[test]
    fn a_place_is_free_again_when_its_last_number_has_ended() {
        let mut asked = Asked::default();
        for network in 0..100 {
            asked.remember(client(0, network), number(1), NOW);
        }
        assert_eq!(asked.recent(client(0, 99)), []);
        asked.remember(client(0, 0), number(2), NOW + LIFETIME / 2);
        asked.remember(client(0, 99), number(3), NOW + LIFETIME);
        assert_eq!(asked.recent(client(0, 99)), [number(3)]);
        assert_eq!(asked.recent(client(0, 0)), [number(2), number(1)], "it asked since");
        assert_eq!(asked.recent(client(0, 1)), []);
        asked.remember(client(1, 1), number(4), NOW + LIFETIME * 3);
        let counts = (asked.by_client.len(), asked.of_account.len(), asked.of_network.len());
        assert_eq!((counts, asked.order.len()), ((1, 1, 1), 1), "nothing is left of the others");
    }
}
