//! Rules about credentials.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::EventKind,
        credential::{Credential, Label},
    },
    ports::{
        AddCredentialError, CreateAccountError, KeyLimits, NewAccount, Permit, RecordLoginError,
        RenameCredentialError, RevokeCredentialError, UsePasskeyError,
    },
};
use countersign_protocol::{
    AccountId, ProvenKey,
    keys::{Algorithm, KeyPolicy, PublicKey, Thumbprint},
};

use super::{Backend, Stores, at_once};
use crate::{
    keys,
    samples::{self, NOW},
};

/// A key of any kind and size comes back with its owner and everything that is known about it.
pub async fn every_kind_of_key_comes_back_whole(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    let account = stores.account(&AccountName::Id(new.id)).await.unwrap().unwrap();
    let kinds = keys::one_of_each_kind();
    let mut public_keys: Vec<_> = kinds.iter().map(|key| key.public_key().clone()).collect();
    public_keys.push(keys::rsa_1024_public());
    for public_key in public_keys {
        let mut credential = added_by_first(&new, public_key);
        credential.label = "Jürgens Handy".parse().unwrap();
        credential.created_at = NOW + Duration::from_millis(1234);
        add(&stores, &credential).await.unwrap();

        let thumbprint = credential.thumbprint();
        let (found, owner) = stores.credential(&thumbprint).await.unwrap().unwrap();
        assert_same(&found, &credential);
        assert_eq!(owner, account);
    }
    let unknown = keys::ed25519_public(99).thumbprint();
    assert!(stores.credential(&unknown).await.unwrap().is_none());
}

/// A key that was registered for one algorithm is never used with another of its type.
pub async fn a_key_keeps_the_one_algorithm_it_is_for(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    for (algorithm, pem) in
        [(Algorithm::Ps256, keys::RSA_2048_PEM), (Algorithm::Rs256, keys::OTHER_RSA_2048_PEM)]
    {
        let mut jwk = keys::from_pem(pem).public_key().to_jwk();
        jwk.insert("alg".to_owned(), algorithm.name().into());
        let key = PublicKey::from_jwk(&jwk, &KeyPolicy::default()).unwrap();
        let credential = added_by_first(&new, key);
        add(&stores, &credential).await.unwrap();
        let thumbprint = credential.thumbprint();
        let (found, _) = stores.credential(&thumbprint).await.unwrap().unwrap();
        assert_eq!(found.public_key.algorithms(), [algorithm]);
    }
}

/// The keys of an account, and no others, come in the order in which they were made.
pub async fn keys_are_listed_oldest_first_live_and_revoked(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    stores.create(&samples::new_account(2, "bob")).await;
    let mut expected = vec![new.credential.thumbprint()];
    for (number, age) in [(11, 3), (12, 1), (13, 2)] {
        let mut credential = added_by_first(&new, keys::ed25519_public(number));
        credential.created_at = NOW + Duration::from_secs(age);
        add(&stores, &credential).await.unwrap();
    }
    expected.extend([12, 13, 11].map(|number| keys::ed25519_public(number).thumbprint()));
    revoke(&stores, new.id, &expected[1], true).await.unwrap();

    let listed = stores.credentials_of(new.id).await.unwrap();
    let thumbprints: Vec<_> = listed.iter().map(Credential::thumbprint).collect();
    assert_eq!(thumbprints, expected);
    let revoked: Vec<_> = listed.iter().map(|key| key.revoked_at.is_some()).collect();
    assert_eq!(revoked, [false, true, false, false]);
    let nobody = samples::account_id(3);
    assert!(stores.credentials_of(nobody).await.unwrap().is_empty());
}

/// A key remembers which key let it in, and only a live key of that account lets one in.
pub async fn only_a_live_key_of_the_account_adds_another(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let added_by = |adder| Credential {
        added_by: Some(adder),
        ..samples::credential(alice.id, keys::ed25519_public(12))
    };
    let own = alice.credential.thumbprint();
    let unknown = keys::ed25519_public(99).thumbprint();
    for adder in [bob.credential.thumbprint(), unknown] {
        let refusal = add(&stores, &added_by(adder)).await;
        assert!(matches!(refusal, Err(AddCredentialError::AdderNotLive)), "{refusal:?}");
    }
    add(&stores, &added_by(own)).await.unwrap();
    let listed = stores.credentials_of(alice.id).await.unwrap();
    let adders: Vec<_> = listed.iter().map(|key| key.added_by).collect();
    assert_eq!(adders.iter().flatten().collect::<Vec<_>>(), [&own, &own]);

    revoke(&stores, alice.id, &own, true).await.unwrap();
    let late = Credential {
        added_by: Some(own),
        ..samples::credential(alice.id, keys::ed25519_public(13))
    };
    let refusal = add(&stores, &late).await;
    assert!(matches!(refusal, Err(AddCredentialError::AdderNotLive)), "{refusal:?}");
}

/// What no key adds is the first key of its account, also when many are added at the same time.
pub async fn without_a_key_that_adds_it_one_of_many_is_the_first(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let without_adder = |number| samples::credential(alice.id, keys::ed25519_public(number));
    let refusal = add(&stores, &without_adder(11)).await;
    assert!(matches!(refusal, Err(AddCredentialError::NotFirst)), "{refusal:?}");
    revoke(&stores, alice.id, &alice.credential.thumbprint(), false).await.unwrap();
    let results = at_once(backend, 8, |number, credentials| {
        let key = without_adder(100 + number);
        let event = samples::event(EventKind::KeyAdded);
        async move {
            credentials
                .add_credential(&key, samples::KEY_LIMITS, event, Permit::ADMINISTRATOR)
                .await
        }
    })
    .await;
    let added = results.iter().filter(|result| result.is_ok()).count();
    let refused =
        results.iter().filter(|result| matches!(result, Err(AddCredentialError::NotFirst))).count();
    assert_eq!((added, refused), (1, 7));
}

/// A key that has the name already costs the database nothing.
pub async fn a_rename_to_the_same_name_writes_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let thumbprint = alice.credential.thumbprint();
    let before = stores.trail().await.len();
    let label = &alice.credential.label;
    let event = samples::event(EventKind::KeyRenamed).account(alice.id).key(thumbprint);
    let renamed =
        stores.rename_credential(alice.id, &thumbprint, label, event, Permit::ADMINISTRATOR).await;
    assert_same(&renamed.unwrap(), &alice.credential);
    assert_eq!(stores.trail().await.len(), before);
}

/// Another name changes nothing else, and only a live key of that account gets one.
pub async fn a_renamed_key_keeps_all_else(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let thumbprint = alice.credential.thumbprint();
    let label: Label = "tablet".parse().unwrap();
    let rename = async |id| {
        let event = samples::event(EventKind::KeyRenamed).account(id).key(thumbprint);
        stores.rename_credential(id, &thumbprint, &label, event, Permit::ADMINISTRATOR).await
    };
    let before = stores.trail().await.len();
    let renamed = rename(alice.id).await.unwrap();
    let expected = Credential { label: label.clone(), ..alice.credential.clone() };
    assert_same(&renamed, &expected);
    let (found, _) = stores.credential(&thumbprint).await.unwrap().unwrap();
    assert_same(&found, &expected);
    assert_eq!(stores.trail().await.len(), before + 1);

    revoke(&stores, alice.id, &thumbprint, true).await.unwrap();
    for id in [alice.id, bob.id] {
        let refusal = rename(id).await;
        assert!(matches!(refusal, Err(RenameCredentialError::NotFound)), "{refusal:?}");
    }
    assert_eq!(stores.trail().await.len(), before + 2);
}

/// A key belongs to one account for ever, even after it was revoked.
pub async fn a_key_stays_taken_after_its_revocation(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, bob) = (samples::new_account(1, "alice"), samples::new_account(2, "bob"));
    stores.create(&alice).await;
    stores.create(&bob).await;
    let key = added_by_first(&alice, keys::ed25519_public(11));
    add(&stores, &key).await.unwrap();
    for revoked in [false, true] {
        if revoked {
            revoke(&stores, alice.id, &key.thumbprint(), true).await.unwrap();
        }
        for owner in [&alice, &bob] {
            let again = added_by_first(owner, key.public_key.clone());
            let refusal = add(&stores, &again).await;
            assert!(matches!(refusal, Err(AddCredentialError::KeyTaken)), "{refusal:?}");
        }
        let mut new = samples::new_account(3, "carol");
        new.credential.public_key = key.public_key.clone();
        let refusal = stores.create_account(new).await;
        assert!(matches!(refusal, Err(CreateAccountError::KeyTaken)), "{refusal:?}");
    }
}

/// A key that is refused is not there afterwards, and neither is its event.
pub async fn a_refused_key_leaves_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let key = samples::credential(samples::account_id(2), keys::ed25519_public(11));
    let refusal = add(&stores, &key).await;
    assert!(matches!(refusal, Err(AddCredentialError::NoAccount)), "{refusal:?}");
    let key = added_by_first(&alice, keys::ed25519_public(11));
    let refusal = stores
        .add_credential(&key, live(1), samples::event(EventKind::KeyAdded), Permit::ADMINISTRATOR)
        .await;
    assert!(matches!(refusal, Err(AddCredentialError::LimitReached)), "{refusal:?}");
    assert!(stores.credential(&key.thumbprint()).await.unwrap().is_none());
    assert_eq!(stores.trail().await.len(), 1);
    add(&stores, &key).await.unwrap();
    assert_eq!(stores.trail().await.len(), 2);
}

/// However many keys are added at the same time, no more than the limit become live.
pub async fn the_limit_of_keys_holds_when_many_are_added_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let results = at_once(backend, 20, |number, credentials| {
        let key = added_by_first(&alice, keys::ed25519_public(100 + number));
        let event = samples::event(EventKind::KeyAdded);
        async move { credentials.add_credential(&key, live(5), event, Permit::ADMINISTRATOR).await }
    })
    .await;
    let added = results.iter().filter(|result| result.is_ok()).count();
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(AddCredentialError::LimitReached)))
        .count();
    assert_eq!((added, refused), (4, 16));
    assert_eq!(stores.credentials_of(alice.id).await.unwrap().len(), 5);
}

/// Only live keys count.
pub async fn revoked_keys_do_not_count_against_the_limit(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let key = Credential {
        added_by: Some(keys::ed25519_public(11).thumbprint()),
        ..samples::credential(alice.id, keys::ed25519_public(12))
    };
    let add = || {
        stores.add_credential(
            &key,
            live(2),
            samples::event(EventKind::KeyAdded),
            Permit::ADMINISTRATOR,
        )
    };
    assert!(matches!(add().await, Err(AddCredentialError::LimitReached)));
    revoke(&stores, alice.id, &alice.credential.thumbprint(), true).await.unwrap();
    add().await.unwrap();
}

/// What was revoked is found by its thumbprint and in the owner's list, and nowhere else.
pub async fn revoked_keys_are_no_live_ones(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let first = alice.credential.thumbprint();
    revoke(&stores, alice.id, &first, true).await.unwrap();
    let (_, live) = stores.live_credentials(alice.id).await.unwrap().unwrap();
    let live: Vec<_> = live.iter().map(Credential::thumbprint).collect();
    assert_eq!(live, [keys::ed25519_public(11).thumbprint()]);
    assert!(stores.is_taken(&first).await.unwrap());
    assert_eq!(stores.credentials_of(alice.id).await.unwrap().len(), 2);
}

/// Nothing that is read grows with what was revoked, and yet none of it comes back.
pub async fn of_many_revoked_keys_the_thumbprints_stay_taken(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    for number in 100..160 {
        let key = added_by_first(&alice, keys::ed25519_public(number));
        add(&stores, &key).await.unwrap();
        revoke(&stores, alice.id, &key.thumbprint(), true).await.unwrap();
    }
    let listed = stores.credentials_of(alice.id).await.unwrap();
    assert!(listed.len() < 50, "{}", listed.len());
    let (_, live) = stores.live_credentials(alice.id).await.unwrap().unwrap();
    assert_eq!(live.len(), 1);
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    for number in 100..160 {
        let key = added_by_first(&bob, keys::ed25519_public(number));
        assert!(stores.is_taken(&key.thumbprint()).await.unwrap(), "{number}");
        let refusal = add(&stores, &key).await;
        assert!(matches!(refusal, Err(AddCredentialError::KeyTaken)), "{number}: {refusal:?}");
    }
    let since = NOW - Duration::from_secs(1);
    let shut_out = stores.shut_out(since, 1000).await;
    assert_eq!(shut_out.keys.len(), 33, "the others are covered by a moment of the account");
}

/// A thief who adds a key by the one that he has stolen, and with that one another, does not break the
/// chain by revoking so many keys that the one in between is no longer kept.
pub async fn what_a_forgotten_key_has_added_is_told_of_the_key_before_it(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let between = added_by_first(&alice, keys::ed25519_public(100));
    add(&stores, &between).await.unwrap();
    let last = Credential {
        added_by: Some(between.thumbprint()),
        ..added_by_first(&alice, keys::ed25519_public(101))
    };
    add(&stores, &last).await.unwrap();
    revoke(&stores, alice.id, &between.thumbprint(), true).await.unwrap();
    for number in 102..162 {
        let key = added_by_first(&alice, keys::ed25519_public(number));
        add(&stores, &key).await.unwrap();
        revoke(&stores, alice.id, &key.thumbprint(), true).await.unwrap();
    }
    let listed = stores.credentials_of(alice.id).await.unwrap();
    assert!(listed.iter().all(|key| key.thumbprint() != between.thumbprint()), "it is forgotten");
    let last = listed.iter().find(|key| key.thumbprint() == last.thumbprint()).unwrap();
    assert_eq!(last.added_by, Some(alice.credential.thumbprint()));
}

/// No account revokes more keys than are remembered.
pub async fn the_limit_of_revoked_keys_holds(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let limits = KeyLimits { live: 10, revoked: 40, ..samples::KEY_LIMITS };
    let event = || samples::event(EventKind::KeyAdded);
    for number in 100..140 {
        let key = added_by_first(&alice, keys::ed25519_public(number));
        stores.add_credential(&key, limits, event(), Permit::ADMINISTRATOR).await.unwrap();
        revoke(&stores, alice.id, &key.thumbprint(), true).await.unwrap();
    }
    let key = added_by_first(&alice, keys::ed25519_public(140));
    let refusal = stores.add_credential(&key, limits, event(), Permit::ADMINISTRATOR).await;
    let expected = matches!(refusal, Err(AddCredentialError::TooManyRevoked { limit: 40 }));
    assert!(expected, "{refusal:?}");
}

/// A key is revoked at the time of the event, once, and only as a key of its own account.
pub async fn a_key_is_revoked_once_and_by_its_own_account(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let before = stores.trail().await.len();
    let thumbprint = alice.credential.thumbprint();

    let not_found = |result| matches!(result, Err(RevokeCredentialError::NotFound));
    assert!(not_found(revoke(&stores, bob.id, &thumbprint, false).await));
    assert!(not_found(revoke(&stores, samples::account_id(3), &thumbprint, false).await));
    let unknown = keys::ed25519_public(99).thumbprint();
    assert!(not_found(revoke(&stores, alice.id, &unknown, false).await));
    revoke(&stores, alice.id, &thumbprint, true).await.unwrap();
    assert!(not_found(revoke(&stores, alice.id, &thumbprint, false).await));

    let (key, _) = stores.credential(&thumbprint).await.unwrap().unwrap();
    assert_eq!(key.revoked_at, Some(NOW));
    assert_eq!(stores.trail().await.len(), before + 1);
}

/// The last live key is revoked only by who does not insist on keeping one.
pub async fn the_last_key_stays_when_it_must(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let [first, second] = [1, 11].map(|number| keys::ed25519_public(number).thumbprint());
    revoke(&stores, alice.id, &first, true).await.unwrap();
    let before = stores.trail().await.len();
    let refusal = revoke(&stores, alice.id, &second, true).await;
    assert!(matches!(refusal, Err(RevokeCredentialError::LastKey)), "{refusal:?}");
    let (key, _) = stores.credential(&second).await.unwrap().unwrap();
    assert_eq!(key.revoked_at, None);
    assert_eq!(stores.trail().await.len(), before);
    revoke(&stores, alice.id, &second, false).await.unwrap();
}

/// Two keys that are revoked at the same time do not both count as the one that remains.
pub async fn the_last_key_stays_when_two_are_revoked_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = two_keys(&stores).await;
    let results = at_once(backend, 2, |number, credentials| {
        let thumbprint = keys::ed25519_public(1 + 10 * number).thumbprint();
        let event = samples::event(EventKind::KeyRevoked);
        async move {
            credentials
                .revoke_credential(alice.id, &thumbprint, true, event, Permit::ADMINISTRATOR)
                .await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let keys = stores.credentials_of(alice.id).await.unwrap();
    assert_eq!(keys.iter().filter(|key| key.revoked_at.is_none()).count(), 1);
}

/// Alice with the keys 1 and 11.
async fn two_keys(stores: &Stores) -> NewAccount {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    add(stores, &added_by_first(&alice, keys::ed25519_public(11))).await.unwrap();
    alice
}

/// A key that the first key of the account adds.
fn added_by_first(account: &NewAccount, public_key: PublicKey) -> Credential {
    Credential {
        added_by: Some(account.credential.thumbprint()),
        ..samples::credential(account.id, public_key)
    }
}

async fn add(stores: &Stores, credential: &Credential) -> Result<(), AddCredentialError> {
    let event = samples::event(EventKind::KeyAdded).account(credential.account_id);
    stores
        .add_credential(credential, samples::KEY_LIMITS, event, Permit::ADMINISTRATOR)
        .await
        .map(drop)
}

const fn live(live: usize) -> KeyLimits {
    KeyLimits { live, ..samples::KEY_LIMITS }
}

async fn revoke(
    stores: &Stores,
    id: AccountId,
    thumbprint: &Thumbprint,
    keep_last: bool,
) -> Result<(), RevokeCredentialError> {
    let event = samples::event(EventKind::KeyRevoked).account(id).key(*thumbprint);
    stores.revoke_credential(id, thumbprint, keep_last, event, Permit::ADMINISTRATOR).await
}

fn assert_same(found: &Credential, expected: &Credential) {
    assert_eq!(found.account_id, expected.account_id);
    assert_eq!(found.public_key.to_jwk(), expected.public_key.to_jwk());
    assert_eq!(found.public_key.algorithms(), expected.public_key.algorithms());
    assert_eq!(found.label, expected.label);
    assert_eq!(found.added_by, expected.added_by);
    assert_eq!(found.created_at, expected.created_at);
    assert_eq!(found.last_used_at, expected.last_used_at);
    assert_eq!(found.revoked_at, expected.revoked_at);
    assert_eq!((found.kind, found.expiry), (expected.kind, expected.expiry));
    assert_eq!(found.user_agent, expected.user_agent);
    assert_eq!(found.last_address, expected.last_address);
}

/// What was seen of a key before the change may have ended since: a key that is revoked, has ended, is another
/// account's or of a disabled account changes nothing any more. A session's key has none of that.
pub async fn a_change_is_signed_by_a_key_that_still_may(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, bob) = (samples::new_account(1, "alice"), samples::new_account(2, "bob"));
    stores.create(&alice).await;
    stores.create(&bob).await;
    let (first, session) = (alice.credential.thumbprint(), keys::ed25519_public(9).thumbprint());
    let second = samples::credential(alice.id, keys::ed25519_public(10));
    let second = Credential { added_by: Some(first), ..second };
    let event = samples::event(EventKind::KeyAdded);
    let added = Permit::ADMINISTRATOR;
    stores.add_credential(&second, samples::KEY_LIMITS, event, added).await.unwrap();
    let rename = |credential, thumbprint, label: &'static str| {
        let (stores, signer) = (stores.clone(), ProvenKey { credential, thumbprint });
        async move {
            let (event, label) = (samples::event(EventKind::KeyRenamed), label.parse().unwrap());
            let permit = Permit { signer: Some(signer), step_up: None };
            stores.rename_credential(alice.id, &first, &label, event, permit).await
        }
    };
    let second = second.thumbprint();
    let others = bob.credential.thumbprint();
    rename(first, session, "by a session").await.unwrap();
    rename(second, second, "by another key").await.unwrap();
    assert!(is_not_live(rename(others, others, "x").await));
    assert!(is_not_live(rename(first, others, "x").await));

    let revoked = samples::event(EventKind::KeyRevoked);
    stores.revoke_credential(alice.id, &second, true, revoked, added).await.unwrap();
    assert!(is_not_live(rename(second, second, "x").await));
    assert!(is_not_live(rename(second, session, "x").await));
    assert!(
        is_not_live(rename(first, second, "x").await),
        "signed by a browser that was signed in"
    );
    rename(first, first, "by the first").await.unwrap();

    let event = samples::event(EventKind::AccountDisabled);
    assert!(stores.set_status(alice.id, AccountStatus::Disabled, event).await.unwrap());
    assert!(is_not_live(rename(first, first, "x").await));
    let (key, _) = stores.credential(&first).await.unwrap().unwrap();
    assert_eq!(key.label, "by the first".parse().unwrap());
}

fn is_not_live<T>(result: Result<T, RenameCredentialError>) -> bool {
    let Err(RenameCredentialError::StepUp(UsePasskeyError::Record(error))) = result else {
        return false;
    };
    matches!(error, RecordLoginError::NotLive)
}
