//! The part of the audit trail that no change carries: refusals, and some logins, noted in passing.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use countersign_protocol::AccountId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::audit::{AuditEvent, Budget, EventKind, Likeness};

/// At most this many refusals, this many tries and this many other events wait. More are dropped,
/// and counted.
const CAPACITY: usize = 4096;
/// How many waiting refusals of one kind may be about one account, or about none. No kind pushes
/// out another.
const SHARE: usize = CAPACITY / 64;

/// Events that wait to be written. Noting one never waits and never fails. A flood of refusals
/// costs bounded memory, delays nobody, and pushes out no events about others.
#[derive(Default)]
pub(crate) struct PendingEvents {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    /// Events that are no refusals. Only clients that have proven something add to them.
    others: Vec<AuditEvent>,
    refusals: Folded,
    /// Events that anybody can cause without proving anything. They take no places of the refusals.
    tries: Folded,
    /// How many events were dropped since the last time, and their account if it was only one.
    dropped: Option<AuditEvent>,
}

/// Events in which like events are counted together.
#[derive(Default)]
struct Folded {
    events: Vec<AuditEvent>,
    /// Where those stand that are alike.
    places: HashMap<Likeness, usize>,
    of_owner: HashMap<(Option<AccountId>, EventKind), usize>,
}

impl PendingEvents {
    pub(crate) fn note(&self, event: AuditEvent) {
        self.keep(event);
        self.arrived.notify_one();
    }

    /// Lets events wait on that were taken and could not be written, as far as there is room.
    pub(crate) fn put_back(&self, events: &[AuditEvent]) {
        events.iter().cloned().for_each(|event| self.keep(event));
    }

    fn keep(&self, event: AuditEvent) {
        let times = event.times();
        let noted = match event.kind.budget() {
            Budget::Refusals => self.waiting.lock().note_refusal(event),
            Budget::Tries => self.waiting.lock().note_try(event),
            Budget::Changes | Budget::Logins | Budget::Uses => {
                self.waiting.lock().note_other(event)
            }
        };
        if !noted {
            self.lost(times);
        }
    }

    /// Wakes the task that writes the events.
    pub(crate) fn wake(&self) {
        self.arrived.notify_one();
    }

    /// Waits until something was noted.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all waiting events, and an event that says how many were dropped.
    pub(crate) fn take(&self) -> Vec<AuditEvent> {
        let Waiting { mut others, refusals, tries, dropped } =
            std::mem::take(&mut *self.waiting.lock());
        others.extend(refusals.events);
        others.extend(tries.events);
        others.extend(dropped);
        others
    }

    /// Counts events that there was no room for.
    pub(crate) fn lost(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Waiting {
    fn note_other(&mut self, event: AuditEvent) -> bool {
        let has_room = self.others.len() < CAPACITY;
        if has_room {
            self.others.push(event);
        }
        has_room
    }

    fn note_refusal(&mut self, event: AuditEvent) -> bool {
        let dropped = self.refusals.note(event);
        self.count_dropped(dropped)
    }

    fn note_try(&mut self, event: AuditEvent) -> bool {
        let dropped = self.tries.note(event);
        self.count_dropped(dropped)
    }

    /// Says how many are missing, and whose they are, if they are of one account. Returns whether none
    /// was dropped.
    fn count_dropped(&mut self, event: Option<AuditEvent>) -> bool {
        let Some(event) = event else { return true };
        let Some(dropped) = &mut self.dropped else {
            let mut dropped = AuditEvent::new(event.at, EventKind::RefusalsDropped);
            dropped.account_id = event.account_id;
            self.dropped = Some(dropped.detail("too many at once"));
            return false;
        };
        if dropped.account_id != event.account_id {
            dropped.account_id = None;
        }
        dropped.again(event.times(), event.last_at());
        false
    }
}

impl Folded {
    /// Counts it with those that are alike, or else gives it a place of its own. Returns it when there
    /// is none.
    fn note(&mut self, event: AuditEvent) -> Option<AuditEvent> {
        let likeness = event.likeness();
        if let Some(place) = self.places.get(&likeness) {
            self.events[*place].again(event.times(), event.last_at());
            return None;
        }
        let owner = (event.account_id, event.kind);
        let of_owner = self.of_owner.get(&owner).copied().unwrap_or_default();
        if self.events.len() >= CAPACITY || of_owner >= SHARE {
            return Some(event);
        }
        self.of_owner.insert(owner, of_owner + 1);
        self.places.insert(likeness, self.events.len());
        self.events.push(event);
        None
    }
}

#[cfg(test)]
mod tests;
