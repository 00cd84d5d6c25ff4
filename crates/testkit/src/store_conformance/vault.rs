//! Rules about the record of the master key.

use countersign_authority::{
    model::{
        audit::{AuditEvent, EventKind},
        key_life::SealedServerKey,
    },
    ports::{
        ChangeSigningKeysError, CreateAccountError, SealedSecrets, SigningKeyChange,
        StoredSigningKeys,
    },
};

use super::{Backend, Stores, at_once};
use crate::samples::{self, signing_key, vault_record};

/// Of many first starts at the same time, one makes the record, which then stays.
pub async fn the_vault_is_created_once(backend: &impl Backend) {
    let stores = backend.open().await;
    assert_eq!(stores.vault().await.unwrap(), None);
    let created = at_once(backend, 20, |number, vault| {
        let record = vault_record(u8::try_from(number).unwrap());
        async move { vault.create_vault(&record).await.unwrap().then_some(record) }
    })
    .await;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.vault().await.unwrap().as_ref(), winners.first());
}

/// A new master key replaces the record and all signing keys, and is recorded.
pub async fn replacing_the_vault_replaces_all_signing_keys(backend: &impl Backend) {
    let stores = backend.open().await;
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let put = vec![signing_key(1), signing_key(2)];
    let change = SigningKeyChange { put, ..SigningKeyChange::default() };
    stores.change_signing_keys(change).await.unwrap();

    let mut resealed = signing_key(2);
    resealed.ciphertext = vec![7; 70];
    let event = samples::event(EventKind::MasterKeyChanged);
    let keys = vec![resealed, signing_key(3)];
    let secrets = SealedSecrets { signing_keys: keys.clone(), ..SealedSecrets::default() };
    replace(&stores, &secrets, event.clone()).await;
    assert_eq!(stores.vault().await.unwrap(), Some(vault_record(2)));
    assert_eq!(stores.signing_keys().await.unwrap().keys, keys);
    assert_eq!(stores.trail().await[0].event, event);
}

/// A signing key that was put after the old ones were read, to be sealed anew, stays: nothing is
/// replaced. Nor is a key put that was sealed for the vault before.
pub async fn no_signing_key_that_was_put_meanwhile_is_lost_with_the_old_vault(
    backend: &impl Backend,
) {
    let stores = backend.open().await;
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let decided_on = stores.signing_keys().await.unwrap().version;
    let put = |number| SigningKeyChange {
        decided_on,
        put: vec![signing_key(number)],
        ..SigningKeyChange::default()
    };
    stores.change_signing_keys(put(1)).await.unwrap();
    let (secrets, event) = (SealedSecrets::default(), samples::event(EventKind::MasterKeyChanged));
    let replaced =
        stores.replace_vault(&vault_record(2), &secrets, decided_on, event.clone()).await;
    assert!(matches!(replaced, Err(ChangeSigningKeysError::Stale)), "{replaced:?}");
    assert_eq!(stores.vault().await.unwrap(), Some(vault_record(1)));
    let StoredSigningKeys { version, keys } = stores.signing_keys().await.unwrap();
    assert_eq!(keys, [signing_key(1)]);
    assert!(stores.trail().await.is_empty());

    replace(&stores, &secrets, event).await;
    let late = SigningKeyChange { decided_on: version, ..put(2) };
    let late = stores.change_signing_keys(late).await;
    assert!(matches!(late, Err(ChangeSigningKeysError::Stale)), "{late:?}");
    assert!(stores.signing_keys().await.unwrap().keys.is_empty());
}

/// The key pair that was made for an account is found by the account's id; an account that was
/// refused leaves none.
pub async fn a_key_pair_for_an_account_comes_with_the_account(backend: &impl Backend) {
    let stores = backend.open().await;
    let (mut alice, mut bob) = (samples::new_account(1, "alice"), samples::new_account(2, "bob"));
    alice.server_key = Some(server_key(1));
    stores.create(&alice).await;
    stores.create(&bob).await;
    bob.id = samples::account_id(3);
    bob.credential.account_id = bob.id;
    bob.server_key = Some(server_key(3));
    let refusal = stores.create_account(bob.clone()).await;
    assert!(matches!(refusal, Err(CreateAccountError::UsernameTaken)), "{refusal:?}");
    drop(stores);
    let stores = backend.open().await;
    for (number, expected) in [(1, Some(server_key(1))), (2, None), (3, None)] {
        let found = stores.server_key(samples::account_id(number)).await.unwrap();
        assert_eq!(found, expected, "account {number}");
    }
    assert_eq!(stores.server_keys().await.unwrap(), [(alice.id, server_key(1))]);
}

/// A new master key replaces the key pairs of all accounts.
pub async fn replacing_the_vault_replaces_all_key_pairs_for_accounts(backend: &impl Backend) {
    let stores = backend.open().await;
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let mut ids = Vec::new();
    for (number, name) in [(1, "alice"), (2, "bob")] {
        let mut new = samples::new_account(number, name);
        new.server_key = Some(server_key(1));
        stores.create(&new).await;
        ids.push(new.id);
    }
    let resealed = vec![(ids[0], server_key(7)), (ids[1], server_key(8))];
    let event = samples::event(EventKind::MasterKeyChanged);
    let secrets = SealedSecrets { server_keys: resealed.clone(), ..SealedSecrets::default() };
    replace(&stores, &secrets, event).await;
    assert_eq!(stores.server_keys().await.unwrap(), resealed);
    assert_eq!(stores.server_key(ids[1]).await.unwrap(), Some(server_key(8)));
}

/// Of many first uses at the same time, one makes the key pair of sealed registrations, which then
/// stays until a new master key replaces it.
pub async fn the_registration_key_is_created_once_and_resealed(backend: &impl Backend) {
    let stores = backend.open().await;
    assert_eq!(stores.registration_key().await.unwrap(), None);
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let created = at_once(backend, 20, |number, vault| {
        let key = server_key(u8::try_from(number).unwrap());
        async move { vault.create_registration_key(&key).await.unwrap().then_some(key) }
    })
    .await;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.registration_key().await.unwrap().as_ref(), winners.first());
    let event = samples::event(EventKind::MasterKeyChanged);
    let resealed = server_key(99);
    let secrets =
        SealedSecrets { registration_key: Some(resealed.clone()), ..SealedSecrets::default() };
    replace(&stores, &secrets, event).await;
    assert_eq!(stores.registration_key().await.unwrap(), Some(resealed));
}

/// Of many first uses at the same time, one makes the secret of online keyrings, which then stays until
/// it is sealed with a new master key.
pub async fn the_opaque_setup_is_created_once_and_resealed(backend: &impl Backend) {
    let stores = backend.open().await;
    assert_eq!(stores.opaque_setup().await.unwrap(), None);
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let created = at_once(backend, 20, |number, vault| {
        let setup = server_key(u8::try_from(number).unwrap());
        async move { vault.create_opaque_setup(&setup).await.unwrap().then_some(setup) }
    })
    .await;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.opaque_setup().await.unwrap().as_ref(), winners.first());
    let resealed = server_key(98);
    let secrets =
        SealedSecrets { opaque_setup: Some(resealed.clone()), ..SealedSecrets::default() };
    let event = samples::event(EventKind::MasterKeyChanged);
    replace(&stores, &secrets, event).await;
    assert_eq!(stores.opaque_setup().await.unwrap(), Some(resealed));
}

/// Replaces the vault, whose signing keys nobody else changes.
async fn replace(stores: &Stores, secrets: &SealedSecrets, event: AuditEvent) {
    let version = stores.signing_keys().await.unwrap().version;
    stores.replace_vault(&vault_record(2), secrets, version, event).await.unwrap();
}

fn server_key(number: u8) -> SealedServerKey {
    SealedServerKey { ciphertext: vec![number; 1234], nonce: [number; 12] }
}
