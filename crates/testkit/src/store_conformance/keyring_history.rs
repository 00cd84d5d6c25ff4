//! Rules about earlier contents of online keyrings.

use std::time::Duration;

use countersign_authority::{
    model::keyring::{Keeping, Leave, Revision},
    ports::{ChangeKeyringError, NewContent, NewKeyring, NewSlot, Permit, Replaces, Restoration},
};

use super::{
    Backend,
    keyrings::{
        KEEPING, alice, at, by, change, content, kept, keyring, long, password, prf, recovery,
        restoration, touched,
    },
};
use crate::samples;

/// Each content that is replaced is kept. Without the leave of the owner none goes that was replaced lately,
/// and with it the one that was there for the shortest time.
pub async fn no_content_that_was_replaced_lately_goes_by_itself(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(new).await.unwrap();
    let start = samples::NOW;
    let minutes = |minutes| start + Duration::from_mins(minutes);
    // The first was there for 10 minutes, the second for one, the third for 20.
    for (revision, now) in [(1, minutes(10)), (2, minutes(11)), (3, minutes(31))] {
        stores.change_keyring(change(&alice, revision, 1, now)).await.unwrap();
    }
    assert_eq!(kept(&stores, &alice).await, [3, 2, 1]);
    let refused = stores.change_keyring(change(&alice, 4, 1, minutes(36))).await;
    assert!(matches!(refused, Err(ChangeKeyringError::HistoryFull(KEEPING))));
    assert_eq!(kept(&stores, &alice).await, [3, 2, 1], "nothing has changed");
    let leave = |revision, now| NewContent {
        leave: Leave::Given,
        permit: touched(&passkey, revision),
        ..change(&alice, revision, 1, now)
    };
    stores.change_keyring(leave(4, minutes(36))).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [4, 3, 1]);
    let again = NewContent { permit: touched(&passkey, 4), ..leave(5, minutes(37)) };
    let again = stores.change_keyring(again).await;
    assert!(matches!(again, Err(ChangeKeyringError::StepUp(_))));
    // The content that is replaced may be the one that goes.
    stores.change_keyring(leave(5, minutes(37))).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [4, 3, 1]);
    // After a day the oldest goes by itself, and no more than needed.
    let next = |minutes| start + Duration::from_hours(24) + Duration::from_mins(minutes);
    let early = stores.change_keyring(change(&alice, 6, 1, next(9))).await;
    assert!(matches!(early, Err(ChangeKeyringError::HistoryFull(KEEPING))));
    stores.change_keyring(change(&alice, 6, 1, next(10))).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [6, 4, 3]);
    let stale = stores.change_keyring(change(&alice, 5, 1, next(11))).await;
    let present = Revision(7);
    assert!(matches!(stale, Err(ChangeKeyringError::Changed { present: p }) if p == present));
    assert_eq!(stores.keyring_revisions(samples::account_id(9)).await.unwrap(), None);
}

/// Earlier contents have a bound in bytes, too.
pub async fn earlier_contents_have_a_bound_in_bytes(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(new).await.unwrap();
    let change = |revision, length, leave| {
        let now = samples::NOW + Duration::from_mins(revision);
        let content = long(revision, length);
        stores.change_keyring(NewContent { content, leave, ..change(&alice, revision, 1, now) })
    };
    change(1, 80, Leave::Lacking).await.unwrap();
    change(2, 17, Leave::Lacking).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [2, 1], "100 bytes");
    let refused = change(3, 17, Leave::Lacking).await;
    assert!(matches!(refused, Err(ChangeKeyringError::HistoryFull(KEEPING))));
    // All were there for a minute: the newest goes.
    change(3, 101, Leave::Given).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [2, 1]);
    change(4, 17, Leave::Given).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [2, 1]);
}

/// A content that is restored stays among those that are kept. If there is no room for the one that it takes
/// the place of, that one goes, and no other.
pub async fn a_restored_content_is_still_kept(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(new).await.unwrap();
    let mut now = samples::NOW;
    // The first was there for the shortest time.
    for revision in 1..=3 {
        now = now + Duration::from_mins(revision);
        stores.change_keyring(change(&alice, revision, 8, now)).await.unwrap();
    }
    now = now + Duration::from_mins(4);
    let restore = |which, now, permit| {
        let restoration = Restoration { permit, ..restoration(&alice, which, now) };
        stores.restore_keyring(restoration)
    };
    assert!(matches!(
        restore((4, 4), now, Permit::ADMINISTRATOR).await,
        Err(ChangeKeyringError::NoRevision)
    ));
    assert_eq!(restore((1, 4), now, touched(&passkey, 1)).await.unwrap(), Revision(5));
    let again = restore((1, 5), now, touched(&passkey, 1)).await;
    assert!(matches!(again, Err(ChangeKeyringError::StepUp(_))));
    assert_eq!(kept(&stores, &alice).await, [3, 2, 1]);
    let (revision, document) = stores.open_keyring(alice.id, by(1, 1), at(now)).await.unwrap();
    assert_eq!((revision, document.content), (Revision(5), content(1)));
    for (tried, revision) in [(2, 6), (3, 7), (1, 8)] {
        let restored = restore((tried, revision - 1), now, Permit::ADMINISTRATOR).await;
        assert_eq!(restored.unwrap(), Revision(revision));
        assert_eq!(kept(&stores, &alice).await, [3, 2, 1], "going back and forth loses none");
    }
    // After a day the oldest makes room, but the restored one.
    let next_day = now + Duration::from_hours(24);
    assert_eq!(restore((1, 8), next_day, Permit::ADMINISTRATOR).await.unwrap(), Revision(9));
    assert_eq!(kept(&stores, &alice).await, [8, 3, 1]);
}

/// Without the leave of the owner, no content comes back that is kept as an earlier one.
pub async fn no_earlier_content_comes_back_by_itself(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(new).await.unwrap();
    stores.change_keyring(change(&alice, 1, 2, samples::NOW)).await.unwrap();
    let again = |leave, permit| {
        let changed = change(&alice, 2, 1, samples::NOW);
        stores.change_keyring(NewContent { content: content(1), leave, permit, ..changed })
    };
    let refused = again(Leave::Lacking, Permit::ADMINISTRATOR).await;
    assert!(matches!(refused, Err(ChangeKeyringError::Known(Revision(1)))));
    assert_eq!(kept(&stores, &alice).await, [1], "nothing has changed");
    let allowed = again(Leave::Given, touched(&passkey, 1)).await;
    assert_eq!(allowed.unwrap(), Revision(3));
    // The content of another account is no earlier one of this.
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    stores.store_keyring(keyring(&bob, Replaces::Nothing, vec![password(2)], 9)).await.unwrap();
    let same = NewContent { content: content(1), ..change(&bob, 1, 1, samples::NOW) };
    stores.change_keyring(same).await.unwrap();
}

/// Where there are too many bytes, as few contents as possible go, and so small ones stay.
pub async fn small_contents_do_not_go_for_the_bytes_of_long_ones(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    let content = long(0, 5);
    stores.store_keyring(NewKeyring { content, ..new }).await.unwrap();
    // The long ones stay for longer each.
    let mut now = samples::NOW;
    for (revision, length) in [(1, 45), (2, 45), (3, 45)] {
        now = now + Duration::from_mins(revision);
        let content = long(revision, length);
        let change = NewContent { content, ..change(&alice, revision, 1, now) };
        stores.change_keyring(change).await.unwrap();
    }
    assert_eq!(kept(&stores, &alice).await, [3, 2, 1], "95 bytes");
    now = now + Duration::from_mins(4);
    let keeping = Keeping { revisions: 4, ..KEEPING };
    let changed = change(&alice, 4, 1, now);
    let changed = NewContent { keeping, leave: Leave::Given, ..changed };
    stores.change_keyring(changed).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [4, 3, 1]);
}

/// A content is old when the clock that things are forgotten by says so, and not by a clock that jumps.
pub async fn a_clock_that_jumps_makes_no_content_old(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    stores.store_keyring(new).await.unwrap();
    for revision in 1..=3 {
        stores.change_keyring(change(&alice, revision, 1, samples::NOW)).await.unwrap();
    }
    let ahead = samples::NOW + Duration::from_hours(24 * 31);
    let forgets_up_to = samples::NOW;
    let jumped = NewContent { forgets_up_to, ..change(&alice, 4, 1, ahead) };
    let refused = stores.change_keyring(jumped).await;
    assert!(matches!(refused, Err(ChangeKeyringError::HistoryFull(KEEPING))));
    let restoration = Restoration { forgets_up_to, ..restoration(&alice, (2, 4), ahead) };
    stores.restore_keyring(restoration).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [3, 2, 1]);
    stores.change_keyring(change(&alice, 5, 1, ahead)).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [5, 3, 2]);
}

/// A keyring that has a slot of the replaced one has its content key, so earlier contents stay. With other
/// slots they go.
pub async fn earlier_contents_stay_with_their_key(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let store = |replaces, slots| stores.store_keyring(keyring(&alice, replaces, slots, 1));
    let own = |new: NewSlot| NewSlot { record: None, ..new };
    store(Replaces::Nothing, vec![password(1), recovery(2)]).await.unwrap();
    let added = vec![own(password(1)), own(recovery(2)), prf(3, &passkey)];
    store(Replaces::Revision(Revision(1)), added).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [1]);
    // More than there is room for: what stores a keyring has the leave of the owner.
    for revision in 2..=6 {
        let same = vec![prf(3, &passkey)];
        store(Replaces::Revision(Revision(revision)), same).await.unwrap();
    }
    assert_eq!(kept(&stores, &alice).await.len(), 3);
    let mut rewrapped = prf(3, &passkey);
    rewrapped.slot.wrapped[0] ^= 1;
    store(Replaces::Revision(Revision(7)), vec![rewrapped]).await.unwrap();
    assert_eq!(kept(&stores, &alice).await, [] as [u64; 0]);
}
