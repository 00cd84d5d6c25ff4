//! Rules about the vault, and about what is sealed.

use countersign_authority::{
    model::{
        audit::EventKind,
        key_life::{SealedServerKey, SealedSigningKey},
    },
    ports::{
        ChangeSigningKeysError, CreateAccountError, ServerKeyOwners, SigningKeyChange,
        SigningKeyVersion, StoredSigningKeys, VaultRecord,
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

/// A new master key replaces the record and is recorded; everything that is sealed stays as it is.
pub async fn changing_the_vault_leaves_what_is_sealed(backend: &impl Backend) {
    let stores = backend.open().await;
    let sealed = seal_everything(&stores).await;
    let event = samples::event(EventKind::MasterKeyChanged);
    let changed = stores.change_vault(&vault_record(1), &vault_record(2), event.clone()).await;
    assert!(changed.unwrap());
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.vault().await.unwrap(), Some(vault_record(2)));
    assert_eq!(everything_sealed(&stores).await, sealed);
    assert_eq!(stores.trail().await.last().map(|recorded| &recorded.event), Some(&event));
}

/// Of several changes of one vault, one counts, and the others leave nothing.
pub async fn of_changes_of_one_vault_one_counts(backend: &impl Backend) {
    let stores = backend.open().await;
    let event = samples::event(EventKind::MasterKeyChanged);
    let (one, next) = (vault_record(1), vault_record(2));
    assert!(!stores.change_vault(&one, &next, event.clone()).await.unwrap(), "there is none");
    assert!(stores.create_vault(&one).await.unwrap());
    for differs in [
        VaultRecord { salt: [9; 16], ..one.clone() },
        VaultRecord { nonce: [9; 12], ..one.clone() },
        VaultRecord { sealed_roots: vec![1; 47], ..one },
    ] {
        assert!(!stores.change_vault(&differs, &next, event.clone()).await.unwrap());
    }
    let changed = at_once(backend, 20, |number, vault| {
        let record = vault_record(u8::try_from(number + 3).unwrap());
        let event = samples::event(EventKind::MasterKeyChanged);
        async move {
            let changed = vault.change_vault(&vault_record(1), &record, event).await;
            changed.unwrap().then_some(record)
        }
    })
    .await;
    let winners: Vec<_> = changed.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(stores.vault().await.unwrap().as_ref(), winners.first());
    assert_eq!(stores.trail().await.len(), 1);
}

/// Giving up the vault deletes everything that is sealed, puts another record, and is recorded.
pub async fn abandoning_the_vault_deletes_what_is_sealed(backend: &impl Backend) {
    let stores = backend.open().await;
    let (_, version) = seal_everything(&stores).await;
    let event = samples::event(EventKind::MasterKeyAbandoned);
    stores.abandon_vault(&vault_record(2), version, event.clone()).await.unwrap();
    drop(stores);
    let stores = backend.open().await;
    assert_eq!(stores.vault().await.unwrap(), Some(vault_record(2)));
    let (sealed, _) = everything_sealed(&stores).await;
    assert_eq!(sealed, Sealed::default());
    assert_eq!(stores.trail().await.last().map(|recorded| &recorded.event), Some(&event));
}

/// A signing key that was put after the others were counted as lost stays: nothing is deleted. Nor is a
/// key put that was sealed for the vault before.
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
    let event = samples::event(EventKind::MasterKeyAbandoned);
    let abandoned = stores.abandon_vault(&vault_record(2), decided_on, event.clone()).await;
    assert!(matches!(abandoned, Err(ChangeSigningKeysError::Stale)), "{abandoned:?}");
    assert_eq!(stores.vault().await.unwrap(), Some(vault_record(1)));
    let StoredSigningKeys { version, keys } = stores.signing_keys().await.unwrap();
    assert_eq!(keys, [signing_key(1)]);
    assert!(stores.trail().await.is_empty());

    stores.abandon_vault(&vault_record(2), version, event).await.unwrap();
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
    let owners = ServerKeyOwners { count: 1, first: vec![alice.id] };
    assert_eq!(stores.server_key_owners(20).await.unwrap(), owners);
}

/// All accounts with a key pair are counted, and the first of them named.
pub async fn the_owners_of_key_pairs_are_counted_and_some_are_named(backend: &impl Backend) {
    let stores = backend.open().await;
    assert_eq!(stores.server_key_owners(2).await.unwrap(), ServerKeyOwners::default());
    for (number, name) in [(1, "alice"), (2, "bob"), (3, "carol"), (4, "dave")] {
        let mut new = samples::new_account(number, name);
        new.server_key = (number != 2).then(|| server_key(1));
        stores.create(&new).await;
    }
    let first = vec![samples::account_id(1), samples::account_id(3)];
    let owners = ServerKeyOwners { count: 3, first };
    assert_eq!(stores.server_key_owners(2).await.unwrap(), owners);
}

/// Of many first uses at the same time, one makes the key pair of sealed registrations, which then
/// stays.
pub async fn the_registration_key_is_created_once(backend: &impl Backend) {
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
}

/// Of many first uses at the same time, one makes the secret of online keyrings, which then stays.
pub async fn the_opaque_setup_is_created_once(backend: &impl Backend) {
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
}

/// What is sealed: signing keys, key pairs of accounts, the one of registrations, the secret of keyrings.
#[derive(Debug, Default, PartialEq)]
struct Sealed {
    signing_keys: Vec<SealedSigningKey>,
    of_accounts: Vec<SealedServerKey>,
    registration_key: Option<SealedServerKey>,
    opaque_setup: Option<SealedServerKey>,
}

/// Puts two of each kind that there can be two of.
async fn seal_everything(stores: &Stores) -> (Sealed, SigningKeyVersion) {
    assert!(stores.create_vault(&vault_record(1)).await.unwrap());
    let put = vec![signing_key(1), signing_key(2)];
    let change = SigningKeyChange { put, ..SigningKeyChange::default() };
    stores.change_signing_keys(change).await.unwrap();
    for (number, name) in [(1, "alice"), (2, "bob")] {
        let mut new = samples::new_account(number, name);
        new.server_key = Some(server_key(u8::try_from(number).unwrap()));
        stores.create(&new).await;
    }
    assert!(stores.create_registration_key(&server_key(98)).await.unwrap());
    assert!(stores.create_opaque_setup(&server_key(99)).await.unwrap());
    let (sealed, version) = everything_sealed(stores).await;
    assert_eq!((sealed.signing_keys.len(), sealed.of_accounts.len()), (2, 2));
    (sealed, version)
}

async fn everything_sealed(stores: &Stores) -> (Sealed, SigningKeyVersion) {
    let mut of_accounts = Vec::new();
    for number in [1, 2] {
        of_accounts.extend(stores.server_key(samples::account_id(number)).await.unwrap());
    }
    let StoredSigningKeys { version, keys: signing_keys } = stores.signing_keys().await.unwrap();
    let registration_key = stores.registration_key().await.unwrap();
    let opaque_setup = stores.opaque_setup().await.unwrap();
    (Sealed { signing_keys, of_accounts, registration_key, opaque_setup }, version)
}

fn server_key(number: u8) -> SealedServerKey {
    SealedServerKey { ciphertext: vec![number; 1234], nonce: [number; 12] }
}
