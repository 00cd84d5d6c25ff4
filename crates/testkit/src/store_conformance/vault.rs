//! Rules about the record of the master key.

use countersign_authority::audit::EventKind;

use super::{Backend, at_once};
use crate::samples::{self, signing_key, vault_record};

/// Of many first starts at the same time, one makes the record, which then stays.
pub async fn the_vault_is_created_once(backend: &impl Backend) {
    let stores = backend.open().await;
    assert_eq!(stores.vault.vault().await.unwrap(), None);
    let created = at_once(20, |number| {
        let vault = stores.vault.clone();
        let record = vault_record(u8::try_from(number).unwrap());
        async move { vault.create_vault(&record).await.unwrap().then_some(record) }
    })
    .await;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.vault.vault().await.unwrap().as_ref(), winners.first());
}

/// A new master key replaces the record and all signing keys, and is recorded.
pub async fn replacing_the_vault_replaces_all_signing_keys(backend: &impl Backend) {
    let stores = backend.open().await;
    assert!(stores.vault.create_vault(&vault_record(1)).await.unwrap());
    let old = [signing_key(1), signing_key(2)];
    stores.signing_keys.change_signing_keys(&old, &[], Vec::new()).await.unwrap();

    let mut resealed = signing_key(2);
    resealed.ciphertext = vec![7; 70];
    let event = samples::event(EventKind::MasterKeyChanged);
    let keys = [resealed, signing_key(3)];
    stores.vault.replace_vault(&vault_record(2), &keys, &[], event.clone()).await.unwrap();
    assert_eq!(stores.vault.vault().await.unwrap(), Some(vault_record(2)));
    assert_eq!(stores.signing_keys.signing_keys().await.unwrap(), keys);
    assert_eq!(stores.trail().await[0].event, event);
}
