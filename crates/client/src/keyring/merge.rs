//! Puts the entries of one keyring into another.
//!
//! Two entries are the same if they have the same key for the same account at the same server, whatever
//! they are called. They differ if one of them says something else than the other: about the account's
//! id or password, or about the server's key. Two entries differ too if they have one name and are not
//! the same. Tokens are left out, because they are of one machine and live for minutes.
//!
//! No private key is lost: an entry that another one replaces stays under another name, unless the other
//! one has its private key too. Which of two keys the server still takes, nobody knows here.

use std::fmt;

use super::entry::{Entry, EntryName};

/// What to do when an entry differs from the one that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDifference {
    /// Refuse the whole merge.
    Refuse,
    /// Replace the entry that is there, and keep it under another name if its private key would be lost.
    Replace,
}

/// What a merge did. The names are those that the entries have where they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Entries that were not there.
    pub added: Vec<EntryName>,
    /// Entries that differed, and were replaced.
    pub replaced: Vec<EntryName>,
    /// Entries whose place was taken by one with another private key.
    pub kept: Vec<Kept>,
    /// Entries that were there and have learnt something, such as the account's id.
    pub completed: Vec<EntryName>,
    /// Entries that were there already, and were left as they are.
    pub unchanged: Vec<EntryName>,
}

/// An entry that another one has replaced, and that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name that it had, which is that of the other one now.
    pub was: EntryName,
    /// The name that it has.
    pub is: EntryName,
}

impl Merged {
    /// Whether nothing was changed.
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.completed.is_empty()
    }
}

/// The names of the entries that differ: of each, the name that it has where it was to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Differing(pub Vec<EntryName>);

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(EntryName::as_str).collect();
        let entries = if names.len() == 1 { "the entry" } else { "the entries" };
        let differ = if names.len() == 1 { "differs" } else { "differ" };
        write!(f, "{entries} {} {differ} from what is there already", names.join(", "))
    }
}

/// Merges `others` into `entries`. After an error `entries` may hold some of them: throw it away.
pub(crate) fn merge(
    entries: &mut Vec<Entry>,
    others: &[Entry],
    on_difference: OnDifference,
) -> Result<Merged, Differing> {
    let (mut merged, mut differing) = (Merged::default(), Vec::new());
    for other in others {
        match merge_one(entries, other, on_difference) {
            Outcome::Added(name) => merged.added.push(name),
            Outcome::Replaced(name, displaced) => {
                if let Some(displaced) = displaced.filter(|entry| is_lost(entry, entries)) {
                    merged.kept.push(keep(*displaced, entries, others));
                }
                merged.replaced.push(name);
            }
            Outcome::Completed(name) => merged.completed.push(name),
            Outcome::Unchanged(name) => merged.unchanged.push(name),
            Outcome::Differs(name) => differing.push(name),
        }
    }
    if differing.is_empty() { Ok(merged) } else { Err(Differing(differing)) }
}

enum Outcome {
    Added(EntryName),
    /// With the entry that was there, unless the private key is the same.
    Replaced(EntryName, Option<Box<Entry>>),
    Completed(EntryName),
    Unchanged(EntryName),
    Differs(EntryName),
}

fn merge_one(entries: &mut Vec<Entry>, other: &Entry, on_difference: OnDifference) -> Outcome {
    let same = entries.iter().position(|entry| entry.is_same_as(other));
    let namesake = || entries.iter().position(|entry| entry.name() == other.name());
    let Some(position) = same.or_else(namesake) else {
        entries.push(other.without_tokens());
        return Outcome::Added(other.name().clone());
    };
    let entry = &mut entries[position];
    let name = entry.name().clone();
    if same.is_some() && !entry.contradicts(other) {
        let learnt = entry.learn_from(other);
        return if learnt { Outcome::Completed(name) } else { Outcome::Unchanged(name) };
    }
    match on_difference {
        OnDifference::Refuse => Outcome::Differs(name),
        OnDifference::Replace => {
            let has_another_key = !entry.has_private_key_of(other);
            let displaced = std::mem::replace(entry, other.without_tokens());
            entry.rename(name.clone());
            Outcome::Replaced(name, has_another_key.then(|| Box::new(displaced)))
        }
    }
}

/// Whether no entry has the private key of `displaced` for the same account.
fn is_lost(displaced: &Entry, entries: &[Entry]) -> bool {
    !entries.iter().any(|entry| entry.is_same_as(displaced) && entry.has_private_key_of(displaced))
}

/// Puts `displaced` among the `entries` under a name that neither they nor the `others` have.
fn keep(mut displaced: Entry, entries: &mut Vec<Entry>, others: &[Entry]) -> Kept {
    let was = displaced.name().clone();
    let is_taken =
        |name: &EntryName| entries.iter().chain(others).any(|other| other.name() == name);
    // There are more numbers than entries.
    let mut number = 2_u64;
    let mut is = was.numbered(number);
    while is_taken(&is) {
        number += 1;
        is = was.numbered(number);
    }
    displaced.rename(is.clone());
    entries.push(displaced);
    Kept { was, is }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::keys::{NewKey, PrivateKey};

    use super::*;
    use crate::password::Password;
    use crate::testing::NOW;

    const ISSUER: &str = "https://auth.example";

    fn entry(name: &str, key: &PrivateKey) -> Entry {
        Entry::new(name.parse().unwrap(), ISSUER, "alice", key, NOW)
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(NewKey::Ed25519).unwrap()
    }

    fn names(names: &[&str]) -> Vec<EntryName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_lacks_is_added_and_what_is_there_stays() {
        let (first, second) = (key(), key());
        let mut entries = vec![entry("a", &first)];
        let others = [entry("a", &first), entry("b", &second)];
        let merged = merge(&mut entries, &others, OnDifference::Refuse).unwrap();
        assert_eq!((merged.added, merged.unchanged), (names(&["b"]), names(&["a"])));
        assert_eq!(entries.len(), 2);
        let merged = merge(&mut entries, &others, OnDifference::Refuse).unwrap();
        assert!(merged.is_unchanged());
    }

    #[test]
    fn a_key_is_the_same_under_another_name() {
        let key = key();
        let mut entries = vec![entry("home", &key)];
        let merged = merge(&mut entries, &[entry("work", &key)], OnDifference::Replace).unwrap();
        assert_eq!((merged.is_unchanged(), merged.unchanged), (true, names(&["home"])));
        let mut elsewhere = Entry::new("x".parse().unwrap(), "https://b", "alice", &key, NOW);
        elsewhere.set_account_id("1");
        let merged = merge(&mut entries, &[elsewhere], OnDifference::Refuse).unwrap();
        assert_eq!(merged.added, names(&["x"]), "another server, another account");
    }

    #[test]
    fn an_entry_learns_what_it_did_not_know_and_forgets_nothing() {
        let key = key();
        let mut known = entry("a", &key);
        known.set_account_id("id");
        known.set_password(&Password::new("secret".to_owned()).unwrap());
        let mut entries = vec![entry("a", &key)];
        let merged = merge(&mut entries, std::slice::from_ref(&known), OnDifference::Refuse);
        assert_eq!(merged.unwrap().completed, names(&["a"]));
        assert_eq!(entries[0].account_id(), Some("id"));
        let merged = merge(&mut entries, &[entry("a", &key)], OnDifference::Replace).unwrap();
        assert!(merged.is_unchanged());
        assert_eq!(entries[0].password().unwrap().expose(), "secret");
    }

    #[test]
    fn entries_that_differ_are_refused_together_or_replaced() {
        let (first, second) = (key(), key());
        let mut other_account = entry("b", &second);
        other_account.set_account_id("2");
        let others = [entry("a", &key()), other_account];
        let mut known = entry("b", &second);
        known.set_account_id("1");
        let mut entries = vec![entry("a", &first), known];
        let refused = merge(&mut entries, &others, OnDifference::Refuse).unwrap_err();
        assert_eq!(refused.to_string(), "the entries a, b differ from what is there already");
        let merged = merge(&mut entries, &others, OnDifference::Replace).unwrap();
        assert_eq!(merged.replaced, names(&["a", "b"]));
        assert_eq!(merged.kept.len(), 1, "the key of b is the same");
        assert_eq!(entries[1].account_id(), Some("2"));
        assert!(entries[0].is_same_as(&others[0]));
    }

    #[test]
    fn a_private_key_that_is_displaced_stays_under_another_name() {
        let (revoked, live) = (key(), key());
        let mut mine = entry("dora", &live);
        mine.set_account_id("1");
        let mut entries = vec![mine, entry("dora-2", &key())];
        let online = [entry("dora", &revoked), entry("dora-3", &key())];
        let merged = merge(&mut entries, &online, OnDifference::Replace).unwrap();
        assert_eq!((merged.replaced, merged.added), (names(&["dora"]), names(&["dora-3"])));
        let [was, is] = ["dora", "dora-4"].map(|name| name.parse().unwrap());
        assert_eq!(merged.kept, [Kept { was, is }], "a name that neither of them has");
        let held: Vec<_> = entries.iter().map(|entry| entry.name().as_str()).collect();
        assert_eq!(held, ["dora", "dora-2", "dora-4", "dora-3"]);
        assert!(entries[2].is_same_as(&entry("x", &live)));
        assert_eq!(entries[2].account_id(), Some("1"));
        let again = merge(&mut entries, &online, OnDifference::Replace).unwrap();
        assert!(again.is_unchanged(), "{again:?}");
    }

    #[test]
    fn a_private_key_that_is_not_lost_is_not_kept_twice() {
        let key = key();
        let (mut mine, mut other) = (entry("a", &key), entry("a", &key));
        mine.set_account_id("1");
        other.set_account_id("2");
        let mut entries = vec![mine, entry("b", &self::key())];
        let merged = merge(&mut entries, &[other], OnDifference::Replace).unwrap();
        assert_eq!((merged.replaced, merged.kept), (names(&["a"]), Vec::new()));
        // Under another name it is there already.
        let mut entries = vec![entry("a", &key), entry("home", &key)];
        let merged = merge(&mut entries, &[entry("a", &self::key())], OnDifference::Replace);
        assert_eq!(merged.unwrap().kept, Vec::new());
        assert_eq!(entries.len(), 2);
    }
}
