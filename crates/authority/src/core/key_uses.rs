//! Which keys were used, from where: counted in memory, and written down once a minute.
//!
//! A write for each request would cost more than the request. What a kill leaves unwritten, at most the
//! last minute, is lost.

use std::collections::{HashMap, hash_map::Entry};
use std::net::IpAddr;

use countersign_protocol::{
    AccountId, Actor, ClientNetwork, ProofKind, UnixTime, keys::Thumbprint,
};
use parking_lot::Mutex;

use crate::model::audit::{AuditEvent, EventKind, Fact, Repeated};

/// At most this many entries wait. Each takes about 200 bytes.
const CAPACITY: usize = 65_536;
/// When this many wait, they should be written.
const MANY: usize = CAPACITY / 2;
/// How many of them may be about one account. Beyond that, networks are not told apart.
const SHARE: usize = 64;

/// Uses of keys that wait to be written.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// What was taken and could not be written: as many entries again at most.
    unwritten: Vec<AuditEvent>,
    uses: HashMap<Used, Use>,
    of_account: HashMap<AccountId, usize>,
}

/// The key of uses that are counted in one entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Used {
    account_id: AccountId,
    key: Thumbprint,
    proof: ProofKind,
    /// None for all networks beyond the share of the account.
    network: Option<ClientNetwork>,
}

struct Use {
    /// The first address of the network.
    address: Option<IpAddr>,
    first_at: UnixTime,
    last_at: UnixTime,
    times: u64,
}

/// The result of noting a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is counted.
    Counted,
    /// It waits to be written, and so many wait that they should be written now.
    TimeToWrite,
    /// There was no room.
    Dropped,
}

impl KeyUses {
    fn note(&self, mut used: Used, address: IpAddr, now: UnixTime) -> Noted {
        let mut waiting = self.0.lock();
        if let Some(known) = waiting.uses.get_mut(&used) {
            known.again(now);
            return Noted::Counted;
        }
        let of_account = waiting.of_account.get(&used.account_id).copied().unwrap_or_default();
        let mut address = Some(address);
        if of_account >= SHARE {
            (used.network, address) = (None, None);
        }
        let count = waiting.uses.len();
        match waiting.uses.entry(used) {
            Entry::Occupied(mut known) => {
                known.get_mut().again(now);
                return Noted::Counted;
            }
            Entry::Vacant(_) if count >= CAPACITY => return Noted::Dropped,
            Entry::Vacant(place) => {
                place.insert(Use { address, first_at: now, last_at: now, times: 1 });
            }
        }
        waiting.of_account.insert(used.account_id, of_account + 1);
        if count + 1 == MANY { Noted::TimeToWrite } else { Noted::Counted }
    }

    /// Notes that `actor` has made a request from `address`, whose proof was accepted.
    pub(crate) fn note_use(&self, actor: &Actor, address: IpAddr, now: UnixTime) -> Noted {
        let (Some(key), Some(proof)) = (actor.key, actor.proof) else { return Noted::Counted };
        let network = Some(address.into());
        self.note(Used { account_id: actor.account_id, key, proof, network }, address, now)
    }

    /// Takes all waiting entries, as events.
    pub(crate) fn take(&self) -> Vec<AuditEvent> {
        let Waiting { mut unwritten, uses, .. } = std::mem::take(&mut *self.0.lock());
        unwritten.extend(uses.into_iter().map(|(used, of)| event(&used, of)));
        unwritten
    }

    /// Lets entries wait on that were taken and could not be written. Returns how many uses there was no room
    /// for.
    pub(crate) fn put_back(&self, events: &[AuditEvent]) -> u64 {
        let mut waiting = self.0.lock();
        let room = CAPACITY.saturating_sub(waiting.unwritten.len()).min(events.len());
        let (kept, lost) = events.split_at(room);
        waiting.unwritten.extend_from_slice(kept);
        lost.iter().map(AuditEvent::times).sum()
    }

    /// Whether so many wait that they should be written now.
    pub(crate) fn are_many(&self) -> bool {
        self.0.lock().uses.len() >= MANY
    }
}

impl Use {
    fn again(&mut self, now: UnixTime) {
        self.times += 1;
        self.last_at = self.last_at.max(now);
    }
}

fn event(used: &Used, Use { address, first_at, last_at, times }: Use) -> AuditEvent {
    let event = AuditEvent::new(first_at, EventKind::KeyUsed).account(used.account_id);
    let proof = used.proof.name();
    let event = event.key(used.key).detail(proof).fact(Fact::Proof, proof);
    let repeated = (times > 1).then_some(Repeated { times, last_at });
    AuditEvent { address, repeated, ..event }
}

#[cfg(test)]
mod tests;
