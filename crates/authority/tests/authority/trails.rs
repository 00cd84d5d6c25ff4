//! Whose reading of an audit trail waits for whose.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use async_trait::async_trait;
use countersign_authority::{
    accounts::own_records::{OwnEvents, OwnRecordsError},
    model::{
        audit::{AuditEvent, AuditFilter, RecordedEvent},
        limits::TurnLimits,
        trail::{TrailPage, TrailQuery},
    },
    ports::{AuditStore, StoreError},
};
use countersign_protocol::{
    AccountId, Coverage, CoveredTarget, Principal, ProofKind, Scopes, shares::NoPlace,
};
use countersign_testkit::{
    samples::{NOW, account_id},
    store_parts::StoreParts,
};
use parking_lot::Mutex;

use crate::support::World;

/// Trails that are read for ever, and whose they are.
#[derive(Default)]
struct LongTrails(Mutex<Vec<AccountId>>);

#[async_trait]
impl AuditStore for LongTrails {
    async fn append(&self, _: Vec<AuditEvent>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn trail_page(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        self.0.lock().push(query.account_id);
        pending().await
    }

    async fn events(&self, _: &AuditFilter, _: u32) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(Vec::new())
    }
}

fn principal(account_id: AccountId) -> Principal {
    Principal {
        account_id,
        username: None,
        key: None,
        proof: ProofKind::Dpop,
        token_id: None,
        scopes: Scopes::default(),
        narrowed: false,
        covers: Coverage { target: CoveredTarget::Request, body: None },
        authentication: None,
        issued_at: None,
        expires_at: NOW,
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context))).await
}

#[tokio::test]
async fn accounts_take_turns_at_their_trails_and_each_has_a_share_of_the_places_to_wait_in() {
    let trails = Arc::new(LongTrails::default());
    let audit = Arc::clone(&trails);
    let change = |parts: &mut StoreParts| parts.audit = audit;
    let world = World::with(|_| {}, |ports| StoreParts::replace(&mut ports.store, change)).await;
    let [alice, bob] = [1, 2].map(account_id);
    let accounts = &world.authority.accounts;
    let of =
        |id| async move { accounts.own_events(&principal(id), OwnEvents::default(), 50).await };
    let mut reads = Vec::new();
    let mut begin = async |id| {
        let mut read = Box::pin(of(id));
        let begun = poll_once(&mut read).await;
        if begun.is_pending() {
            reads.push(read);
        }
        begun
    };
    for _ in 0..TurnLimits::OF_TRAILS.each {
        assert!(begin(alice).await.is_pending());
    }
    let refused = begin(alice).await;
    let expected = |refusal: &Poll<_>| {
        matches!(refusal, Poll::Ready(Err(OwnRecordsError::NoPlace(NoPlace::ShareUsedUp))))
    };
    assert!(expected(&refused), "{refused:?}");
    assert!(begin(bob).await.is_pending(), "it waits for the one that is under way");
    assert_eq!(*trails.0.lock(), [alice], "one is read at once");

    // Two of Alice's end, or rather leave.
    for _ in 0..2 {
        drop(reads.remove(0));
        for read in &mut reads {
            assert!(poll_once(read).await.is_pending());
        }
    }
    assert_eq!(*trails.0.lock(), [alice, alice, bob], "Bob does not wait for all of Alice's");
}
