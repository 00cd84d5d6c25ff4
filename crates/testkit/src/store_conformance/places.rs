//! Rules about the places that keys are used from.

use std::{net::IpAddr, time::Duration};

use countersign_authority::{
    model::audit::{AuditEvent, EventKind},
    ports::{LoginRecord, NewAccount},
};
use countersign_protocol::UnixTime;

use super::{Backend, Stores};
use crate::samples::{self, NOW};

/// The minute `number` after the registration.
fn minute(number: u64) -> UnixTime {
    NOW + Duration::from_mins(number)
}

/// The address `last` in the IPv6 network of that number.
fn place(network: u16, last: u16) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, last])
}

async fn alice(stores: &Stores) -> NewAccount {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    alice
}

/// A login in that minute.
async fn log_in(stores: &Stores, account: &NewAccount, number: u64, from: IpAddr) {
    let login = samples::login(account, number);
    let event = AuditEvent { at: minute(number), ..login.event }.from(from);
    let _receipt = stores.record_login(LoginRecord { event, ..login }).await.unwrap();
}

/// A use without a login in that minute.
async fn note_use(stores: &Stores, account: &NewAccount, number: u64, from: IpAddr) {
    let event = AuditEvent::new(minute(number), EventKind::KeyUsed).account(account.id);
    let event = event.key(account.credential.thumbprint()).from(from);
    stores.note_uses(vec![event.detail("dpop")]).await.unwrap();
}

/// The addresses of the events about new places, in their order.
async fn news(stores: &Stores) -> Vec<IpAddr> {
    let trail = stores.trail().await;
    let news = trail.iter().filter(|entry| entry.event.kind == EventKind::KeyUsedFromNewPlace);
    news.map(|entry| entry.event.address.unwrap()).collect()
}

/// Where a key is seen first is no new place; where it is seen then is one, in the login's transaction.
pub async fn a_new_place_is_told_once_and_the_first_is_none(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    log_in(&stores, &alice, 1, place(1, 1)).await;
    log_in(&stores, &alice, 2, place(1, 1)).await;
    assert!(news(&stores).await.is_empty());
    log_in(&stores, &alice, 3, place(2, 1)).await;
    log_in(&stores, &alice, 4, place(2, 1)).await;
    assert_eq!(news(&stores).await, [place(2, 1)]);
    let trail = stores.trail().await;
    let told = trail.iter().find(|entry| entry.event.kind == EventKind::KeyUsedFromNewPlace);
    let told = &told.unwrap().event;
    assert_eq!((told.account_id, told.at), (Some(alice.id), minute(3)));
    assert_eq!(told.thumbprint, Some(alice.credential.thumbprint()));
    let (key, _) = stores.credential(&alice.credential.thumbprint()).await.unwrap().unwrap();
    assert_eq!(key.last_address, Some(place(2, 1)));
}

/// A key that roams between two places is told once of the second.
pub async fn a_key_that_comes_back_to_a_place_is_no_news(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 1..20 {
        log_in(&stores, &alice, number, place(u16::from(number % 2 == 0), 1)).await;
    }
    assert_eq!(news(&stores).await, [place(1, 1)]);
}

/// An IPv6 /64 is one place.
pub async fn neighbours_in_one_network_are_one_place(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 1..5 {
        let last = u16::try_from(number).unwrap();
        log_in(&stores, &alice, number, place(1, last)).await;
    }
    assert!(news(&stores).await.is_empty());
    log_in(&stores, &alice, 5, samples::address(1)).await;
    log_in(&stores, &alice, 6, samples::address(2)).await;
    assert_eq!(news(&stores).await.len(), 2, "each IPv4 address is a place");
}

/// What is remembered of a key that goes everywhere has a bound.
pub async fn only_the_latest_places_of_a_key_are_remembered(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 1..41 {
        log_in(&stores, &alice, number, place(u16::try_from(number).unwrap(), 1)).await;
    }
    assert_eq!(news(&stores).await.len(), 39);
    log_in(&stores, &alice, 41, place(30, 1)).await;
    assert_eq!(news(&stores).await.len(), 39, "one of the latest");
    log_in(&stores, &alice, 42, place(2, 1)).await;
    assert_eq!(news(&stores).await.len(), 40, "forgotten since");
}

/// Uses that the trail tells count as logins do, and are told themselves.
pub async fn uses_without_a_login_count_too(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    note_use(&stores, &alice, 1, place(1, 1)).await;
    note_use(&stores, &alice, 2, place(1, 2)).await;
    assert!(news(&stores).await.is_empty());
    note_use(&stores, &alice, 3, place(2, 1)).await;
    log_in(&stores, &alice, 4, place(2, 1)).await;
    log_in(&stores, &alice, 5, place(1, 1)).await;
    assert_eq!(news(&stores).await, [place(2, 1)]);
    let trail = stores.trail().await;
    let uses = trail.iter().filter(|entry| entry.event.kind == EventKind::KeyUsed);
    assert_eq!(uses.map(|entry| entry.event.times()).sum::<u64>(), 3);
    let unknown = samples::new_account(9, "nobody");
    note_use(&stores, &unknown, 6, place(3, 1)).await;
    assert_eq!(news(&stores).await.len(), 1);
}
