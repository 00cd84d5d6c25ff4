//! Rules about keys whose registration proved nothing, and about other names of accounts.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::{AccountName, Fingerprint},
        audit::EventKind,
        credential::Credential,
    },
    ports::{
        AddCredentialError, CreateAccountError, NewAccount, Permit, RecordLoginError,
        RevokeCredentialError,
    },
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
    stores.credential(thumbprint).await.unwrap().unwrap().1.id
}

async fn claim(stores: &Stores, new: &NewAccount) {
    stores.create_unproven_account(new.clone()).await.unwrap();
}

/// The keys that an account may sign with, and whether each is proven.
async fn keys(stores: &Stores, id: AccountId) -> Vec<(Thumbprint, bool)> {
    let (account, live) = stores.live_credentials(id).await.unwrap().unwrap();
    assert_eq!(account.id, id);
    live.iter().map(|key| (key.thumbprint(), key.is_proven)).collect()
}

/// Who lost a claim, by the audit trail.
async fn losers(stores: &Stores) -> Vec<AccountId> {
    let lost = stores.trail().await.into_iter().map(|recorded| recorded.event);
    let lost = lost.filter(|event| event.kind == EventKind::KeyClaimLost);
    lost.filter_map(|event| event.account_id).collect()
}

/// A claim is a key of its own account, and of nobody as far as others are concerned.
pub async fn a_claim_counts_for_its_own_account_alone(backend: &impl Backend) {
    let stores = backend.open().await;
    let squatter = samples::new_account(1, "mallory");
    let thumbprint = squatter.credential.thumbprint();
    claim(&stores, &squatter).await;
    assert!(stores.credential(&thumbprint).await.unwrap().is_none());
    assert!(!stores.is_taken(&thumbprint).await.unwrap());
    assert_eq!(keys(&stores, squatter.id).await, [(thumbprint, false)]);
    let listed = stores.credentials_of(squatter.id).await.unwrap();
    assert_eq!(listed.len(), 1);
    let nobody = samples::account_id(9);
    assert!(stores.live_credentials(nobody).await.unwrap().is_none());
}

/// Any number of accounts may claim one key; the first that signs gets it, and the others lose it,
/// each with an event.
pub async fn the_first_who_signs_gets_the_key(backend: &impl Backend) {
    let stores = backend.open().await;
    let claimants: Vec<_> = [(1, "mallory"), (2, "alice"), (3, "trudy")]
        .map(|(number, name)| with_the_same_key(number, name))
        .into();
    for claimant in &claimants {
        claim(&stores, claimant).await;
    }
    let [mallory, alice, trudy] = claimants.as_slice() else { unreachable!() };
    let thumbprint = alice.credential.thumbprint();
    let used_at = NOW + Duration::from_secs(7);
    stores.note_use(alice.id, &thumbprint, used_at).await.unwrap();
    assert_eq!(owner(&stores, &thumbprint).await, alice.id);
    assert_eq!(keys(&stores, alice.id).await, [(thumbprint, true)]);
    assert_eq!(keys(&stores, mallory.id).await, []);
    assert_eq!(losers(&stores).await, [mallory.id, trudy.id]);
    let late = stores.record_login(samples::login(trudy, 1)).await;
    assert!(matches!(late, Err(RecordLoginError::NotLive)), "{late:?}");
    stores.note_use(mallory.id, &thumbprint, used_at).await.unwrap();
    assert_eq!(owner(&stores, &thumbprint).await, alice.id);
    let refused = stores.create_unproven_account(with_the_same_key(4, "dave")).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)), "now it is proven");
}

/// A claimed key goes to whoever registers it with a proof, and the claim ends.
pub async fn a_claimed_key_goes_to_whoever_proves_it(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut squatter = samples::new_account(1, "mallory");
    let fingerprint = Fingerprint::of("his key");
    squatter.alias = Some(fingerprint);
    let thumbprint = squatter.credential.thumbprint();
    claim(&stores, &squatter).await;
    let proven = with_the_same_key(3, "alice");
    stores.create(&proven).await;
    assert_eq!(owner(&stores, &thumbprint).await, proven.id);
    assert!(stores.credentials_of(squatter.id).await.unwrap().is_empty());
    let by_fingerprint = AccountName::Fingerprint(fingerprint);
    assert_eq!(stores.account(&by_fingerprint).await.unwrap(), None);
    assert_eq!(losers(&stores).await, [squatter.id]);
    let again = stores.create_account(with_the_same_key(4, "bob")).await;
    assert!(matches!(again, Err(CreateAccountError::KeyTaken)), "now it is proven");
}

/// The same when an account adds it to its others.
pub async fn a_claimed_key_can_be_added_with_a_proof(backend: &impl Backend) {
    let stores = backend.open().await;
    claim(&stores, &samples::new_account(1, "mallory")).await;
    let owner_of_key = samples::new_account(2, "alice");
    stores.create(&owner_of_key).await;
    let public_key = samples::new_account(1, "a").credential.public_key;
    let credential = Credential {
        added_by: Some(owner_of_key.credential.thumbprint()),
        ..samples::credential(owner_of_key.id, public_key)
    };
    let event = samples::event(EventKind::KeyAdded);
    let limits = samples::KEY_LIMITS;
    stores.add_credential(&credential, limits, event.clone(), Permit::ADMINISTRATOR).await.unwrap();
    assert_eq!(owner(&stores, &credential.thumbprint()).await, owner_of_key.id);
    let again = stores.add_credential(&credential, limits, event, Permit::ADMINISTRATOR).await;
    assert!(matches!(again, Err(AddCredentialError::KeyTaken)));
}

/// A key that has signed something, or logged in, stays where it is.
pub async fn a_key_proves_itself_by_its_first_use(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    let thumbprint = new.credential.thumbprint();
    claim(&stores, &new).await;
    let used_at = NOW + Duration::from_secs(7);
    stores.note_use(new.id, &thumbprint, used_at).await.unwrap();
    let refused = stores.create_account(with_the_same_key(2, "mallory")).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
    let (credential, account) = stores.credential(&thumbprint).await.unwrap().unwrap();
    assert_eq!(credential.last_used_at, Some(used_at));
    assert_eq!(credential.created_at, NOW);
    assert_eq!(account.last_login_at, Some(used_at));

    let other = samples::new_account(3, "carol");
    claim(&stores, &other).await;
    let _ = stores.record_login(samples::login(&other, 1)).await.unwrap();
    let mut thief = samples::new_account(4, "dave");
    thief.credential = samples::credential(thief.id, other.credential.public_key.clone());
    let refused = stores.create_account(thief).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
}

/// A claim can be revoked, and then it is gone: it keeps the key from nobody.
pub async fn a_revoked_claim_blocks_nobody(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "mallory");
    let thumbprint = new.credential.thumbprint();
    claim(&stores, &new).await;
    let event = samples::event(EventKind::KeyRevoked);
    let revoke = |event, last| {
        stores.revoke_credential(new.id, &thumbprint, last, event, Permit::ADMINISTRATOR)
    };
    let refused = revoke(event.clone(), true).await;
    assert!(matches!(refused, Err(RevokeCredentialError::LastKey)), "{refused:?}");
    assert_eq!(keys(&stores, new.id).await.len(), 1);
    revoke(event.clone(), false).await.unwrap();
    assert!(matches!(revoke(event, false).await, Err(RevokeCredentialError::NotFound)));
    stores.note_use(new.id, &thumbprint, NOW).await.unwrap();
    assert!(!stores.is_taken(&thumbprint).await.unwrap());
    let shut_out = stores.shut_out(NOW - Duration::from_secs(1), 10).await;
    assert!(shut_out.keys.is_empty(), "others may have proven the key");
    stores.create(&with_the_same_key(2, "alice")).await;
}

/// Of many who prove the same key at once, one gets it.
pub async fn a_claimed_key_goes_to_one_of_many_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    claim(&stores, &samples::new_account(1, "mallory")).await;
    let results = at_once(backend, 20, |number, stores| async move {
        let new = with_the_same_key(number + 2, &format!("user{number}"));
        stores.create_account(new).await
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

/// However many claim a key, whoever proves it gets it, and pays for few of them.
pub async fn a_crowd_of_claims_is_void_when_the_key_is_proven(backend: &impl Backend) {
    let stores = backend.open().await;
    for number in 1..=40 {
        claim(&stores, &with_the_same_key(number, &format!("squatter{number}"))).await;
    }
    let alice = with_the_same_key(50, "alice");
    stores.create(&alice).await;
    assert!(losers(&stores).await.len() < 40);
    for number in 1..=40 {
        assert_eq!(keys(&stores, samples::account_id(number)).await, []);
        let login = samples::login(&with_the_same_key(number, "a"), number);
        let late = stores.record_login(login).await;
        assert!(matches!(late, Err(RecordLoginError::NotLive)), "{number}: {late:?}");
    }
    assert_eq!(owner(&stores, &alice.credential.thumbprint()).await, alice.id);
}

/// Where several accounts claim one key, its fingerprint names none of them, until one has signed.
pub async fn the_fingerprint_of_a_key_that_many_claim_names_nobody(backend: &impl Backend) {
    let stores = backend.open().await;
    let fingerprint = Fingerprint::of("their key");
    let name = AccountName::Fingerprint(fingerprint);
    let named = async || {
        let account = stores.account(&name).await.unwrap();
        account.map(|account| account.id)
    };
    let claimants = [(1, "mallory"), (2, "alice")].map(|(number, name)| NewAccount {
        alias: Some(fingerprint),
        ..with_the_same_key(number, name)
    });
    let [mallory, alice] = &claimants;
    claim(&stores, mallory).await;
    assert_eq!(named().await, Some(mallory.id));
    claim(&stores, alice).await;
    assert_eq!(named().await, None);
    let thumbprint = alice.credential.thumbprint();
    stores.note_use(alice.id, &thumbprint, NOW).await.unwrap();
    assert_eq!(named().await, Some(alice.id));
}

/// An account is found by the fingerprint that it was registered by, and says it.
pub async fn an_account_is_found_by_its_other_name(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut new = samples::new_account(1, "alice");
    let fingerprint = Fingerprint::of("her key");
    new.alias = Some(fingerprint);
    stores.create(&new).await;
    for name in [AccountName::Fingerprint(fingerprint), AccountName::Id(new.id)] {
        let account = stores.account(&name).await.unwrap().unwrap();
        assert_eq!((account.id, account.fingerprint), (new.id, Some(fingerprint)));
    }
    let (_, account) = stores.credential(&new.credential.thumbprint()).await.unwrap().unwrap();
    assert_eq!(account.fingerprint, Some(fingerprint));
    let other = AccountName::Fingerprint(Fingerprint::of("another key"));
    assert_eq!(stores.account(&other).await.unwrap(), None);
}
