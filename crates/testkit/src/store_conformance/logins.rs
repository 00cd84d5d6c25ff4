//! Rules about logins.

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::EventKind,
    },
    ports::{LoginRecord, NewAccount, Permit, RecordLoginError},
};

use super::{Backend, Stores, at_once};
use crate::{keys, samples};

/// A login leaves its time with the account and with the key, and its event.
pub async fn a_login_sets_the_times_of_last_use(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let login = samples::login(&alice, 1);
    let _receipt = stores.record_login(login.clone()).await.unwrap();
    let at = Some(login.event.at);
    let (key, account) = stores.credential(&login.thumbprint).await.unwrap().unwrap();
    assert_eq!((key.last_used_at, account.last_login_at), (at, at));
    assert_eq!(stores.trail().await[1].event, login.event);
}

/// Of many logins with one assertion at the same time, one succeeds; and none does later.
pub async fn an_assertion_works_for_one_of_many_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let login = samples::login(&alice, 1);
    let results = at_once(backend, 20, |_, credentials| {
        let login = login.clone();
        async move { credentials.record_login(login).await.map(drop) }
    })
    .await;
    let recorded = results.iter().filter(|result| result.is_ok()).count();
    let used = results
        .iter()
        .filter(|result| matches!(result, Err(RecordLoginError::AlreadyUsed)))
        .count();
    assert_eq!((recorded, used), (1, 19));
    assert_used(&stores, login).await;
    assert_eq!(stores.trail().await.len(), 2);
}

/// An assertion that authenticated a single call logs nobody in, and the other way round.
pub async fn an_assertion_works_once_whatever_for(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let (spent, logged_in) = (samples::login(&alice, 1), samples::login(&alice, 2));
    let spend = |login: &LoginRecord| stores.spend_assertion(login.assertion);
    let _receipt = spend(&spent).await.unwrap();
    assert_used(&stores, spent.clone()).await;
    let _receipt = stores.record_login(logged_in.clone()).await.unwrap();
    for login in [spent, logged_in] {
        let refusal = spend(&login).await;
        assert!(matches!(refusal, Err(RecordLoginError::AlreadyUsed)), "{refusal:?}");
    }
}

/// A login says which scopes its account has at that moment.
pub async fn a_login_says_the_scopes_of_its_moment(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let before = stores.record_login(samples::login(&alice, 1)).await.unwrap();
    assert_eq!(before.scopes, alice.scopes);
    let more = samples::scopes("read write");
    let event = samples::event(EventKind::AccountScopesChanged);
    assert!(stores.replace_scopes(alice.id, &alice.scopes, &more, event).await.unwrap());
    let after = stores.record_login(samples::login(&alice, 2)).await.unwrap();
    assert_eq!(after.scopes, more);
}

/// What was used before a restart is used after it.
pub async fn an_assertion_stays_used_after_reopening(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let login = samples::login(&alice, 1);
    let _receipt = stores.record_login(login.clone()).await.unwrap();
    drop(stores);
    assert_used(&backend.open().await, login).await;
}

/// A revoked key logs nobody in.
pub async fn a_revoked_key_cannot_log_in(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let event = samples::event(EventKind::KeyRevoked);
    let thumbprint = alice.credential.thumbprint();
    stores
        .revoke_credential(alice.id, &thumbprint, false, event, Permit::ADMINISTRATOR)
        .await
        .unwrap();
    assert_not_live(&stores, samples::login(&alice, 1)).await;
}

/// A disabled account cannot log in until it is enabled again.
pub async fn a_disabled_account_cannot_log_in(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let login = samples::login(&alice, 1);
    set_status(&stores, &alice, AccountStatus::Disabled).await;
    assert_not_live(&stores, login.clone()).await;
    set_status(&stores, &alice, AccountStatus::Active).await;
    let _receipt = stores.record_login(login).await.unwrap();
}

/// A key logs in to the account that it belongs to, and an unknown key to none.
pub async fn a_key_logs_in_to_its_own_account_only(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let login = samples::login(&alice, 1);
    assert_not_live(&stores, LoginRecord { account_id: bob.id, ..login.clone() }).await;
    let unknown = keys::ed25519_public(99).thumbprint();
    assert_not_live(&stores, LoginRecord { thumbprint: unknown, ..login }).await;
}

/// A login that is refused sets no time, records no event and spends no assertion.
pub async fn a_refused_login_leaves_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = alice(&stores).await;
    let login = samples::login(&alice, 1);
    set_status(&stores, &alice, AccountStatus::Disabled).await;
    assert_not_live(&stores, login.clone()).await;
    set_status(&stores, &alice, AccountStatus::Active).await;

    let (key, account) = stores.credential(&login.thumbprint).await.unwrap().unwrap();
    assert_eq!((key.last_used_at, account.last_login_at), (None, None));
    assert_eq!(stores.trail().await.len(), 3);
    let _receipt = stores.spend_assertion(login.assertion).await.unwrap();
}

async fn alice(stores: &Stores) -> NewAccount {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    assert!(stores.account(&AccountName::Id(alice.id)).await.unwrap().is_some());
    alice
}

async fn set_status(stores: &Stores, new: &NewAccount, status: AccountStatus) {
    let event = samples::event(EventKind::AccountDisabled);
    assert!(stores.set_status(new.id, status, event).await.unwrap());
}

async fn assert_not_live(stores: &Stores, login: LoginRecord) {
    let refusal = stores.record_login(login).await;
    assert!(matches!(refusal, Err(RecordLoginError::NotLive)), "{refusal:?}");
}

async fn assert_used(stores: &Stores, login: LoginRecord) {
    let refusal = stores.record_login(login).await;
    assert!(matches!(refusal, Err(RecordLoginError::AlreadyUsed)), "{refusal:?}");
}
