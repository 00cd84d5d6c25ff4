//! How many keys and accounts a feed lists, and what covers the others.

use std::collections::HashMap;

use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use crate::ports::{DisabledAccount, RevokedKey, ShutOut};

/// How many keys, and how many accounts, are read from the store.
pub(super) const READ: u32 = 30_000;
/// How many keys, and how many accounts, are listed: together with the tokens, they fit into the
/// longest feed.
const LISTED: usize = 10_000;
/// How many keys of one account are listed one by one.
const KEYS_OF_ONE_ACCOUNT: u32 = 32;

/// What a feed says of keys and accounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ShutOutToList {
    pub(super) keys: Vec<Thumbprint>,
    pub(super) accounts: Vec<AccountId>,
    /// Up to then tokens of these accounts count as revoked.
    pub(super) accounts_before: Vec<(AccountId, UnixTime)>,
    /// Up to then everybody's do.
    pub(super) before: Option<UnixTime>,
}

impl ShutOutToList {
    /// Lists the latest of `shut_out`, and covers the others by moments.
    pub(super) fn of(ShutOut { keys, accounts, .. }: ShutOut) -> Self {
        let mut list = Self::default();
        let unread = |read: usize, last: Option<UnixTime>| {
            last.filter(|_| u32::try_from(read).is_ok_and(|read| read >= READ))
        };
        list.cover(unread(keys.len(), keys.last().map(|key| key.revoked_at)));
        list.cover(unread(accounts.len(), accounts.last().map(|account| account.disabled_at)));
        list.list_keys(&keys);
        list.list_accounts(&accounts);
        list
    }

    fn list_keys(&mut self, keys: &[RevokedKey]) {
        let mut of_account: HashMap<AccountId, u32> = HashMap::new();
        for key in keys {
            let known = of_account.entry(key.account_id).or_default();
            *known += 1;
            if *known <= KEYS_OF_ONE_ACCOUNT {
                if self.keys.len() < LISTED {
                    self.keys.push(key.thumbprint);
                } else {
                    self.cover(Some(key.revoked_at));
                }
            } else if *known == KEYS_OF_ONE_ACCOUNT + 1 {
                // They come latest first: this moment covers all others of the account.
                self.accounts_before.push((key.account_id, key.revoked_at));
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn one_account_that_revokes_many_keys_takes_no_place_from_others() {
        let of_mallory = (0..10_000).map(|ago| key(1, ago));
        let keys = of_mallory.chain([key(2, 20_000)]).collect();
        let list = ShutOutToList::of(ShutOut { keys, ..ShutOut::default() });
        assert_eq!(list.keys.len(), 33);
        assert!(list.keys.contains(&key(2, 20_000).thumbprint));
        assert_eq!(list.accounts_before, [(account(1), NOW - Duration::from_secs(32))]);
        assert_eq!(list.before, None);
    }

    #[test]
    fn keys_beyond_the_number_are_covered_by_a_moment_for_all() {
        let keys: Vec<_> = (0..u64::from(READ)).map(|ago| key(ago, ago)).collect();
        let list = ShutOutToList::of(ShutOut { keys, ..ShutOut::default() });
        assert_eq!(list.keys.len(), LISTED);
        assert_eq!(list.before, Some(NOW - Duration::from_secs(10_000)));
    }

    #[test]
    fn what_was_not_read_is_covered_by_a_moment_for_all() {
        let keys = (0..u64::from(READ)).map(|ago| key(1, ago)).collect();
        let list = ShutOutToList::of(ShutOut { keys, ..ShutOut::default() });
        assert_eq!(list.before, Some(NOW - Duration::from_secs(u64::from(READ) - 1)));
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
