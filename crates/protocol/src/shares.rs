//! A fixed number of places. Each owner may hold only some of them.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;

/// A fixed number of places, of which each owner may hold only some.
///
/// For everything that strangers can use up: connections, bodies under way, places in a queue. A
/// place is taken before the resource is, and given back when the [`Place`] is dropped.
///
/// *Failure direction.* It refuses when no place is free, and when the owner's share is used up.
///
/// *Memory.* One entry for each owner that holds a place: never more than there are places.
#[derive(Debug)]
pub struct Shares<K> {
    places: usize,
    each: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    places: usize,
    by_owner: HashMap<K, usize>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// `places` in all; one owner may hold `each` of them.
    pub fn new(places: usize, each: usize) -> Self {
        let taken = Taken { places: 0, by_owner: HashMap::new() };
        Self { places, each, taken: Mutex::new(taken) }
    }

    /// Takes a place for `owner`, and holds it for as long as the result lives.
    ///
    /// # Errors
    /// When the owner's share is used up, or all places are taken.
    pub fn take(self: &Arc<Self>, owner: K) -> Result<Place<K>, NoPlace> {
        self.take_several(owner, 1)
    }

    /// Takes `count` places at once, or none.
    ///
    /// # Errors
    /// As [`Self::take`], also when only some of them could be taken.
    pub fn take_several(self: &Arc<Self>, owner: K, count: usize) -> Result<Place<K>, NoPlace> {
        let mut taken = self.lock();
        let held = taken.by_owner.get(&owner).copied().unwrap_or_default();
        if count > self.each.saturating_sub(held) {
            return Err(NoPlace::ShareUsedUp);
        }
        if count > self.places.saturating_sub(taken.places) {
            return Err(NoPlace::AllTaken);
        }
        if count > 0 {
            taken.places += count;
            taken.by_owner.insert(owner.clone(), held + count);
        }
        drop(taken);
        Ok(Place { shares: Arc::clone(self), owner, count })
    }

    /// How many places one owner may hold.
    pub const fn each(&self) -> usize {
        self.each
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.lock().places
    }

    fn give_back(&self, owner: &K, count: usize) {
        let mut taken = self.lock();
        taken.places = taken.places.saturating_sub(count);
        let left = taken.by_owner.get_mut(owner).map(|held| {
            *held = held.saturating_sub(count);
            *held
        });
        if left == Some(0) {
            taken.by_owner.remove(owner);
        }
    }

    /// Code that holds the lock never leaves the counts half changed.
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place, or several of one owner, held until it is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place<K: Eq + Hash + Clone> {
    shares: Arc<Shares<K>>,
    owner: K,
    count: usize,
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        self.shares.give_back(&self.owner, self.count);
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// This owner holds as many as one may.
    #[error("this client holds its whole share")]
    ShareUsedUp,
    /// Every place is taken, by all owners together.
    #[error("every place is taken")]
    AllTaken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_gets_its_share_and_leaves_the_rest() {
        let shares = Arc::new(Shares::new(3, 2));
        let held = [shares.take("mallory").unwrap(), shares.take("mallory").unwrap()];
        assert_eq!(shares.take("mallory").unwrap_err(), NoPlace::ShareUsedUp);
        let honest = shares.take("alice").unwrap();
        assert_eq!(shares.take("bob").unwrap_err(), NoPlace::AllTaken);
        drop(held);
        assert_eq!(shares.taken(), 1);
        drop(honest);
        assert_eq!(shares.taken(), 0);
    }

    #[test]
    fn several_are_taken_and_given_back_together_or_not_at_all() {
        let shares = Arc::new(Shares::new(10, 6));
        let held = shares.take_several("mallory", 4).unwrap();
        assert_eq!(shares.take_several("mallory", 3).unwrap_err(), NoPlace::ShareUsedUp);
        let honest = shares.take_several("alice", 5).unwrap();
        assert_eq!(shares.take_several("bob", 2).unwrap_err(), NoPlace::AllTaken);
        assert_eq!(shares.taken(), 9);
        drop((held, honest, shares.take_several("carol", 0).unwrap()));
        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().by_owner.is_empty());
    }

    #[test]
    fn who_holds_nothing_is_not_remembered() {
        let shares = Arc::new(Shares::new(1, 1));
        for owner in 0..100 {
            drop(shares.take(owner).unwrap());
        }
        assert!(shares.lock().by_owner.is_empty());
    }
}
