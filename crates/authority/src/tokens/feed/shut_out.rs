//! Chooses the keys and accounts that a feed lists, and the moments that cover the others.

use std::{cmp::Reverse, collections::HashMap};

use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use crate::ports::{DisabledAccount, KEYS_OF_EACH_ACCOUNT, RevokedKey, ShutOut};

/// How many keys, and how many accounts, are read from the store.
pub(super) const READ: u32 = 30_000;
/// How many entries there are for revoked keys, and how many for accounts: together with the tokens,
/// they fit into the longest feed.
const LISTED: usize = 10_000;

/// The part of a feed about keys and accounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ShutOutToList {
    pub(super) keys: Vec<Thumbprint>,
    pub(super) accounts: Vec<AccountId>,
    /// Up to then tokens of these accounts count as revoked.
    pub(super) accounts_before: Vec<(AccountId, UnixTime)>,
    /// Up to then everybody's do.
    pub(super) before: Option<UnixTime>,
}

/// The revoked keys of one account.
struct KeysOfAccount {
    id: AccountId,
    /// The latest of all, which covers the account when nothing is listed of it.
    latest: UnixTime,
    /// Those to list, the latest first.
    listed: Vec<Thumbprint>,
    /// The moments that cover the others.
    before: Option<UnixTime>,
}

impl ShutOutToList {
    /// Lists the latest of `shut_out`, and covers the others by moments.
    pub(super) fn of(ShutOut { keys, accounts, .. }: ShutOut) -> Self {
        let mut list = Self::default();
        list.cover(accounts.last().filter(|_| is_cut(&accounts)).map(|last| last.disabled_at));
        list.list_keys(&keys);
        list.list_accounts(&accounts);
        list
    }

    fn list_keys(&mut self, keys: &[RevokedKey]) {
        let mut accounts = by_account(keys);
        collapse_largest(&mut accounts);
        accounts.sort_unstable_by_key(|of| Reverse((of.latest, of.id)));
        // All that are left here without a place have one entry each: the accounts are too many.
        let others = accounts.split_off(accounts.len().min(LISTED));
        self.cover(others.first().map(|of| of.latest));
        for of in accounts {
            self.keys.extend(of.listed);
            self.accounts_before.extend(of.before.map(|before| (of.id, before)));
        }
    }

    fn list_accounts(&mut self, accounts: &[DisabledAccount]) {
        let (listed, others) = accounts.split_at(accounts.len().min(LISTED));
        self.accounts.extend(listed.iter().map(|account| account.account_id));
        self.cover(others.first().map(|account| account.disabled_at));
    }

    fn cover(&mut self, moment: Option<UnixTime>) {
        self.before = self.before.max(moment);
    }
}

/// Whether the store may have more than `read`.
fn is_cut<T>(read: &[T]) -> bool {
    u32::try_from(read.len()).map_or(true, |read| read >= READ)
}

/// The `keys`, in the order of the store, account by account.
fn by_account(keys: &[RevokedKey]) -> Vec<KeysOfAccount> {
    let mut accounts: HashMap<AccountId, Vec<RevokedKey>> = HashMap::new();
    for key in keys {
        accounts.entry(key.account_id).or_default().push(*key);
    }
    let of_each = usize::try_from(KEYS_OF_EACH_ACCOUNT).unwrap_or(usize::MAX);
    let most = accounts.values().map(Vec::len).max().unwrap_or_default().min(of_each);
    // The store goes round the accounts, one key of each at a time. So an account with at least two
    // keys fewer than another has been read completely.
    let may_lack = |read: usize| read >= of_each || (is_cut(keys) && read + 1 >= most);
    let of_account = |(id, keys): (AccountId, Vec<RevokedKey>)| {
        let covering = keys.last().filter(|_| may_lack(keys.len()));
        let listed = keys.len() - usize::from(covering.is_some());
        KeysOfAccount {
            id,
            latest: keys.first().map_or(UnixTime::EPOCH, |key| key.revoked_at),
            before: covering.map(|key| key.revoked_at),
            listed: keys.iter().take(listed).map(|key| key.thumbprint).collect(),
        }
    };
    accounts.into_iter().map(of_account).collect()
}

/// Leaves only one entry to each of the accounts that have the most, until all entries fit or no
/// account has more than one.
fn collapse_largest(accounts: &mut [KeysOfAccount]) {
    let mut entries: usize = accounts.iter().map(KeysOfAccount::entries).sum();
    accounts.sort_unstable_by_key(|of| Reverse((of.entries(), of.id)));
    for of in accounts.iter_mut().take_while(|of| of.entries() > 1) {
        if entries <= LISTED {
            return;
        }
        entries -= of.entries() - 1;
        of.listed.clear();
        of.before = Some(of.latest);
    }
}

impl KeysOfAccount {
    fn entries(&self) -> usize {
        self.listed.len() + usize::from(self.before.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, ops::Range, time::Duration};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn account(number: u64) -> AccountId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        AccountId::from_bytes(bytes)
    }

    /// The key that `account` revoked so many seconds ago.
    fn key(account_number: u64, ago: u64) -> RevokedKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&account_number.to_be_bytes());
        bytes[8..16].copy_from_slice(&ago.to_be_bytes());
        RevokedKey {
            thumbprint: Thumbprint::from_bytes(bytes),
            account_id: account(account_number),
            revoked_at: NOW - Duration::from_secs(ago),
        }
    }

    /// What a store gives of these numbers of accounts that have revoked so many keys each.
    fn read(accounts: Range<u64>, keys_of_each: u64) -> Vec<RevokedKey> {
        let of_place = |place| accounts.clone().map(move |number| key(number, place));
        (0..keys_of_each.min(KEYS_OF_EACH_ACCOUNT.into())).flat_map(of_place).collect()
    }

    fn list(mut keys: Vec<RevokedKey>) -> ShutOutToList {
        keys.truncate(usize::try_from(READ).unwrap());
        ShutOutToList::of(ShutOut { keys, ..ShutOut::default() })
    }

    #[test]
    fn one_account_that_revokes_many_keys_takes_no_place_from_others() {
        let keys = [vec![key(2, 20_000)], read(1..2, 10_000)].concat();
        let list = list(keys);
        assert_eq!(list.keys.len(), 33);
        assert!(list.keys.contains(&key(2, 20_000).thumbprint));
        assert_eq!(list.accounts_before, [(account(1), NOW - Duration::from_secs(32))]);
        assert_eq!(list.before, None);
    }

    #[test]
    fn many_accounts_that_revoke_many_keys_lose_their_own_tokens_and_nobody_elses() {
        for accounts in [313, 909, 1_000, 9_000] {
            let keys = [vec![key(0, 800)], read(1..accounts + 1, 10_000)].concat();
            let list = list(keys);
            assert_eq!(list.before, None, "{accounts}");
            let entries = list.keys.len() + list.accounts_before.len();
            assert!(entries <= LISTED, "{entries} entries for {accounts} accounts");
            let covered: HashSet<_> = list.accounts_before.iter().map(|(id, _)| *id).collect();
            assert_eq!(u64::try_from(covered.len()).unwrap(), accounts);
            if accounts < 9_000 {
                assert!(list.keys.contains(&key(0, 800).thumbprint), "{accounts}");
            }
        }
    }

    #[test]
    fn keys_of_more_accounts_than_the_number_are_covered_by_a_moment_for_all() {
        let keys: Vec<_> = (0..u64::from(READ) - 1).map(|ago| key(ago, ago)).collect();
        let list = list(keys);
        assert_eq!(list.keys.len(), LISTED);
        assert_eq!(list.before, Some(NOW - Duration::from_secs(10_000)));
    }

    #[test]
    fn what_was_not_read_is_covered_by_moments() {
        let keys: Vec<_> = (0..u64::from(READ)).map(|ago| key(ago, ago)).collect();
        let list = list(keys);
        assert_eq!(list.accounts_before.len(), LISTED);
        assert_eq!(list.before, Some(NOW - Duration::from_secs(10_000)));
    }

    #[test]
    fn accounts_beyond_the_number_are_covered_by_a_moment_for_all() {
        let disabled = |ago| DisabledAccount {
            account_id: account(ago),
            disabled_at: NOW - Duration::from_secs(ago),
        };
        let accounts = (0..10_001).map(disabled).collect();
        let list = ShutOutToList::of(ShutOut { accounts, ..ShutOut::default() });
        assert_eq!(list.accounts.len(), LISTED);
        assert_eq!(list.before, Some(NOW - Duration::from_secs(10_000)));
    }
}
