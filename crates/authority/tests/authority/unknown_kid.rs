//! Keys that this process has not read: made by another one a moment ago, or made up.

use std::{sync::Arc, time::Duration};

use countersign_authority::{
    keys::{SigningKeyError, signing::SigningKeys},
    model::key_life::KeySchedule,
};
use countersign_protocol::keys::Thumbprint;
use countersign_testkit::{random::SeededRandom, samples::NOW};

use tokio::task::yield_now;

use crate::support::KeyStore;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// A server, and another process with the same store.
async fn server_and_other() -> (Arc<KeyStore>, SigningKeys, SigningKeys) {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let server = store.start(schedule, NOW).await.unwrap();
    let other = store.start(schedule, NOW).await.unwrap();
    (store, server, other)
}

/// Lets `other` sign with a new key, and returns its `kid`.
async fn new_key(other: &SigningKeys, number: u64) -> Thumbprint {
    other.rotate(false, NOW + MILLI * 9, &SeededRandom::new(number)).await.unwrap();
    other.summaries(NOW).last().unwrap().kid
}

async fn is_found(keys: &SigningKeys, kid: &Thumbprint, monotonic: Duration) -> bool {
    keys.find_public_key(kid, NOW + SECOND, monotonic).await.unwrap().is_some()
}

fn made_up(number: u8) -> Thumbprint {
    Thumbprint::from_bytes([number; 32])
}

#[tokio::test]
async fn a_key_that_another_process_made_is_found_at_once() {
    let (store, server, other) = server_and_other().await;
    let kid = new_key(&other, 1).await;
    let before = store.reads();
    assert!(is_found(&server, &kid, SECOND).await);
    assert!(is_found(&server, &kid, SECOND).await);
    assert_eq!(store.reads(), before + 1, "and is known from then on");
}

#[tokio::test]
async fn made_up_keys_cause_one_reading_a_second() {
    let (store, server, other) = server_and_other().await;
    let before = store.reads();
    for number in 0..100 {
        assert!(!is_found(&server, &made_up(number), SECOND * 7).await);
    }
    assert_eq!(store.reads(), before + 1);
    let kid = new_key(&other, 1).await;
    let before = store.reads();
    assert!(!is_found(&server, &kid, SECOND * 7 + MILLI * 999).await);
    assert_eq!(store.reads(), before);
    assert!(is_found(&server, &kid, SECOND * 8).await);
    assert_eq!(store.reads(), before + 1);
}

#[tokio::test]
async fn those_who_ask_at_once_wait_for_one_reading() {
    let (store, server, other) = server_and_other().await;
    let kid = new_key(&other, 1).await;
    let before = store.reads();
    let (one, made_up) = (is_found(&server, &kid, SECOND), made_up(1));
    let found =
        tokio::join!(is_found(&server, &made_up, SECOND), one, is_found(&server, &kid, SECOND));
    assert_eq!(found, (false, true, true));
    assert_eq!(store.reads(), before + 1);
}

#[tokio::test]
async fn a_reading_keeps_nobody_from_making_the_key_that_is_lacking() {
    let (store, server, _) = server_and_other().await;
    let (later, random) = (NOW + Duration::from_hours(24 * 365), SeededRandom::new(1));
    let held = store.hold_next_read();
    let release = async {
        for _ in 0..20 {
            yield_now().await;
        }
        drop(held);
    };
    let made_up = made_up(1);
    let found = is_found(&server, &made_up, SECOND);
    let (found, ensured, ()) = tokio::join!(found, server.ensure(later, &random), release);
    assert!(!found);
    ensured.unwrap();
}

#[tokio::test]
async fn a_key_that_is_known_to_be_gone_causes_no_reading() {
    let (store, server, other) = server_and_other().await;
    let old = server.summaries(NOW)[0].kid;
    other.rotate(true, NOW + MILLI, &SeededRandom::new(1)).await.unwrap();
    server.reload().await.unwrap();
    let before = store.reads();
    assert!(!is_found(&server, &old, SECOND).await);
    assert_eq!(store.reads(), before);
}

#[tokio::test]
async fn when_the_keys_cannot_be_read_nobody_says_that_there_is_none() {
    let (store, server, other) = server_and_other().await;
    let kid = new_key(&other, 1).await;
    store.fail(true);
    let before = store.reads();
    for _ in 0..3 {
        let error = server.find_public_key(&kid, NOW, SECOND).await.unwrap_err();
        assert!(matches!(error, SigningKeyError::Store(_)), "{error}");
    }
    assert_eq!(store.reads(), before + 1);
    store.fail(false);
    assert!(is_found(&server, &kid, SECOND * 2).await);
}

#[tokio::test]
async fn a_reading_that_nobody_waits_for_any_more_says_nothing() {
    let (store, server, other) = server_and_other().await;
    let kid = new_key(&other, 1).await;
    let held = store.hold_next_read();
    tokio::select! {
        biased;
        _ = server.find_public_key(&kid, NOW, SECOND) => unreachable!("the reading is held"),
        () = async { for _ in 0..20 { yield_now().await } } => {}
    }
    drop(held);
    assert!(server.find_public_key(&kid, NOW, SECOND).await.is_err());
    assert!(is_found(&server, &kid, SECOND * 2).await);
}
