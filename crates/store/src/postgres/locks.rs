//! What a change has for itself, as locks of PostgreSQL that end with the transaction.

use countersign_protocol::digest::sha256;

use crate::sql::Alone;

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lock {
    /// Its number. Two locks have the same once in 2⁶⁴, and then wait for each other needlessly.
    pub(super) number: i64,
    /// Whether others may have it too, as long as nobody has it alone.
    pub(super) is_shared: bool,
}

impl Lock {
    /// The lock that has `alone` for itself.
    pub(super) fn alone(alone: Alone) -> Self {
        Self { number: number(alone), is_shared: false }
    }

    /// The SQL that takes it, with a parameter for its number.
    pub(super) const fn sql(self) -> &'static str {
        if self.is_shared { "pg_advisory_xact_lock_shared(?)" } else { "pg_advisory_xact_lock(?)" }
    }
}

fn number(alone: Alone) -> i64 {
    let digest = match &alone {
        Alone::Account(id) => sha256(&[b"account", id.as_bytes()]),
        Alone::Key(thumbprint) => sha256(&[b"key", thumbprint.as_bytes()]),
        Alone::Addresses => sha256(&[b"addresses"]),
        Alone::Recoveries => sha256(&[b"recoveries"]),
        Alone::Keyrings => sha256(&[b"keyrings"]),
        Alone::Upkeep => sha256(&[b"upkeep"]),
        Alone::Trail => sha256(&[b"trail"]),
        Alone::Assertions => sha256(&[b"assertions"]),
    };
    let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*first)
}

/// The locks of a change that has all of `alone` for itself, in the one order in which everybody takes them:
/// so nobody waits for somebody who waits for them. Any change may use something up, so whoever has
/// [`Alone::Assertions`] is alone.
pub(super) fn of_change(alone: &[Alone]) -> Vec<Lock> {
    let mut locks: Vec<_> = alone.iter().map(|alone| Lock::alone(*alone)).collect();
    if !alone.contains(&Alone::Assertions) {
        locks.push(Lock { number: number(Alone::Assertions), is_shared: true });
    }
    locks.sort_unstable();
    locks.dedup();
    locks
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{AccountId, keys::Thumbprint};

    use super::*;

    #[test]
    fn locks_are_taken_in_one_order_and_once() {
        let account = |number| Alone::Account(AccountId::from_bytes([number; 16]));
        let key = Alone::Key(Thumbprint::from_bytes([1; 32]));
        let all = [account(1), account(2), key, Alone::Keyrings, Alone::Upkeep, Alone::Addresses];
        let expected = of_change(&all);
        assert_eq!(expected.len(), all.len() + 1);
        assert!(expected.is_sorted());
        let mut others = all;
        for _ in 0..all.len() {
            others.rotate_left(1);
            assert_eq!(of_change(&others), expected);
        }
        assert_eq!(of_change(&[key, key, key]), of_change(&[key]));
    }

    #[test]
    fn who_has_what_is_used_up_for_himself_is_alone() {
        let shared = of_change(&[]);
        assert_eq!(shared, [Lock { number: number(Alone::Assertions), is_shared: true }]);
        assert_eq!(of_change(&[Alone::Assertions]), [Lock::alone(Alone::Assertions)]);
    }

    /// Servers of different versions must mean the same lock.
    #[test]
    fn the_numbers_never_change() {
        assert_eq!(number(Alone::Upkeep), -5_101_201_824_608_070_136);
    }
}
