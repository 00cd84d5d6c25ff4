//! Rules about accounts.

use countersign_authority::{
    model::{
        account::{Account, AccountName, AccountStatus},
        audit::EventKind,
    },
    ports::CreateAccountError,
};
use countersign_protocol::Scopes;

use super::{Backend, Stores, at_once};
use crate::samples::{self, NOW};

/// An account is found by its id, and by its name in any case; what is not there is not found.
pub async fn an_account_is_found_by_id_and_by_name_in_any_case(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut new = samples::new_account(1, "Alice.Smith");
    new.scopes = samples::scopes("read write");
    stores.create(&new).await;

    let by_id = stores.account(&AccountName::Id(new.id)).await.unwrap().unwrap();
    let expected = Account {
        id: new.id,
        username: new.username.clone(),
        fingerprint: None,
        status: AccountStatus::Active,
        scopes: new.scopes.clone(),
        registered_at: NOW,
        last_login_at: None,
    };
    assert_eq!(by_id, expected);
    for spelling in ["Alice.Smith", "alice.smith", "ALICE.SMITH"] {
        let name = AccountName::Username(samples::username(spelling));
        let found = stores.account(&name).await.unwrap().unwrap();
        assert_eq!(found, expected);
        assert_eq!(found.username.as_str(), "Alice.Smith");
    }

    let name = AccountName::Username(samples::username("alice"));
    assert_eq!(stores.account(&name).await.unwrap(), None);
    let id = AccountName::Id(samples::account_id(2));
    assert_eq!(stores.account(&id).await.unwrap(), None);
}

/// Two names that differ only in case are one name.
pub async fn a_name_is_taken_whatever_its_case(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create(&samples::new_account(1, "alice")).await;
    for spelling in ["alice", "Alice", "ALICE"] {
        let refusal = stores.create_account(samples::new_account(2, spelling)).await;
        assert!(matches!(refusal, Err(CreateAccountError::UsernameTaken)), "{refusal:?}");
    }
}

/// Of many registrations of one name at the same time, one succeeds.
pub async fn the_name_goes_to_one_of_many_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let results = at_once(backend, 20, |number, accounts| {
        let name = if number % 2 == 0 { "alice" } else { "ALICE" };
        async move { accounts.create_account(samples::new_account(number, name)).await }
    })
    .await;
    let created = results.iter().filter(|result| result.is_ok()).count();
    let taken = results
        .iter()
        .filter(|result| matches!(result, Err(CreateAccountError::UsernameTaken)))
        .count();
    assert_eq!((created, taken), (1, 19));
    assert_eq!(stores.accounts(None, 100).await.unwrap().len(), 1);
    assert_eq!(stores.trail().await.len(), 1);
}

/// A registration that is refused creates neither account nor key, and records no event.
pub async fn a_refused_registration_leaves_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let first = samples::new_account(1, "alice");
    stores.create(&first).await;

    let taken_name = samples::new_account(2, "alice");
    let refusal = stores.create_account(taken_name.clone()).await;
    assert!(matches!(refusal, Err(CreateAccountError::UsernameTaken)), "{refusal:?}");
    let thumbprint = taken_name.credential.thumbprint();
    assert!(stores.credential(&thumbprint).await.unwrap().is_none());

    let mut taken_key = samples::new_account(3, "carol");
    taken_key.credential.public_key = first.credential.public_key.clone();
    let refusal = stores.create_account(taken_key.clone()).await;
    assert!(matches!(refusal, Err(CreateAccountError::KeyTaken)), "{refusal:?}");
    let id = AccountName::Id(taken_key.id);
    assert_eq!(stores.account(&id).await.unwrap(), None);

    assert_eq!(stores.trail().await.len(), 1);
    stores.create(&samples::new_account(3, "carol")).await;
}

/// Accounts come in the order of their folded names, page after page.
pub async fn accounts_are_listed_by_name_in_pages(backend: &impl Backend) {
    let stores = backend.open().await;
    for (name, number) in ["delta", "Bravo", "alpha", "Charlie", "echo"].into_iter().zip(1..) {
        stores.create(&samples::new_account(number, name)).await;
    }
    let mut names = Vec::new();
    let mut page = stores.accounts(None, 2).await.unwrap();
    while let Some(last) = page.last() {
        assert!(page.len() <= 2);
        let last = last.username.clone();
        names.extend(page.iter().map(|account| account.username.to_string()));
        page = stores.accounts(Some(&last), 2).await.unwrap();
    }
    assert_eq!(names, ["alpha", "Bravo", "Charlie", "delta", "echo"]);
    assert!(stores.accounts(None, 0).await.unwrap().is_empty());
}

/// A change of status is made and recorded together; for an unknown account, neither happens.
pub async fn the_status_changes_with_its_event(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    let event = samples::event(EventKind::AccountDisabled).account(new.id);

    let set = |id| stores.set_status(id, AccountStatus::Disabled, event.clone());
    assert!(!set(samples::account_id(2)).await.unwrap());
    assert_eq!(stores.trail().await.len(), 1);
    assert!(set(new.id).await.unwrap());

    let account = stores.account(&AccountName::Id(new.id)).await.unwrap().unwrap();
    assert_eq!(account.status, AccountStatus::Disabled);
    assert_eq!(stores.trail().await[1].event, event);
}

/// A change of scopes is made and recorded together; for an unknown account, or one that has other scopes
/// by now, neither happens.
pub async fn scopes_are_replaced_with_their_event(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut new = samples::new_account(1, "alice");
    new.scopes = samples::scopes("read write");
    stores.create(&new).await;
    let event = samples::event(EventKind::AccountScopesChanged).account(new.id);

    let mut present = new.scopes.clone();
    for scopes in [samples::scopes("admin"), Scopes::none()] {
        let set = async |id, present: &Scopes| {
            stores.replace_scopes(id, present, &scopes, event.clone()).await.unwrap()
        };
        assert!(!set(samples::account_id(2), &present).await);
        assert!(!set(new.id, &samples::scopes("read")).await);
        assert!(set(new.id, &present).await);
        assert!(!set(new.id, &present).await, "it has others by now");
        assert_eq!(scopes_of(&stores).await, scopes);
        present = scopes;
    }
    let trail: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(trail, [new.event, event.clone(), event]);
}

/// Many who add a scope at once, each to those that it has read, lose none of another's.
pub async fn no_scope_is_lost_of_many_that_are_added_at_once(backend: &impl Backend) {
    const ADMINISTRATORS: u64 = 16;
    let stores = backend.open().await;
    stores.create(&samples::new_account(1, "alice")).await;
    at_once(backend, ADMINISTRATORS, |number, stores| async move {
        let own = samples::scopes(&format!("scope-{number}"));
        let event = samples::event(EventKind::AccountScopesChanged);
        loop {
            let present = scopes_of(&stores).await;
            let scopes = present.union(&own).unwrap();
            let id = samples::account_id(1);
            if stores.replace_scopes(id, &present, &scopes, event.clone()).await.unwrap() {
                break;
            }
        }
    })
    .await;
    let added = scopes_of(&stores).await.iter().filter(|scope| scope.starts_with("scope-")).count();
    assert_eq!(added as u64, ADMINISTRATORS);
    assert_eq!(stores.trail().await.len() as u64, 1 + ADMINISTRATORS);
}

async fn scopes_of(stores: &Stores) -> Scopes {
    stores.account(&AccountName::Id(samples::account_id(1))).await.unwrap().unwrap().scopes
}

/// What was acknowledged is there after the last handle was closed and another one opened.
pub async fn reopening_keeps_accounts_keys_and_events(backend: &impl Backend) {
    let new = samples::new_account(1, "alice");
    let stores = backend.open().await;
    stores.create(&new).await;
    let account = stores.account(&AccountName::Id(new.id)).await.unwrap();
    let trail = stores.trail().await;
    drop(stores);

    let stores = backend.open().await;
    assert_eq!(stores.account(&AccountName::Id(new.id)).await.unwrap(), account);
    let thumbprint = new.credential.thumbprint();
    let (key, owner) = stores.credential(&thumbprint).await.unwrap().unwrap();
    assert_eq!((key.thumbprint(), Some(owner)), (thumbprint, account));
    assert_eq!(stores.trail().await, trail);
}
