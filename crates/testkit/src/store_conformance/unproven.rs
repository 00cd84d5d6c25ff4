//! Rules about keys whose registration proved nothing, and about other names of accounts.

use std::time::Duration;

use countersign_authority::{
    account::{AccountName, Fingerprint},
    audit::EventKind,
    ports::{AddCredentialError, CreateAccountError, NewAccount, RevokeCredentialError},
};
use countersign_protocol::{AccountId, keys::Thumbprint};

use super::{Backend, Stores, at_once};
use crate::samples::{self, NOW};

/// Account `number` with the key of account 1.
fn with_the_same_key(number: u64, name: &str) -> NewAccount {
    let mut new = samples::new_account(number, name);
    let public_key = samples::new_account(1, "a").credential.public_key;
    new.credential = samples::credential(new.id, public_key);
    new
}

async fn owner(stores: &Stores, thumbprint: &Thumbprint) -> AccountId {
    stores.credentials.credential(thumbprint).await.unwrap().unwrap().1.id
}

/// A key that never proved itself goes to whoever registers it with a proof, and leaves its first
/// account.
pub async fn an_unproven_key_goes_to_whoever_proves_it(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut squatter = samples::new_account(1, "mallory");
    let fingerprint = Fingerprint::of("his key");
    squatter.alias = Some(fingerprint);
    let thumbprint = squatter.credential.thumbprint();
    stores.accounts.create_unproven_account(squatter.clone()).await.unwrap();
    let second = with_the_same_key(2, "trudy");
    let refused = stores.accounts.create_unproven_account(second).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)), "the first comes first");

    let proven = with_the_same_key(3, "alice");
    stores.create(&proven).await;
    assert_eq!(owner(&stores, &thumbprint).await, proven.id);
    assert!(stores.credentials.credentials_of(squatter.id).await.unwrap().is_empty());
    let by_fingerprint = AccountName::Fingerprint(fingerprint);
    assert_eq!(stores.accounts.account(&by_fingerprint).await.unwrap(), None);
    let again = stores.accounts.create_account(with_the_same_key(4, "bob")).await;
    assert!(matches!(again, Err(CreateAccountError::KeyTaken)), "now it is proven");
}

/// The same when an account adds it to its others.
pub async fn an_unproven_key_can_be_added_with_a_proof(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.accounts.create_unproven_account(samples::new_account(1, "mallory")).await.unwrap();
    let owner_of_key = samples::new_account(2, "alice");
    stores.create(&owner_of_key).await;
    let public_key = samples::new_account(1, "a").credential.public_key;
    let credential = samples::credential(owner_of_key.id, public_key);
    let event = samples::event(EventKind::KeyAdded);
    stores.credentials.add_credential(&credential, 16, event.clone()).await.unwrap();
    assert_eq!(owner(&stores, &credential.thumbprint()).await, owner_of_key.id);
    let again = stores.credentials.add_credential(&credential, 16, event).await;
    assert!(matches!(again, Err(AddCredentialError::KeyTaken)));
}

/// A key that has signed something, or logged in, stays where it is.
pub async fn a_key_proves_itself_by_its_first_use(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    let thumbprint = new.credential.thumbprint();
    stores.accounts.create_unproven_account(new.clone()).await.unwrap();
    let used_at = NOW + Duration::from_secs(7);
    stores.credentials.note_use(&thumbprint, used_at).await.unwrap();
    let refused = stores.accounts.create_account(with_the_same_key(2, "mallory")).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
    let (credential, account) = stores.credentials.credential(&thumbprint).await.unwrap().unwrap();
    assert_eq!(credential.last_used_at, Some(used_at));
    assert_eq!(account.last_login_at, Some(used_at));

    let other = samples::new_account(3, "carol");
    stores.accounts.create_unproven_account(other.clone()).await.unwrap();
    let _ = stores.credentials.record_login(samples::login(&other, 1)).await.unwrap();
    let mut thief = samples::new_account(4, "dave");
    thief.credential = samples::credential(thief.id, other.credential.public_key.clone());
    let refused = stores.accounts.create_account(thief).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
}

/// Revoking works on unproven keys too, and for ever.
pub async fn a_revoked_unproven_key_stays_taken(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    let thumbprint = new.credential.thumbprint();
    stores.accounts.create_unproven_account(new.clone()).await.unwrap();
    let event = samples::event(EventKind::KeyRevoked);
    let revoke = |event| stores.credentials.revoke_credential(new.id, &thumbprint, false, event);
    revoke(event.clone()).await.unwrap();
    assert!(matches!(revoke(event).await, Err(RevokeCredentialError::NotFound)));
    stores.credentials.note_use(&thumbprint, NOW).await.unwrap();
    let refused = stores.accounts.create_account(with_the_same_key(2, "bob")).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
}

/// Of many who prove the same key at once, one gets it.
pub async fn an_unproven_key_goes_to_one_of_many_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.accounts.create_unproven_account(samples::new_account(1, "mallory")).await.unwrap();
    let results = at_once(20, |number| {
        let stores = stores.clone();
        async move {
            let new = with_the_same_key(number + 2, &format!("user{number}"));
            stores.accounts.create_account(new).await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

/// An account is found by the fingerprint that it was registered by, and says it.
pub async fn an_account_is_found_by_its_other_name(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut new = samples::new_account(1, "alice");
    let fingerprint = Fingerprint::of("her key");
    new.alias = Some(fingerprint);
    stores.create(&new).await;
    for name in [AccountName::Fingerprint(fingerprint), AccountName::Id(new.id)] {
        let account = stores.accounts.account(&name).await.unwrap().unwrap();
        assert_eq!((account.id, account.fingerprint), (new.id, Some(fingerprint)));
    }
    let (_, account) =
        stores.credentials.credential(&new.credential.thumbprint()).await.unwrap().unwrap();
    assert_eq!(account.fingerprint, Some(fingerprint));
    let other = AccountName::Fingerprint(Fingerprint::of("another key"));
    assert_eq!(stores.accounts.account(&other).await.unwrap(), None);
}
