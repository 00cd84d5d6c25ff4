//! Rules about how large online keyrings become.

use std::time::Duration;

use countersign_authority::{
    model::{
        audit::EventKind,
        keyring::{Growth, Keeping, Leave, Revision},
        keyring_growth::KeyringTooLarge,
    },
    ports::{
        ChangeKeyringError, NewAccount, NewContent, NewKeyring, Permit, Replaces, Restoration,
        StoreKeyringError,
    },
};

use super::{
    Backend,
    keyrings::{
        GROWTH, KEEPING, alice, at, by, change, kept, keyring, long, password, restoration, touched,
    },
};
use crate::samples;

/// A young account has a small keyring, and fewer bytes of earlier contents.
pub async fn a_young_account_has_a_small_keyring(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let growth = Growth { young_bytes: 20, ..GROWTH };
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    let store = |length| {
        stores.store_keyring(NewKeyring { content: long(0, length), growth, ..new.clone() })
    };
    let refused = store(21).await;
    let young = KeyringTooLarge::YoungAccount { bytes: 21, growth };
    assert!(matches!(refused, Err(StoreKeyringError::TooLarge(error)) if error == young));
    store(20).await.unwrap();
    let change = |revision, length, now| {
        let keeping = Keeping { revisions: 10, bytes: 1000, ..KEEPING };
        let change = change(&alice, revision, 1, now);
        stores.change_keyring(NewContent {
            content: long(revision, length),
            keeping,
            growth,
            ..change
        })
    };
    let refused = change(1, 21, samples::NOW).await;
    assert!(matches!(refused, Err(ChangeKeyringError::TooLarge(error)) if error == young));
    for revision in 1..=4 {
        change(revision, 20, samples::NOW).await.unwrap();
    }
    let full = change(5, 20, samples::NOW).await;
    let is_full = |kept| matches!(kept, Keeping { bytes: 80, .. });
    assert!(matches!(full, Err(ChangeKeyringError::HistoryFull(kept)) if is_full(kept)));
    change(5, 21, samples::NOW + GROWTH.young).await.unwrap();
}

/// A clock that is behind, by which an account is young again, makes its history no shorter.
pub async fn a_clock_that_is_behind_makes_no_history_shorter(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let growth = Growth { young_bytes: 20, ..GROWTH };
    let keeping = Keeping { revisions: 10, bytes: 1000, ..KEEPING };
    let later = samples::NOW + GROWTH.young;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(NewKeyring { event: at(later), growth, ..new }).await.unwrap();
    let change = |revision, now| NewContent { keeping, growth, ..change(&alice, revision, 1, now) };
    for revision in 1..=6 {
        stores.change_keyring(change(revision, later)).await.unwrap();
    }
    let behind = change(7, samples::NOW);
    let refused = stores.change_keyring(behind.clone()).await;
    assert!(matches!(refused, Err(ChangeKeyringError::HistoryFull(Keeping { bytes: 120, .. }))));
    let permit = touched(&passkey, 1);
    stores.change_keyring(NewContent { leave: Leave::Given, permit, ..behind }).await.unwrap();
    assert_eq!(kept(&stores, &alice).await.len(), 6);
}

/// The keyrings of all accounts have a bound together, which is free again for what was deleted.
pub async fn all_keyrings_together_have_a_bound(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let growth = Growth { total_bytes: 60, recent: Duration::ZERO, ..GROWTH };
    let store = |whose: &NewAccount| {
        let new = keyring(whose, Replaces::Nothing, vec![password(1)], 1);
        stores.store_keyring(NewKeyring { growth, ..new })
    };
    let change = |whose: &NewAccount, revision| {
        stores.change_keyring(NewContent { growth, ..change(whose, revision, 1, samples::NOW) })
    };
    let full = KeyringTooLarge::AllTogether { limit: 60 };
    store(&alice).await.unwrap();
    change(&alice, 1).await.unwrap();
    store(&bob).await.unwrap();
    for _ in 0..2 {
        let refused = change(&bob, 1).await;
        assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(error)) if error == full));
    }
    let event = || samples::event(EventKind::KeyringDeleted);
    assert!(
        stores.delete_keyring(alice.id, Revision(2), event(), Permit::ADMINISTRATOR).await.unwrap()
    );
    change(&bob, 1).await.unwrap();
    store(&alice).await.unwrap();
    assert!(
        stores.delete_keyring(alice.id, Revision(3), event(), Permit::ADMINISTRATOR).await.unwrap()
    );
    // With another password the earlier contents go.
    let renewed = keyring(&bob, Replaces::Revision(Revision(2)), vec![password(2)], 1);
    stores.store_keyring(NewKeyring { growth, ..renewed }).await.unwrap();
    store(&alice).await.unwrap();
    change(&alice, 4).await.unwrap();
    let carol = samples::new_account(3, "carol");
    stores.create(&carol).await;
    let refused = store(&carol).await;
    assert!(matches!(refused, Err(StoreKeyringError::TooLarge(error)) if error == full));
    let refused = change(&bob, 3).await;
    assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(error)) if error == full));
}

/// Where all keyrings together are too large, an account may still replace within what it has and restore.
/// Without the leave of the owner, only what was replaced long ago goes for it.
pub async fn an_account_may_always_have_what_it_has(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    let content = long(0, 30);
    stores.store_keyring(NewKeyring { content, ..new }).await.unwrap();
    stores.change_keyring(change(&alice, 1, 1, samples::NOW)).await.unwrap();
    // 50 bytes, where less may be.
    let growth = Growth { total_bytes: 10, ..GROWTH };
    let change = |revision, length, now, leave| {
        let content = long(revision, length);
        let change = change(&alice, revision, 1, now);
        stores.change_keyring(NewContent { content, growth, leave, ..change })
    };
    let soon = samples::NOW + Duration::from_mins(1);
    for length in [20, 1] {
        let refused = change(2, length, soon, Leave::Lacking).await;
        assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(_))), "{length}");
    }
    let refused = change(2, 51, soon, Leave::Given).await;
    assert!(matches!(refused, Err(ChangeKeyringError::TooLarge(_))));
    // The copy among the earlier ones goes, where there is no room for both.
    let restore = Restoration { growth, ..restoration(&alice, (1, 2), soon) };
    assert_eq!(stores.restore_keyring(restore).await.unwrap(), Revision(3));
    assert_eq!(kept(&stores, &alice).await, [2]);
    let (_, document) = stores.open_keyring(alice.id, by(1, 1), at(soon)).await.unwrap();
    assert_eq!(document.content, long(0, 30));
    change(3, 20, soon, Leave::Given).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [2], "the briefest has gone");
    let refused = change(4, 20, soon, Leave::Lacking).await;
    assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(_))));
    change(4, 20, soon + Duration::from_hours(24), Leave::Lacking).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [4]);
}

/// The accounts that were registered lately may have half of what all keyrings may have, and leave the rest
/// to the others.
pub async fn recent_accounts_have_half_together(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let later = samples::NOW + GROWTH.recent;
    let recent = |number, name| {
        let mut account = samples::new_account(number, name);
        account.credential.created_at = later;
        account
    };
    let (bob, carol) = (recent(2, "bob"), recent(3, "carol"));
    stores.create(&bob).await;
    stores.create(&carol).await;
    let growth = Growth { total_bytes: 100, ..GROWTH };
    let keeping = Keeping { revisions: 10, bytes: 1000, ..KEEPING };
    let store = |whose: &NewAccount, number, now| {
        let new = keyring(whose, Replaces::Nothing, vec![password(number)], number);
        stores.store_keyring(NewKeyring { keeping, growth, event: at(now), ..new })
    };
    let change = |whose: &NewAccount, revision, now| {
        let change = change(whose, revision, 1, now);
        stores.change_keyring(NewContent { keeping, growth, ..change })
    };
    store(&bob, 2, later).await.unwrap();
    change(&bob, 1, later).await.unwrap();
    let half = KeyringTooLarge::RecentAccounts { growth };
    let refused = store(&carol, 3, later).await;
    assert!(matches!(refused, Err(StoreKeyringError::TooLarge(error)) if error == half));
    let refused = change(&bob, 2, later).await;
    assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(error)) if error == half));
    store(&alice, 1, later).await.unwrap();
    change(&alice, 1, later).await.unwrap();
    change(&alice, 2, later).await.unwrap();
    let full = KeyringTooLarge::AllTogether { limit: 100 };
    let refused = change(&alice, 3, later).await;
    assert!(matches!(refused, Err(ChangeKeyringError::NoGrowth(error)) if error == full));
    // What one of them deletes, others may have.
    let event = samples::event(EventKind::KeyringDeleted);
    assert!(
        stores.delete_keyring(bob.id, Revision(2), event, Permit::ADMINISTRATOR).await.unwrap()
    );
    store(&carol, 3, later).await.unwrap();
    change(&carol, 1, later).await.unwrap();
    let event = samples::event(EventKind::KeyringDeleted);
    assert!(
        stores.delete_keyring(alice.id, Revision(3), event, Permit::ADMINISTRATOR).await.unwrap()
    );
    // They are not recent for ever.
    change(&carol, 2, later + GROWTH.recent).await.unwrap();
}
