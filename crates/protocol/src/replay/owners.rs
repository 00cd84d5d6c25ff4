//! How much of a replay log each owner uses, counted in a memory of fixed size.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use thiserror::Error;

use crate::{client_network::ClientNetwork, ids::AccountId, time::UnixTime};

/// Entries lie in buckets by the time of their end. So wide is one, in milliseconds: entries stay
/// that much longer than they must.
pub(super) const BUCKET_MILLIS: u64 = 16_000;

/// Whose share of a replay log an entry counts against.
///
/// Name both where both are known. Where enrolment is open, accounts cost nothing; and one account
/// may use many networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayOwner {
    /// The account that has proven itself.
    Account(AccountId),
    /// The network of a client that has no account yet.
    Network(ClientNetwork),
    /// An account, and the network that its request came from.
    Both(AccountId, ClientNetwork),
}

impl ReplayOwner {
    /// An account, with the network of its request where that is known.
    pub fn account(account: AccountId, network: Option<ClientNetwork>) -> Self {
        network.map_or(Self::Account(account), |network| Self::Both(account, network))
    }

    fn holders(self) -> impl Iterator<Item = Holder> {
        let (first, second) = match self {
            Self::Account(account) => (Holder::Account(account), None),
            Self::Network(network) => (Holder::Network(network), None),
            Self::Both(account, network) => {
                (Holder::Account(account), Some(Holder::Network(network)))
            }
        };
        std::iter::once(first).chain(second)
    }
}

/// One who has a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Account(AccountId),
    Network(ClientNetwork),
}

/// The owner holds as many entries of the replay log as one owner may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{by} holds its whole share of the replay log, {share} entries, until some of them end")]
pub struct ReplayShareUsedUp {
    /// Who holds it.
    pub by: ShareHolder,
    /// How many entries one owner may hold.
    pub share: u64,
}

impl ReplayShareUsedUp {
    /// When it is worth trying again: entries are forgotten in spans of that length, in seconds.
    pub const RETRY_AFTER_SECS: u64 = BUCKET_MILLIS / 1000;
}

/// Who holds a whole share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareHolder {
    /// The account.
    Account,
    /// The client's network.
    Network,
}

impl fmt::Display for ShareHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "this account",
            Self::Network => "this client network",
        })
    }
}

/// Rows of counters. Each owner has one counter in each row.
const ROWS: usize = 4;
/// Counters in a row.
const WIDTH: usize = 1 << WIDTH_BITS;
const WIDTH_BITS: usize = 10;

/// Counts the entries of each owner.
///
/// A table of owners would take more memory than the entries themselves when each owner has only
/// one. So an owner has one counter in each of four rows, chosen by a keyed hash and shared with
/// other owners (a count-min sketch). The smallest of the four is never below the owner's true
/// number, so no owner gets more than its share. An owner is wrongly refused only if others fill
/// all four of its counters. The counters of a row add up to at most twice the entries, so where a
/// share is 5 % of the log, at most 40 of the 1024 counters of a row reach it, and the chance to
/// meet four of them is 2 in a million.
///
/// *Memory.* 16 KiB for each span of time in which entries end, about half a megabyte at most.
pub(super) struct Owners {
    share: u64,
    total: Counters,
    /// Counters by bucket, so that all entries of a bucket are given back together when it ends.
    buckets: BTreeMap<u64, Ending>,
    hashing: RandomState,
}

struct Ending {
    counters: Counters,
    /// When the last of them may be forgotten.
    ends_at: UnixTime,
}

/// The places of an owner's counters.
type Places = [usize; ROWS];

#[derive(Clone)]
struct Counters(Box<[u32]>);

impl Owners {
    pub(super) fn new(share: u64, hashing: RandomState) -> Self {
        Self { share, total: Counters::zero(), buckets: BTreeMap::new(), hashing }
    }

    /// Counts an entry of `owner` that lies in `bucket`, and ends at `forget_at`.
    pub(super) fn take(
        &mut self,
        owner: ReplayOwner,
        bucket: u64,
        forget_at: UnixTime,
    ) -> Result<(), ReplayShareUsedUp> {
        for holder in owner.holders() {
            if u64::from(self.total.least(&self.places(holder))) >= self.share {
                let by = match holder {
                    Holder::Account(_) => ShareHolder::Account,
                    Holder::Network(_) => ShareHolder::Network,
                };
                return Err(ReplayShareUsedUp { by, share: self.share });
            }
        }
        self.count(owner, bucket, forget_at);
        Ok(())
    }

    /// The same, whether or not the share is used up.
    pub(super) fn count(&mut self, owner: ReplayOwner, bucket: u64, forget_at: UnixTime) {
        for holder in owner.holders() {
            let places = self.places(holder);
            self.total.add(&places);
            let new = || Ending { counters: Counters::zero(), ends_at: UnixTime::EPOCH };
            let ending = self.buckets.entry(bucket).or_insert_with(new);
            ending.counters.add(&places);
            ending.ends_at = ending.ends_at.max(forget_at);
        }
    }

    /// Gives back one entry that was counted and is not kept.
    pub(super) fn give_back(&mut self, owner: ReplayOwner, bucket: u64) {
        for holder in owner.holders() {
            let places = self.places(holder);
            if let Some(ending) = self.buckets.get_mut(&bucket) {
                ending.counters.take_away(&places);
                self.total.take_away(&places);
            }
        }
    }

    /// Gives back what ended before `now`.
    pub(super) fn free_expired(&mut self, now: UnixTime) {
        let total = &mut self.total;
        self.buckets.retain(|_, ending| {
            let keep = ending.ends_at > now;
            if !keep {
                total.subtract(&ending.counters);
            }
            keep
        });
    }

    fn places(&self, holder: Holder) -> Places {
        let hash = self.hashing.hash_one(holder).to_le_bytes();
        std::array::from_fn(|row| {
            let place = u16::from_le_bytes([hash[2 * row], hash[2 * row + 1]]);
            row * WIDTH + usize::from(place) % WIDTH
        })
    }
}

impl Counters {
    fn zero() -> Self {
        Self(vec![0; ROWS * WIDTH].into())
    }

    fn least(&self, places: &Places) -> u32 {
        places.iter().map(|place| self.0[*place]).min().unwrap_or_default()
    }

    fn add(&mut self, places: &Places) {
        for place in places {
            self.0[*place] = self.0[*place].saturating_add(1);
        }
    }

    fn take_away(&mut self, places: &Places) {
        for place in places {
            self.0[*place] = self.0[*place].saturating_sub(1);
        }
    }

    fn subtract(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = own.saturating_sub(*other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::*;

    const END: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn account(number: u8) -> ReplayOwner {
        ReplayOwner::Account(AccountId::from_bytes([number; 16]))
    }

    fn network(number: u8) -> ClientNetwork {
        IpAddr::from([192, 0, 2, number]).into()
    }

    fn take(owners: &mut Owners, owner: ReplayOwner, times: u64) -> u64 {
        (0..times).filter(|_| owners.take(owner, 7, END).is_ok()).count() as u64
    }

    fn owners(share: u64) -> Owners {
        Owners::new(share, RandomState::new())
    }

    #[test]
    fn many_owners_with_their_whole_share_leave_the_others_theirs() {
        let mut owners = owners(50);
        for greedy in 0..20 {
            assert_eq!(take(&mut owners, account(greedy), 1000), 50);
        }
        for honest in 20..=255 {
            assert_eq!(take(&mut owners, account(honest), 1), 1, "{honest}");
        }
    }

    #[test]
    fn many_accounts_of_one_network_share_its_share() {
        let mut owners = owners(50);
        let at = |number, at| {
            ReplayOwner::account(AccountId::from_bytes([number; 16]), Some(network(at)))
        };
        let taken: u64 = (0..20).map(|number| take(&mut owners, at(number, 1), 10)).sum();
        assert_eq!(taken, 50);
        let refused = owners.take(at(30, 1), 7, END).unwrap_err();
        assert_eq!(refused, ReplayShareUsedUp { by: ShareHolder::Network, share: 50 });
        assert_eq!(take(&mut owners, at(30, 2), 10), 10, "another network");
        assert_eq!(take(&mut owners, ReplayOwner::Network(network(1)), 1), 0);
    }

    #[test]
    fn what_has_ended_is_given_back() {
        let mut owners = owners(2);
        let later = END + Duration::from_mins(1);
        owners.take(account(1), 7, END).unwrap();
        owners.take(account(1), 8, later).unwrap();
        owners.take(account(1), 8, later).unwrap_err();
        owners.free_expired(END);
        owners.take(account(1), 8, later).unwrap();
        owners.free_expired(later);
        assert!(owners.buckets.is_empty());
        assert!(owners.total.0.iter().all(|counter| *counter == 0));
    }
}
