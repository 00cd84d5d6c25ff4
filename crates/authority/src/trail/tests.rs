//! The trail is bounded, counts what it drops, and wakes whoever writes it down.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use countersign_testkit::samples::NOW;

use super::*;
use crate::audit::EventKind;

fn event(number: usize) -> AuditEvent {
    AuditEvent::new(NOW, EventKind::LoginRefused).detail(number.to_string())
}

/// Whether somebody who begins to wait now is woken at once.
fn wakes(trail: &Trail) -> bool {
    let arrived = pin!(trail.arrived());
    arrived.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

#[test]
fn events_are_taken_once_in_the_order_in_which_they_were_noted() {
    let trail = Trail::default();
    assert_eq!(trail.take(), []);
    (0..3).for_each(|number| trail.note(event(number)));
    assert_eq!(trail.take(), [event(0), event(1), event(2)]);
    assert_eq!(trail.take(), []);
    assert_eq!(trail.dropped(), 0);
}

#[test]
fn what_is_beyond_the_capacity_is_dropped_and_counted() {
    let trail = Trail::default();
    (0..CAPACITY + 5).for_each(|number| trail.note(event(number)));
    assert_eq!(trail.dropped(), 5);
    let taken = trail.take();
    assert_eq!(taken.len(), CAPACITY);
    assert_eq!(taken.first(), Some(&event(0)), "what came first says how the flood began");
    assert_eq!(taken.last(), Some(&event(CAPACITY - 1)));
    trail.note(event(0));
    assert_eq!((trail.take().len(), trail.dropped()), (1, 5), "there is room again");
}

#[test]
fn what_could_not_be_written_counts_as_dropped() {
    let trail = Trail::default();
    (0..CAPACITY + 2).for_each(|number| trail.note(event(number)));
    trail.lost(trail.take().len());
    assert_eq!(trail.dropped(), CAPACITY as u64 + 2);
}

#[test]
fn a_writer_is_woken_by_what_was_noted_before_it_waited() {
    let trail = Trail::default();
    assert!(!wakes(&trail));
    (0..3).for_each(|number| trail.note(event(number)));
    assert!(wakes(&trail));
    assert!(!wakes(&trail), "one turn takes everything");
}

#[test]
fn a_waiting_writer_is_woken() {
    let trail = Trail::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut arrived = pin!(trail.arrived());
    assert_eq!(arrived.as_mut().poll(&mut context), Poll::Pending);
    trail.note(event(1));
    assert_eq!(arrived.as_mut().poll(&mut context), Poll::Ready(()));
}
