//! The trail is bounded, counts what it drops, and wakes whoever writes it down.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use countersign_protocol::keys::Thumbprint;
use countersign_testkit::samples::{NOW, account_id};

use super::*;
use crate::model::audit::EventKind;

fn event(number: usize) -> AuditEvent {
    AuditEvent::new(NOW, EventKind::LoginRefused).detail(number.to_string())
}

/// Whether somebody who begins to wait now is woken at once.
fn wakes(trail: &PendingEvents) -> bool {
    let arrived = pin!(trail.arrived());
    arrived.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

fn about(account: u64, number: usize) -> AuditEvent {
    event(number).account(account_id(account))
}

#[test]
fn events_are_taken_once_in_the_order_in_which_they_were_noted() {
    let trail = PendingEvents::default();
    assert_eq!(trail.take(), []);
    (0..3).for_each(|number| trail.note(event(number)));
    assert_eq!(trail.take(), [event(0), event(1), event(2)]);
    assert_eq!(trail.take(), []);
    assert_eq!(trail.dropped(), 0);
}

#[test]
fn refusals_that_are_alike_are_one_entry_that_counts_them() {
    let trail = PendingEvents::default();
    let at = |second| AuditEvent {
        at: NOW + Duration::from_secs(second),
        ..about(1, 0).from("2001:db8::1".parse().unwrap())
    };
    (0..100_000).for_each(|second| trail.note(at(second)));
    trail.note(AuditEvent { address: Some("2001:db8::2".parse().unwrap()), ..at(100_000) });
    trail.note(AuditEvent { address: Some("2001:db8:0:1::1".parse().unwrap()), ..at(7) });
    trail.note(AuditEvent { kind: EventKind::ProofReplayed, ..at(8) });
    let taken = trail.take();
    assert_eq!(taken.len(), 3);
    assert_eq!((taken[0].at, taken[0].times()), (NOW, 100_001));
    assert_eq!(taken[0].last_at(), NOW + Duration::from_secs(100_000));
    assert_eq!(taken[1].repeated, None);
    assert_eq!(trail.dropped(), 0);
    trail.note(at(0));
    assert_eq!(trail.take(), [at(0)], "what was taken is not counted again");
}

#[test]
fn refused_changes_of_made_up_keys_are_one_entry() {
    let trail = PendingEvents::default();
    let refused = |number: u8| {
        let event = AuditEvent::new(NOW, EventKind::KeyChangeRefused).account(account_id(1));
        event.key(Thumbprint::from_bytes([number; 32])).detail("revoking: a session key")
    };
    (0..100).for_each(|number| trail.note(refused(number)));
    let taken = trail.take();
    assert_eq!((taken.len(), taken[0].times()), (1, 100));
    assert_eq!(taken[0].thumbprint, refused(0).thumbprint);
}

#[test]
fn refusals_about_one_account_leave_room_for_those_about_others() {
    let trail = PendingEvents::default();
    (0..SHARE + 5).for_each(|number| trail.note(about(1, number)));
    assert_eq!(trail.dropped(), 5);
    trail.note(about(2, 0));
    let taken = trail.take();
    assert_eq!(taken.len(), SHARE + 2);
    assert_eq!(taken[0], about(1, 0), "what came first says how the flood began");
    assert_eq!(taken[SHARE], about(2, 0));
    let dropped = &taken[SHARE + 1];
    assert_eq!(dropped.kind, EventKind::RefusalsDropped);
    assert_eq!((dropped.account_id, dropped.times()), (Some(account_id(1)), 5));
    trail.note(about(1, 0));
    assert_eq!((trail.take().len(), trail.dropped()), (1, 5), "there is room again");
}

#[test]
fn refusals_of_one_kind_leave_room_for_those_of_another_about_the_same_account() {
    let trail = PendingEvents::default();
    (0..SHARE + 5).for_each(|number| trail.note(about(1, number)));
    let other = AuditEvent { kind: EventKind::KeyChangeRefused, ..about(1, 0) };
    trail.note(other.clone());
    assert_eq!(trail.dropped(), 5);
    assert!(trail.take().contains(&other));
}

#[test]
fn strangers_push_out_nothing_that_is_no_refusal() {
    let trail = PendingEvents::default();
    let accounts = u64::try_from(CAPACITY).unwrap() + 9;
    (0..accounts).for_each(|account| trail.note(about(account, 0)));
    assert_eq!(trail.dropped(), 9);
    let login = AuditEvent::new(NOW, EventKind::LoginSucceeded);
    trail.note(login.clone());
    let taken = trail.take();
    assert_eq!((taken.len(), &taken[0]), (CAPACITY + 2, &login));
    assert_eq!(taken[CAPACITY + 1].account_id, None, "they were about several");
    assert_eq!(taken[CAPACITY + 1].times(), 9);
}

#[test]
fn tries_that_prove_nothing_leave_room_for_refusals_of_what_is_genuine() {
    let trail = PendingEvents::default();
    let accounts = u64::try_from(CAPACITY).unwrap() + 9;
    let wrong = |account| AuditEvent { kind: EventKind::RecoveryRefused, ..about(account, 0) };
    (0..accounts).for_each(|account| trail.note(wrong(account)));
    trail.note(about(1, 0));
    assert_eq!(trail.dropped(), 9);
    assert_eq!(trail.take()[0], about(1, 0));
}

#[test]
fn what_could_not_be_written_counts_as_dropped() {
    let trail = PendingEvents::default();
    trail.note(event(0));
    trail.lost(7);
    assert_eq!(trail.dropped(), 7);
}

#[test]
fn a_writer_is_woken_by_what_was_noted_before_it_waited() {
    let trail = PendingEvents::default();
    assert!(!wakes(&trail));
    (0..3).for_each(|number| trail.note(event(number)));
    assert!(wakes(&trail));
    assert!(!wakes(&trail), "one turn takes everything");
}

#[test]
fn a_waiting_writer_is_woken() {
    let trail = PendingEvents::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut arrived = pin!(trail.arrived());
    assert_eq!(arrived.as_mut().poll(&mut context), Poll::Pending);
    trail.note(event(1));
    assert_eq!(arrived.as_mut().poll(&mut context), Poll::Ready(()));
}
