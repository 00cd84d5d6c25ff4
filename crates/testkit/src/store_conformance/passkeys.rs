//! Rules about passkeys.

use countersign_authority::{
    model::{
        account::AccountName,
        audit::EventKind,
        credential::Label,
        passkey::{Passkey, PasskeyUse},
    },
    ports::{
        AddPasskeyError, CreateAccountError, LoginRecord, NewAccount, NewPasskey, Permit,
        RecordLoginError, RenameCredentialError, RevokeCredentialError, SignIn, SignInError,
        SpentStepUp, UsePasskeyError,
    },
};
use countersign_protocol::keys::Thumbprint;

use super::{Backend, Stores, at_once};
use crate::samples;

/// A passkey is found by its id, with its key and its account, and listed, also when it is revoked.
pub async fn a_passkey_comes_back_whole_with_its_key_and_account(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let known = stores.passkey(&new.passkey.id).await.unwrap().unwrap();
    assert_eq!(known.passkey, new.passkey);
    assert_eq!(known.credential.thumbprint(), new.credential.thumbprint());
    assert_eq!(known.credential.kind, new.credential.kind);
    assert_eq!(known.account.id, alice.id);
    assert!(stores.passkey(&samples::passkey(9).id).await.unwrap().is_none());
    assert_eq!(listed(&stores, &alice).await, [(new.passkey.clone(), true)]);
    revoke(&stores, &alice, &new.credential.thumbprint(), Permit::ADMINISTRATOR).await;
    assert_eq!(listed(&stores, &alice).await, [(new.passkey.clone(), false)]);
    let known = stores.passkey(&new.passkey.id).await.unwrap().unwrap();
    assert!(known.credential.revoked_at.is_some());
}

/// A passkey whose id is taken, or whose challenge was answered before, leaves nothing.
pub async fn a_passkey_is_added_with_its_challenge_or_not_at_all(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, first) = alice_with_passkey(&stores).await;
    let adder = Some(alice.credential.thumbprint());
    let add = |new: NewPasskey| stores.add_passkey(new, samples::KEY_LIMITS, Permit::ADMINISTRATOR);
    let other = samples::new_passkey(alice.id, 2, adder);
    let same_id = NewPasskey { passkey: first.passkey.clone(), ..other.clone() };
    assert!(matches!(add(same_id).await, Err(AddPasskeyError::IdTaken)));
    let same_challenge = NewPasskey { challenge: first.challenge, ..other.clone() };
    let refused = add(same_challenge).await;
    assert!(matches!(refused, Err(AddPasskeyError::Challenge(RecordLoginError::AlreadyUsed))));
    assert_eq!(listed(&stores, &alice).await.len(), 1);
    assert!(!stores.is_taken(&other.credential.thumbprint()).await.unwrap());
    add(other).await.unwrap();
}

/// An account whose passkey cannot be added does not come to be.
pub async fn an_account_comes_with_its_passkey_or_not_at_all(backend: &impl Backend) {
    let stores = backend.open().await;
    let (_, first) = alice_with_passkey(&stores).await;
    let bob = samples::new_account(2, "bob");
    let with = |passkey| NewAccount { passkey: Some(Box::new(passkey)), ..bob.clone() };
    let passkey = samples::new_passkey(bob.id, 2, None);
    let same_id = NewPasskey { passkey: first.passkey.clone(), ..passkey.clone() };
    let refused = stores.create_account(with(same_id)).await;
    assert!(matches!(refused, Err(CreateAccountError::KeyTaken)));
    let same_challenge = NewPasskey { challenge: first.challenge, ..passkey.clone() };
    let refused = stores.create_account(with(same_challenge)).await;
    assert!(matches!(refused, Err(CreateAccountError::ChallengeUsed)));
    let name = AccountName::Username(samples::username("bob"));
    assert!(stores.account(&name).await.unwrap().is_none());
    stores.create_account(with(passkey.clone())).await.unwrap();
    assert_eq!(listed(&stores, &bob).await, [(passkey.passkey, true)]);
}

/// A use whose counter is not larger than before does not count, unless the passkey does not count.
pub async fn a_signature_counter_only_grows(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let mut assertion = 0;
    let mut sign_in = |sign_count| {
        assertion += 1;
        stores.sign_in(login(&alice, &new, assertion, sign_count))
    };
    for (count, counts) in [(0, true), (0, true), (5, true), (5, false), (4, false), (0, false)] {
        let result = sign_in(count).await;
        assert_eq!(result.is_ok(), counts, "{count}: {result:?}");
        let regressed = matches!(result, Err(SignInError::CounterRegressed));
        assert!(result.is_ok() || regressed, "{count}: {result:?}");
    }
    sign_in(u32::MAX).await.unwrap();
    let known = stores.passkey(&new.passkey.id).await.unwrap().unwrap();
    assert_eq!((known.passkey.sign_count, known.passkey.backed_up), (u32::MAX, true));
    assert_eq!(known.credential.last_used_at, Some(login(&alice, &new, 0, 0).login.event.at));
}

/// Of any number of uses at once that show one counter, as copies of a passkey would, one counts.
pub async fn of_two_uses_with_one_counter_one_counts(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let results = at_once(backend, 16, |number, stores| {
        let sign_in = login(&alice, &new, number, 7);
        async move { stores.sign_in(sign_in).await.is_ok() }
    })
    .await;
    assert_eq!(results.into_iter().filter(|counted| *counted).count(), 1);
}

/// A change is made with the step-up that allows it, once; a refused step-up leaves the change undone.
pub async fn a_change_spends_its_step_up_or_does_not_happen(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let rename = |name: &str, step_up| {
        let (label, key) = (name.parse::<Label>().unwrap(), alice.credential.thumbprint());
        let (stores, id) = (stores.clone(), alice.id);
        async move {
            let event = samples::event(EventKind::KeyRenamed);
            stores.rename_credential(id, &key, &label, event, step_up).await
        }
    };
    rename("phone", step_up(&new, 1, 3)).await.unwrap();
    let again = rename("tablet", step_up(&new, 1, 4)).await;
    assert!(matches!(
        again,
        Err(RenameCredentialError::StepUp(UsePasskeyError::Record(RecordLoginError::AlreadyUsed)))
    ));
    let copied = rename("tablet", step_up(&new, 2, 3)).await;
    assert!(matches!(
        copied,
        Err(RenameCredentialError::StepUp(UsePasskeyError::CounterRegressed))
    ));
    let (found, _) = stores.credential(&alice.credential.thumbprint()).await.unwrap().unwrap();
    assert_eq!(found.label.as_str(), "phone");
    // What a refused change would have used up is still good.
    rename("tablet", step_up(&new, 2, 4)).await.unwrap();
}

/// A touch counts for one request, done or refused: what a refused change has written is undone, and the
/// step-up that came with it allows nothing any more.
pub async fn a_refused_change_uses_its_step_up_up_and_is_undone(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let revoke = |key: Thumbprint, assertion| {
        let (stores, id, step_up) = (stores.clone(), alice.id, step_up(&new, assertion, 0));
        async move {
            let event = samples::event(EventKind::KeyRevoked).key(key);
            stores.revoke_credential(id, &key, true, event, step_up).await
        }
    };
    let unknown = samples::new_passkey(alice.id, 9, None).credential.thumbprint();
    let refused = revoke(unknown, 1).await;
    assert!(matches!(refused, Err(RevokeCredentialError::NotFound)));
    let later = revoke(alice.credential.thumbprint(), 1).await;
    assert!(matches!(
        later,
        Err(RevokeCredentialError::StepUp(UsePasskeyError::Record(RecordLoginError::AlreadyUsed)))
    ));
    revoke(alice.credential.thumbprint(), 2).await.unwrap();
    // The last key is revoked before the store finds that it was the last.
    let refused = revoke(new.credential.thumbprint(), 3).await;
    assert!(matches!(refused, Err(RevokeCredentialError::LastKey)));
    assert!(listed(&stores, &alice).await[0].1, "the revocation is undone");
    let later = revoke(new.credential.thumbprint(), 3).await;
    assert!(matches!(
        later,
        Err(RevokeCredentialError::StepUp(UsePasskeyError::Record(RecordLoginError::AlreadyUsed)))
    ));
}

/// A passkey that was revoked, or another account's, allows nothing.
pub async fn a_step_up_is_by_a_live_passkey_of_the_account(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let rename = |account: &NewAccount, assertion| {
        let (label, key) = ("phone".parse::<Label>().unwrap(), account.credential.thumbprint());
        let (stores, id, step_up) = (stores.clone(), account.id, step_up(&new, assertion, 0));
        async move {
            let event = samples::event(EventKind::KeyRenamed);
            stores.rename_credential(id, &key, &label, event, step_up).await
        }
    };
    let not_live = |result| {
        matches!(
            result,
            Err(RenameCredentialError::StepUp(UsePasskeyError::Record(RecordLoginError::NotLive)))
        )
    };
    assert!(not_live(rename(&bob, 1).await));
    revoke(&stores, &alice, &new.credential.thumbprint(), Permit::ADMINISTRATOR).await;
    assert!(not_live(rename(&alice, 1).await));
}

/// A passkey is live until the change that it allows is made.
pub async fn a_passkey_may_allow_its_own_revocation(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    revoke(&stores, &alice, &new.credential.thumbprint(), step_up(&new, 1, 0)).await;
    let used = Passkey { backed_up: true, ..new.passkey };
    assert_eq!(listed(&stores, &alice).await, [(used, false)]);
}

/// Passkeys for another relying party matter while they live.
pub async fn live_passkeys_for_another_relying_party_are_found(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, new) = alice_with_passkey(&stores).await;
    let others = |rp_id: &'static str| {
        let stores = stores.clone();
        async move { stores.passkeys_of_others(Some(&rp_id.parse().unwrap())).await.unwrap() }
    };
    assert_eq!(others("auth.example").await, None);
    assert_eq!(others("example").await, Some(("auth.example".to_owned(), 1)));
    let any = stores.passkeys_of_others(None).await.unwrap();
    assert_eq!(any, Some(("auth.example".to_owned(), 1)));
    revoke(&stores, &alice, &new.credential.thumbprint(), Permit::ADMINISTRATOR).await;
    assert_eq!(others("example").await, None);
    assert_eq!(stores.passkeys_of_others(None).await.unwrap(), None);
}

/// Alice, with a key and a passkey.
async fn alice_with_passkey(stores: &Stores) -> (NewAccount, NewPasskey) {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let new = samples::new_passkey(alice.id, 1, Some(alice.credential.thumbprint()));
    stores.add_passkey(new.clone(), samples::KEY_LIMITS, Permit::ADMINISTRATOR).await.unwrap();
    (alice, new)
}

/// The passkeys of the account, and whether they are live.
async fn listed(stores: &Stores, account: &NewAccount) -> Vec<(Passkey, bool)> {
    let own = stores.passkeys_of(account.id).await.unwrap();
    own.into_iter().map(|own| (own.passkey, own.is_live)).collect()
}

fn used(new: &NewPasskey, sign_count: u32) -> PasskeyUse {
    PasskeyUse { thumbprint: new.credential.thumbprint(), sign_count, backed_up: true }
}

fn step_up(new: &NewPasskey, assertion: u64, sign_count: u32) -> Permit {
    let challenge = samples::replay_entry(assertion);
    let step_up = SpentStepUp { challenge, passkey: used(new, sign_count) };
    Permit { signer: None, step_up: Some(step_up) }
}

fn login(account: &NewAccount, new: &NewPasskey, assertion: u64, sign_count: u32) -> SignIn {
    let login = samples::login(account, assertion);
    let login = LoginRecord { thumbprint: new.credential.thumbprint(), ..login };
    SignIn { login, passkey: Some(used(new, sign_count)), remember: None }
}

async fn revoke(stores: &Stores, account: &NewAccount, key: &Thumbprint, permit: Permit) {
    let event = samples::event(EventKind::KeyRevoked);
    stores.revoke_credential(account.id, key, true, event, permit).await.unwrap();
}
