//! Rules about credentials that are remembered browsers or passkeys, and that may end by themselves.

use std::time::Duration;

use countersign_authority::{
    model::{
        audit::{AuditEvent, EventKind},
        credential::{BrowserLives, Credential, Expiry, Remember},
        credential_kind::CredentialKind,
        user_agent::UserAgent,
    },
    ports::{
        AddCredentialError, BrowserError, KeyLimits, LoginRecord, NewAccount, NewBrowser, Permit,
        RecordLoginError, Renewal, RevokeCredentialError, SignIn, SignInError, SignedIn,
    },
};
use countersign_protocol::{UnixTime, keys::Thumbprint};

use super::{Backend, Stores, at_once};
use crate::{
    keys,
    samples::{self, NOW},
};

const LIVES: BrowserLives =
    BrowserLives { idle: Duration::from_hours(24), visit: Duration::from_hours(1) };

/// The browser of that number, which is remembered at `now`.
fn browser(account: &NewAccount, number: u64, remember: Remember, now: UnixTime) -> Credential {
    let label = "browser".parse().unwrap();
    let key = Credential::new(account.id, keys::ed25519_public(number), label, now);
    Credential {
        user_agent: UserAgent::of(b"Mozilla/5.0"),
        last_address: Some(samples::address(7)),
        added_by: Some(account.credential.thumbprint()),
        ..key.in_browser(remember, LIVES)
    }
}

/// A sign-in by the first key of the account, with assertion `assertion`, that remembers `credential`.
fn sign_in(account: &NewAccount, assertion: u64, credential: Credential) -> SignIn {
    let now = credential.created_at;
    let mut login = samples::login(account, assertion);
    login.event.at = now;
    let event = AuditEvent::new(now, EventKind::KeyAdded).account(account.id);
    let event = event.key(credential.thumbprint());
    let limits = KeyLimits { live: 3, ..samples::KEY_LIMITS };
    let credential = Box::new(credential);
    SignIn { login, passkey: None, remember: Some(NewBrowser { credential, limits, event }) }
}

async fn remember(
    stores: &Stores,
    account: &NewAccount,
    number: u64,
    now: UnixTime,
) -> Result<SignedIn, SignInError> {
    let credential = browser(account, number, Remember::Browser, now);
    stores.sign_in(sign_in(account, now.as_secs() + number, credential)).await
}

async fn alice(stores: &Stores) -> NewAccount {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    alice
}

fn thumbprint(number: u64) -> Thumbprint {
    keys::ed25519_public(number).thumbprint()
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

async fn read(stores: &Stores, number: u64) -> Credential {
    stores.credential(&thumbprint(number)).await.unwrap().unwrap().0
}

async fn live(stores: &Stores, account: &NewAccount, now: UnixTime) -> Vec<Thumbprint> {
    let all = stores.credentials_of(account.id).await.unwrap();
    let live = all.iter().filter(|key| key.is_live(now));
    live.map(Credential::thumbprint).collect()
}

/// A login of the browser `number` by its own key, at `now`.
fn own_login(account: &NewAccount, number: u64, now: UnixTime) -> LoginRecord {
    let thumbprint = thumbprint(number);
    let event = AuditEvent::new(now, EventKind::LoginSucceeded).account(account.id);
    let event = event.key(thumbprint).from(samples::address(9));
    LoginRecord { thumbprint, event, ..samples::login(account, now.as_millis() + number) }
}

/// Kind, expiry, user agent and address come back as they were, also after reopening.
pub async fn what_is_known_of_a_browser_comes_back(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let kept = browser(&alice, 10, Remember::Browser, NOW);
    let visit = browser(&alice, 11, Remember::Visit, NOW);
    for (number, credential) in [(1, kept.clone()), (2, visit.clone())] {
        let _signed_in = stores.sign_in(sign_in(&alice, number, credential)).await.unwrap();
    }
    drop(stores);
    let stores = backend.open().await;
    for (number, expected) in [(10, kept), (11, visit)] {
        let found = read(&stores, number).await;
        assert_eq!((found.kind, found.expiry), (CredentialKind::Browser, expected.expiry));
        assert_eq!(found.user_agent, expected.user_agent);
        assert_eq!(found.last_address, expected.last_address);
        assert_eq!(found.added_by, expected.added_by);
    }
    let v6 = "2001:db8::7".parse().unwrap();
    let mut login = own_login(&alice, 10, NOW + minutes(5));
    login.event.address = Some(v6);
    let _receipt = stores.record_login(login).await.unwrap();
    assert_eq!(read(&stores, 10).await.last_address, Some(v6));
}

/// Each login of a browser by its own key renews it, with the program and the address.
pub async fn a_login_puts_the_end_of_a_browser_off(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let _signed_in = remember(&stores, &alice, 10, NOW).await.unwrap();
    let later = NOW + Duration::from_hours(20);
    let expiry = Expiry::Idle(NOW + LIVES.idle).after_login(later, LIVES);
    let renewal = |user_agent: &[u8]| Renewal { expiry, user_agent: UserAgent::of(user_agent) };
    let renewing = |at, user_agent| LoginRecord {
        renewal: Some(renewal(user_agent)),
        ..own_login(&alice, 10, at)
    };
    let _receipt = stores.record_login(renewing(later, b"Mozilla/6.0")).await.unwrap();
    let _receipt = stores.record_login(renewing(later + minutes(1), b"")).await.unwrap();
    let found = read(&stores, 10).await;
    assert_eq!(found.expires_at(), Some(later + LIVES.idle));
    assert_eq!(found.user_agent, UserAgent::of(b"Mozilla/6.0"), "none was said the second time");
    assert_eq!(found.last_address, Some(samples::address(9)));
    let after_the_first_end = NOW + LIVES.idle + minutes(1);
    let _receipt = stores.record_login(own_login(&alice, 10, after_the_first_end)).await.unwrap();
}

/// From its end on a key logs nobody in, adds no key, is not renamed and takes nobody's place, before
/// housekeeping has noticed as after.
pub async fn an_expired_key_does_nothing_and_takes_no_room(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 10..13 {
        let visit = browser(&alice, number, Remember::Visit, NOW);
        let _signed_in = stores.sign_in(sign_in(&alice, number, visit)).await.unwrap();
    }
    let end = NOW + LIVES.visit;
    let just_before = end - Duration::from_millis(1);
    let _receipt = stores.record_login(own_login(&alice, 10, just_before)).await.unwrap();
    let refused = stores.record_login(own_login(&alice, 10, end)).await;
    assert!(matches!(refused, Err(RecordLoginError::NotLive)), "{refused:?}");
    let event = AuditEvent::new(end, EventKind::KeyRenamed);
    let label = "other".parse().unwrap();
    assert!(
        stores
            .rename_credential(alice.id, &thumbprint(10), &label, event, Permit::ADMINISTRATOR)
            .await
            .is_err()
    );
    let added = Credential {
        added_by: Some(thumbprint(10)),
        ..samples::credential(alice.id, keys::ed25519_public(20))
    };
    let event = AuditEvent::new(end, EventKind::KeyAdded);
    let added =
        stores.add_credential(&added, samples::KEY_LIMITS, event, Permit::ADMINISTRATOR).await;
    assert!(matches!(added, Err(AddCredentialError::AdderNotLive)), "{added:?}");
    let signed_in = remember(&stores, &alice, 13, end).await.unwrap();
    assert!(signed_in.revoked.is_empty(), "three of the three places are free again");
    let refused = remember(&stores, &alice, 10, end).await;
    assert!(matches!(refused, Err(SignInError::Browser(BrowserError::KeyTaken))), "{refused:?}");
}

/// Housekeeping revokes what has expired, once, at the time of its end.
pub async fn expired_keys_are_revoked_at_their_end_with_an_event(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let visit = browser(&alice, 10, Remember::Visit, NOW);
    let _signed_in = stores.sign_in(sign_in(&alice, 10, visit)).await.unwrap();
    let _signed_in = remember(&stores, &alice, 11, NOW).await.unwrap();
    let end = NOW + LIVES.visit;
    let expire = async |at| stores.expire_credentials(at, 10, at + minutes(1)).await.unwrap();
    assert!(expire(end - minutes(1)).await.is_empty());
    assert_eq!(expire(end).await, [thumbprint(10)]);
    assert!(expire(end).await.is_empty());
    assert_eq!(read(&stores, 10).await.revoked_at, Some(end));
    assert_eq!(expire(NOW + LIVES.idle).await, [thumbprint(11)]);
    let trail = stores.trail().await;
    let expired = trail.iter().filter(|recorded| recorded.event.kind == EventKind::KeyExpired);
    let expired: Vec<_> =
        expired.map(|recorded| (recorded.event.thumbprint, recorded.event.at)).collect();
    let at = [end + minutes(1), NOW + LIVES.idle + minutes(1)];
    assert_eq!(expired, [(Some(thumbprint(10)), at[0]), (Some(thumbprint(11)), at[1])]);
    let _signed_in = remember(&stores, &alice, 12, NOW + LIVES.idle).await.unwrap();
    assert_eq!(stores.expire_credentials(NOW + LIVES.idle * 3, 0, NOW).await.unwrap(), []);
}

/// When all places are taken, the browser that was used longest ago goes; never the one that signs in.
pub async fn the_browser_that_was_used_longest_ago_makes_room(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 10..13 {
        let at = NOW + minutes(number);
        let _signed_in = remember(&stores, &alice, number, at).await.unwrap();
    }
    // The oldest is used, so that the second is the one that was used longest ago.
    let _receipt = stores.record_login(own_login(&alice, 10, NOW + minutes(20))).await.unwrap();
    let at = NOW + minutes(30);
    let signed_in = remember(&stores, &alice, 13, at).await.unwrap();
    assert_eq!(signed_in.revoked, [thumbprint(11)]);
    let first = alice.credential.thumbprint();
    assert_eq!(
        live(&stores, &alice, at).await,
        [first, thumbprint(10), thumbprint(12), thumbprint(13)]
    );
    let trail = stores.trail().await;
    let of_other = |recorded: &&countersign_authority::model::audit::RecordedEvent| {
        recorded.event.thumbprint == Some(thumbprint(11))
    };
    let last = &trail.iter().rfind(of_other).unwrap().event;
    assert_eq!((last.kind, last.at), (EventKind::KeyRevoked, at));
    assert!(last.detail.as_ref().unwrap().contains("longest ago"), "{last:?}");
}

/// A browser that is remembered already lives on as it is asked for, and a key stays a key.
pub async fn a_browser_that_signs_in_again_lives_on_and_takes_no_room(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 10..13 {
        let _signed_in = remember(&stores, &alice, number, NOW).await.unwrap();
    }
    let later = NOW + minutes(30);
    let signed_in = remember(&stores, &alice, 10, later).await.unwrap();
    assert!(signed_in.revoked.is_empty());
    let found = read(&stores, 10).await;
    assert_eq!((found.created_at, found.last_used_at), (NOW, Some(later)));
    assert_eq!(found.expiry, Expiry::Idle(later + LIVES.idle));

    let key = browser(&alice, 1, Remember::Visit, later);
    assert_eq!(key.thumbprint(), alice.credential.thumbprint());
    let _signed_in = stores.sign_in(sign_in(&alice, 99, key)).await.unwrap();
    let found = read(&stores, 1).await;
    assert_eq!((found.kind, found.expiry), (CredentialKind::Key, Expiry::Never));
}

/// A revoked key never comes back as a browser, and nobody else's key becomes one.
pub async fn a_key_that_was_revoked_or_belongs_to_others_is_no_browser(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let _signed_in = remember(&stores, &alice, 10, NOW).await.unwrap();
    let event = samples::event(EventKind::KeyRevoked);
    stores
        .revoke_credential(alice.id, &thumbprint(10), true, event, Permit::ADMINISTRATOR)
        .await
        .unwrap();
    let passkey = Credential {
        kind: CredentialKind::Passkey,
        added_by: Some(alice.credential.thumbprint()),
        ..samples::credential(alice.id, keys::ed25519_public(11))
    };
    let event = samples::event(EventKind::KeyAdded);
    stores
        .add_credential(&passkey, samples::KEY_LIMITS, event, Permit::ADMINISTRATOR)
        .await
        .unwrap();
    let before = stores.trail().await.len();
    for number in [2, 10, 11] {
        let refused = remember(&stores, &alice, number, NOW + minutes(1)).await;
        let is_taken = matches!(refused, Err(SignInError::Browser(BrowserError::KeyTaken)));
        assert!(is_taken, "{number}: {refused:?}");
    }
    assert_eq!(stores.trail().await.len(), before);
}

/// A login that is refused, or an assertion that was used, remembers nothing.
pub async fn a_failed_login_remembers_no_browser(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let used = sign_in(&alice, 5, browser(&alice, 10, Remember::Browser, NOW));
    let _signed_in = stores.sign_in(used).await.unwrap();
    let again = sign_in(&alice, 5, browser(&alice, 11, Remember::Browser, NOW));
    let refused = stores.sign_in(again).await;
    let is_used = matches!(refused, Err(SignInError::Login(RecordLoginError::AlreadyUsed)));
    assert!(is_used, "{refused:?}");
    assert!(!stores.is_taken(&thumbprint(11)).await.unwrap());
    // And the other way round: what cannot be remembered does not use up the assertion.
    let taken = sign_in(&alice, 6, browser(&alice, 10, Remember::Browser, NOW));
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let by_bob = SignIn { login: samples::login(&bob, 6), ..taken };
    assert!(matches!(stores.sign_in(by_bob).await, Err(SignInError::Browser(_))));
    let _receipt = stores.record_login(samples::login(&bob, 6)).await.unwrap();
}

/// Keys, browsers and passkeys do not take each other's places.
pub async fn each_kind_of_credential_has_a_limit_of_its_own(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    for number in 10..13 {
        let _signed_in = remember(&stores, &alice, number, NOW).await.unwrap();
    }
    let add = async |number, kind, live| {
        let credential = Credential {
            kind,
            added_by: Some(alice.credential.thumbprint()),
            ..samples::credential(alice.id, keys::ed25519_public(number))
        };
        let limits = KeyLimits { live, ..samples::KEY_LIMITS };
        stores
            .add_credential(
                &credential,
                limits,
                samples::event(EventKind::KeyAdded),
                Permit::ADMINISTRATOR,
            )
            .await
    };
    let is_full = |result| matches!(result, Err(AddCredentialError::LimitReached));
    add(20, CredentialKind::Key, 2).await.unwrap();
    assert!(is_full(add(21, CredentialKind::Key, 2).await));
    add(30, CredentialKind::Passkey, 1).await.unwrap();
    assert!(is_full(add(31, CredentialKind::Passkey, 1).await));
    let revoked = add(40, CredentialKind::Browser, 3).await.unwrap();
    assert_eq!(revoked, [thumbprint(10)], "a browser makes room for a browser");
    assert_eq!(live(&stores, &alice, NOW).await.len(), 1 + 3 + 2);
}

/// The owner may end a visit also where nothing else is left; but a visit is not what may be left.
pub async fn a_visit_may_end_though_it_is_the_last_key(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let visit = browser(&alice, 10, Remember::Visit, NOW);
    let _signed_in = stores.sign_in(sign_in(&alice, 10, visit)).await.unwrap();
    let revoke = async |key| {
        let event = samples::event(EventKind::KeyRevoked);
        stores.revoke_credential(alice.id, &key, true, event, Permit::ADMINISTRATOR).await
    };
    let first = revoke(alice.credential.thumbprint()).await;
    assert!(matches!(first, Err(RevokeCredentialError::LastKey)), "{first:?}");
    revoke(thumbprint(10)).await.unwrap();

    let mut bob = samples::new_account(2, "bob");
    bob.credential = bob.credential.in_browser(Remember::Visit, LIVES);
    stores.create(&bob).await;
    let event = samples::event(EventKind::KeyRevoked);
    let key = bob.credential.thumbprint();
    stores.revoke_credential(bob.id, &key, true, event, Permit::ADMINISTRATOR).await.unwrap();
}

/// However many sign in at the same time, no more browsers are live than may be.
pub async fn the_limit_of_browsers_holds_when_many_sign_in_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let results = at_once(backend, 12, |number, credentials| {
        let browser = browser(&alice, 100 + number, Remember::Browser, NOW);
        let sign_in = sign_in(&alice, number, browser);
        async move { credentials.sign_in(sign_in).await }
    })
    .await;
    let revoked: usize =
        results.into_iter().map(|signed_in| signed_in.unwrap().revoked.len()).sum();
    assert_eq!(revoked, 9);
    assert_eq!(live(&stores, &alice, NOW).await.len(), 1 + 3);
}

/// Two sign-ins with one browser at the same time both succeed, and there is one credential.
pub async fn of_two_that_sign_in_with_one_browser_at_once_both_are_remembered_once(
    backend: &impl Backend,
) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let results = at_once(backend, 2, |number, credentials| {
        let sign_in = sign_in(&alice, number, browser(&alice, 10, Remember::Browser, NOW));
        async move { credentials.sign_in(sign_in).await }
    })
    .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(live(&stores, &alice, NOW).await.len(), 2);
    let trail = stores.trail().await;
    let added = trail.iter().filter(|recorded| recorded.event.kind == EventKind::KeyAdded).count();
    assert_eq!(added, 1);
}
