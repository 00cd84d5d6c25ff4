//! Uses are counted within bounds.

use std::time::Duration;

use countersign_testkit::{
    keys::ed25519_public,
    samples::{NOW, account_id},
};

use super::*;

fn used(account: u64, network: usize) -> (Used, IpAddr) {
    let [.., high, low] = network.to_be_bytes();
    let address: IpAddr = [10, 0, high, low].into();
    let key = ed25519_public(1).thumbprint();
    let account_id = account_id(account);
    (Used { account_id, key, proof: ProofKind::Dpop, network: Some(address.into()) }, address)
}

fn note(uses: &KeyUses, account: u64, network: usize) -> Noted {
    let (used, address) = used(account, network);
    uses.note(used, address, NOW)
}

#[test]
fn uses_of_one_key_from_one_network_are_one_event_that_counts_them() {
    let uses = KeyUses::default();
    let (one, address) = used(1, 1);
    for second in 0..1000 {
        uses.note(one, address, NOW + Duration::from_secs(second));
    }
    uses.note(Used { proof: ProofKind::SelfSigned, ..one }, address, NOW);
    note(&uses, 1, 2);
    note(&uses, 2, 1);
    let mut events = uses.take();
    assert_eq!(events.len(), 4);
    events.sort_by_key(|event| std::cmp::Reverse(event.times()));
    let many = &events[0];
    assert_eq!((many.kind, many.account_id), (EventKind::KeyUsed, Some(account_id(1))));
    assert_eq!((many.address, many.detail.as_deref()), (Some(address), Some("dpop")));
    assert_eq!((many.at, many.times()), (NOW, 1000));
    assert_eq!(many.last_at(), NOW + Duration::from_secs(999));
    assert!(events[1..].iter().all(|event| event.repeated.is_none()));
    assert_eq!(uses.take(), []);
}

#[test]
fn beyond_its_share_the_networks_of_an_account_are_not_told_apart() {
    let uses = KeyUses::default();
    for network in 0..SHARE + 10 {
        assert_eq!(note(&uses, 1, network), Noted::Counted);
    }
    assert_eq!(note(&uses, 2, 0), Noted::Counted);
    let events = uses.take();
    assert_eq!(events.len(), SHARE + 2);
    let rest: Vec<_> = events.iter().filter(|event| event.address.is_none()).collect();
    assert_eq!((rest.len(), rest[0].times()), (1, 10));
    assert_eq!(rest[0].account_id, Some(account_id(1)));
}

#[test]
fn there_is_a_bound_and_it_is_said_in_time_that_it_is_near() {
    let uses = KeyUses::default();
    for account in 1..=CAPACITY {
        let expected = if account == MANY { Noted::TimeToWrite } else { Noted::Counted };
        assert_eq!(note(&uses, account as u64, 0), expected);
        assert_eq!(uses.are_many(), account >= MANY);
    }
    assert_eq!(note(&uses, 0, 0), Noted::Dropped);
    assert_eq!(note(&uses, 1, 0), Noted::Counted, "what is known is counted on");
    assert_eq!(uses.take().len(), CAPACITY);
    assert_eq!(note(&uses, 0, 0), Noted::Counted);
}

#[test]
fn what_could_not_be_written_waits_as_far_as_there_is_room() {
    let uses = KeyUses::default();
    note(&uses, 1, 1);
    let taken = uses.take();
    assert_eq!(uses.put_back(&taken), 0);
    note(&uses, 1, 1);
    let taken = uses.take();
    assert_eq!(taken.iter().map(AuditEvent::times).sum::<u64>(), 2);
    let full: Vec<_> = taken.into_iter().cycle().take(CAPACITY + 7).collect();
    assert_eq!(uses.put_back(&full), 7);
    note(&uses, 2, 1);
    assert_eq!(uses.take().len(), CAPACITY + 1);
}
