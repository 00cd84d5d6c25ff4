//! Rules about signing keys.

use countersign_authority::model::{audit::EventKind, key_life::SealedSigningKey};

use super::{Backend, Stores};
use crate::samples::{self, signing_key};

/// Signing keys come in the order in which they become active.
pub async fn signing_keys_come_by_time_of_activation(backend: &impl Backend) {
    let stores = backend.open().await;
    assert!(stored(&stores).await.is_empty());
    put(&stores, &[signing_key(3), signing_key(1)]).await;
    put(&stores, &[signing_key(2)]).await;
    assert_eq!(stored(&stores).await, [signing_key(1), signing_key(2), signing_key(3)]);
}

/// Keys are inserted, replaced as a whole and removed in one step, which is recorded.
pub async fn signing_keys_are_put_replaced_and_removed(backend: &impl Backend) {
    let stores = backend.open().await;
    put(&stores, &[signing_key(1), signing_key(2)]).await;
    let mut changed = SealedSigningKey { kid: signing_key(2).kid, ..signing_key(4) };
    changed.life.retired_from = changed.life.active_from;
    let events = [EventKind::SigningKeyRotated, EventKind::SigningKeyRemoved].map(samples::event);
    let gone = [signing_key(1).kid, signing_key(9).kid];
    let put = [changed.clone(), signing_key(6)];
    stores.change_signing_keys(&put, &gone, events.to_vec()).await.unwrap();
    assert_eq!(stored(&stores).await, [changed, signing_key(6)]);
    let trail: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(trail[1..], events);
}

/// Signing keys are there after reopening.
pub async fn reopening_keeps_signing_keys(backend: &impl Backend) {
    let stores = backend.open().await;
    put(&stores, &[signing_key(1)]).await;
    drop(stores);
    assert_eq!(stored(&backend.open().await).await, [signing_key(1)]);
}

async fn put(stores: &Stores, keys: &[SealedSigningKey]) {
    let events = vec![samples::event(EventKind::SigningKeyCreated)];
    stores.change_signing_keys(keys, &[], events).await.unwrap();
}

async fn stored(stores: &Stores) -> Vec<SealedSigningKey> {
    stores.signing_keys().await.unwrap()
}
