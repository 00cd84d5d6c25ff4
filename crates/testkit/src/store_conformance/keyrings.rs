//! Rules about online keyrings.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
        keyring::{
            Growth, Keeping, KeyringContent, KeyringDocument, Knowledge, KnowledgeRecord, Leave,
            Opener, Revision, Slot, SlotId,
        },
        passkey::PasskeyUse,
    },
    ports::{
        ChangeKeyringError, DeleteKeyringError, KnowledgeSlot, NewAccount, NewContent, NewKeyring,
        NewPasskey, NewSlot, OpenKeyringError, OpenedBy, Permit, Replaces, Restoration,
        SpentStepUp, StoreKeyringError,
    },
};
use countersign_protocol::UnixTime;

use super::{Backend, Stores, at_once};
use crate::samples;

pub(super) const KEEPING: Keeping =
    Keeping { revisions: 3, bytes: 100, at_least: Duration::from_hours(24) };

pub(super) const GROWTH: Growth = Growth {
    total_bytes: 1_000_000,
    recent: Duration::from_hours(24 * 30),
    young: Duration::from_hours(1),
    young_bytes: 200,
};

/// A keyring comes back as it was stored, to who has opened it and with its event.
pub async fn a_keyring_comes_back_as_it_was(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let slots = vec![password(1), recovery(2), prf(3, &passkey)];
    let new = keyring(&alice, Replaces::Nothing, slots.clone(), 7);
    assert_eq!(stores.store_keyring(new.clone()).await.unwrap(), Revision(1));
    assert_eq!(stores.trail().await.last().unwrap().event, new.event);
    drop(stores);
    let stores = backend.open().await;
    let summary = stores.keyring(alice.id).await.unwrap().unwrap();
    assert_eq!((summary.revision, summary.size), (Revision(1), 20));
    assert_eq!(summary.updated_at, samples::NOW);
    let stored: Vec<_> = slots.into_iter().map(|new| new.slot).collect();
    let listed: Vec<_> = summary.slots.iter().map(|known| known.slot.clone()).collect();
    assert_eq!(listed, stored);
    assert!(summary.slots.iter().all(|known| !known.passkey_revoked));
    let opened = stores.open_keyring(alice.id, by(1, 1), at(samples::NOW)).await.unwrap();
    let document = KeyringDocument { slots: stored, content: content(7) };
    assert_eq!(opened, (Revision(1), document));
    assert_eq!(stores.trail().await.last().unwrap().event, at(samples::NOW));
    assert_eq!(stores.keyring(samples::account_id(9)).await.unwrap(), None);
}

/// A keyring takes the place of the one that it names, and of no other.
pub async fn a_keyring_replaces_what_it_names(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let store = |replaces, number| {
        stores.store_keyring(keyring(&alice, replaces, vec![password(number)], number))
    };
    let absent = store(Replaces::Revision(Revision(1)), 1).await;
    assert!(matches!(absent, Err(StoreKeyringError::NoKeyring)));
    store(Replaces::Nothing, 1).await.unwrap();
    for wrong in [Replaces::Nothing, Replaces::Revision(Revision(2))] {
        let refused = store(wrong, 2).await;
        let present = Revision(1);
        assert!(matches!(refused, Err(StoreKeyringError::Changed { present: p }) if p == present));
    }
    assert_eq!(store(Replaces::Revision(Revision(1)), 2).await.unwrap(), Revision(2));
}

/// A change that comes again, because its answer was lost, is done already: once, with one event. Another
/// content in its place is refused, and so is the same one later.
pub async fn a_change_that_comes_again_is_done_already(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let first = keyring(&alice, Replaces::Nothing, vec![password(1), recovery(2)], 1);
    let later = samples::NOW + Duration::from_mins(1);
    for _ in 0..2 {
        assert_eq!(stores.store_keyring(first.clone()).await.unwrap(), Revision(1));
    }
    let other = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    let refused = stores.store_keyring(other).await;
    assert!(matches!(refused, Err(StoreKeyringError::Changed { present: Revision(1) })));
    for _ in 0..2 {
        let changed = stores.change_keyring(change(&alice, 1, 2, later)).await;
        assert_eq!(changed.unwrap(), Revision(2));
    }
    let refused = stores.change_keyring(change(&alice, 1, 3, later)).await;
    assert!(matches!(refused, Err(ChangeKeyringError::Changed { present: Revision(2) })));
    let again = keyring(&alice, Replaces::Revision(Revision(2)), vec![password(3)], 4);
    for _ in 0..2 {
        assert_eq!(stores.store_keyring(again.clone()).await.unwrap(), Revision(3));
    }
    let refused = stores.change_keyring(change(&alice, 1, 2, later)).await;
    assert!(matches!(refused, Err(ChangeKeyringError::Changed { present: Revision(3) })));
    let changes = [EventKind::KeyringStored, EventKind::KeyringContentChanged];
    let told = stores.trail().await;
    let told = told.iter().filter(|told| changes.contains(&told.event.kind)).count();
    assert_eq!(told, 3);
}

/// Of many that store the first keyring at once, or replace one content at once, one does.
pub async fn of_many_keyrings_at_once_one_is_stored(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let stored = at_once(backend, 8, |number, stores| {
        let number = u8::try_from(number).unwrap();
        let new = keyring(&alice, Replaces::Nothing, vec![password(number)], number);
        async move { stores.store_keyring(new).await.is_ok() }
    })
    .await;
    assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 1);
    let changed = at_once(backend, 8, |number, stores| {
        let change = change(&alice, 1, u8::try_from(number).unwrap(), samples::NOW);
        async move { stores.change_keyring(change).await.is_ok() }
    })
    .await;
    assert_eq!(changed.into_iter().filter(|changed| *changed).count(), 1);
}

/// A slot with a record is new, and one without is the account's own: its record and age stay.
pub async fn slots_are_new_or_the_accounts_own(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let bob = samples::new_account(2, "bob");
    stores.create(&bob).await;
    let store = |whose: &NewAccount, replaces, slots| {
        stores.store_keyring(keyring(whose, replaces, slots, 1))
    };
    let kept = |new: NewSlot| NewSlot { record: None, ..new };
    let refused = store(&alice, Replaces::Nothing, vec![kept(password(1))]).await;
    assert!(matches!(refused, Err(StoreKeyringError::NoSlot(id)) if id == slot_id(1)));
    assert_eq!(stores.keyring(alice.id).await.unwrap(), None, "nothing of it stays");
    store(&alice, Replaces::Nothing, vec![password(1), recovery(2)]).await.unwrap();
    let present = Replaces::Revision(Revision(1));
    let taken = store(&alice, present, vec![password(1)]).await;
    assert!(matches!(taken, Err(StoreKeyringError::SlotTaken(id)) if id == slot_id(1)));
    let relabelled = Slot { opener: Opener::Recovery, ..password(1).slot };
    let relabelled = NewSlot { slot: relabelled, record: None };
    let refused = store(&alice, present, vec![relabelled]).await;
    assert!(matches!(refused, Err(StoreKeyringError::NoSlot(_))));
    let others = store(&bob, Replaces::Nothing, vec![kept(password(1))]).await;
    assert!(matches!(others, Err(StoreKeyringError::NoSlot(_))));
    let others = store(&bob, Replaces::Nothing, vec![prf(3, &passkey)]).await;
    assert!(matches!(others, Err(StoreKeyringError::NoPasskey(id)) if id == slot_id(3)));
    let mut later = keyring(&alice, present, vec![kept(password(1)), recovery(4)], 2);
    later.event = at(samples::NOW + Duration::from_secs(5));
    stores.store_keyring(later).await.unwrap();
    let slots = stores.keyring(alice.id).await.unwrap().unwrap().slots;
    let ages: Vec<_> = slots.iter().map(|known| (known.slot.id, known.created_at)).collect();
    let later = samples::NOW + Duration::from_secs(5);
    assert_eq!(ages, [(slot_id(1), samples::NOW), (slot_id(4), later)]);
    let found = find(&stores, Knowledge::Password).await.unwrap();
    assert_eq!(Some(found.record), password(1).record);
}

/// A slot of a passkey that was revoked is marked.
pub async fn a_slot_of_a_revoked_passkey_is_marked(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![prf(3, &passkey)], 1);
    stores.store_keyring(new).await.unwrap();
    let (key, event) = (passkey.credential.thumbprint(), samples::event(EventKind::KeyRevoked));
    stores.revoke_credential(alice.id, &key, false, event, Permit::ADMINISTRATOR).await.unwrap();
    let slots = stores.keyring(alice.id).await.unwrap().unwrap().slots;
    assert!(slots[0].passkey_revoked);
    let again = keyring(&alice, Replaces::Revision(Revision(1)), vec![prf(3, &passkey)], 1);
    let refused = stores.store_keyring(again).await;
    assert!(matches!(refused, Err(StoreKeyringError::NoPasskey(_))));
}

/// A deleted keyring is gone with all that was kept of it; its numbers do not come back.
pub async fn a_deleted_keyring_is_gone(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let event = || samples::event(EventKind::KeyringDeleted);
    let delete = |revision| {
        stores.delete_keyring(alice.id, Revision(revision), event(), Permit::ADMINISTRATOR)
    };
    assert!(!delete(1).await.unwrap());
    let new = |number| keyring(&alice, Replaces::Nothing, vec![password(number)], number);
    stores.store_keyring(new(1)).await.unwrap();
    let later = samples::NOW + Duration::from_mins(1);
    stores.change_keyring(change(&alice, 1, 2, later)).await.unwrap();
    assert!(delete(2).await.unwrap());
    assert_eq!(stores.keyring(alice.id).await.unwrap(), None);
    assert_eq!(stores.keyring_revisions(alice.id).await.unwrap(), None);
    assert_eq!(find(&stores, Knowledge::Password).await, None);
    let gone = stores.open_keyring(alice.id, by(1, 1), at(later)).await;
    assert!(matches!(gone, Err(OpenKeyringError::Gone)));
    let absent = stores.change_keyring(change(&alice, 2, 2, later)).await;
    assert!(matches!(absent, Err(ChangeKeyringError::NoKeyring)));
    // Also a slot of before is new.
    assert_eq!(stores.store_keyring(new(1)).await.unwrap(), Revision(3));
    assert_eq!(stores.keyring_revisions(alice.id).await.unwrap(), Some(Vec::new()));
}

/// A touch for deleting a keyring, or for going back, is for the content that was there: it is used up when
/// there is another one, and does nothing to that.
pub async fn a_touch_is_for_the_keyring_that_it_names(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let new = |number| keyring(&alice, Replaces::Nothing, vec![password(number)], number);
    stores.store_keyring(new(1)).await.unwrap();
    stores.change_keyring(change(&alice, 1, 2, samples::NOW)).await.unwrap();
    let restore = |replaces, touch| {
        let restoration = restoration(&alice, (1, replaces), samples::NOW);
        let permit = touched(&passkey, touch);
        stores.restore_keyring(Restoration { permit, ..restoration })
    };
    let delete = |replaces, touch| {
        let event = samples::event(EventKind::KeyringDeleted);
        let permit = touched(&passkey, touch);
        stores.delete_keyring(alice.id, Revision(replaces), event, permit)
    };
    let present = Revision(2);
    for (wrong, touch) in [(1, 1), (3, 2)] {
        let refused = restore(wrong, touch).await;
        assert!(matches!(refused, Err(ChangeKeyringError::Changed { present: p }) if p == present));
        let refused = delete(wrong, 10 + touch).await;
        assert!(matches!(refused, Err(DeleteKeyringError::Changed { present: p }) if p == present));
    }
    assert_eq!(stores.keyring(alice.id).await.unwrap().unwrap().revision, present);
    assert_eq!(kept(&stores, &alice).await, [1], "nothing has changed");
    // The touch does not serve for another one either.
    assert!(matches!(restore(2, 1).await, Err(ChangeKeyringError::StepUp(_))));
    assert!(matches!(delete(2, 11).await, Err(DeleteKeyringError::StepUp(_))));
    assert_eq!(restore(2, 3).await.unwrap(), Revision(3));
    assert!(delete(3, 13).await.unwrap());
    stores.store_keyring(new(3)).await.unwrap();
    let later = delete(3, 14).await;
    assert!(matches!(later, Err(DeleteKeyringError::Changed { present: Revision(4) })));
}

/// What has been written already is found by who sends it again, and nothing is written by that.
pub async fn what_was_written_is_found_and_nothing_else(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, _) = alice(&stores).await;
    let new = keyring(&alice, Replaces::Nothing, vec![password(1)], 1);
    assert_eq!(stores.stored_keyring(&new).await.unwrap(), None);
    stores.store_keyring(new.clone()).await.unwrap();
    assert_eq!(stores.stored_keyring(&new).await.unwrap(), Some(Revision(1)));
    let others = [
        keyring(&alice, Replaces::Nothing, vec![password(1)], 2),
        keyring(&alice, Replaces::Nothing, vec![password(2)], 1),
        keyring(&alice, Replaces::Revision(Revision(1)), vec![password(1)], 1),
    ];
    for other in &others {
        assert_eq!(stores.stored_keyring(other).await.unwrap(), None);
    }
    let change = change(&alice, 1, 2, samples::NOW);
    assert_eq!(stores.changed_keyring(&change).await.unwrap(), None);
    stores.change_keyring(change.clone()).await.unwrap();
    assert_eq!(stores.changed_keyring(&change).await.unwrap(), Some(Revision(2)));
    assert_eq!(stores.stored_keyring(&new).await.unwrap(), None);
    let (replaces, event) = (Revision(2), at(samples::NOW));
    let by = Permit::ADMINISTRATOR;
    assert!(stores.delete_keyring(alice.id, replaces, event, by).await.unwrap());
    assert_eq!(stores.changed_keyring(&change).await.unwrap(), None);
    assert_eq!(stores.keyring(alice.id).await.unwrap(), None);
}

/// What opens a keyring does so once, and only while its slot is there and the account active.
pub async fn a_login_opens_a_keyring_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    let slots = vec![password(1), prf(3, &passkey)];
    stores.store_keyring(keyring(&alice, Replaces::Nothing, slots, 1)).await.unwrap();
    let opened = at_once(backend, 8, |_, stores| {
        let id = alice.id;
        async move { stores.open_keyring(id, by(1, 1), at(samples::NOW)).await.is_ok() }
    })
    .await;
    assert_eq!(opened.into_iter().filter(|opened| *opened).count(), 1);
    let open = |by| stores.open_keyring(alice.id, by, at(samples::NOW));
    assert!(matches!(open(by(1, 1)).await, Err(OpenKeyringError::Used)));
    assert!(matches!(open(by(2, 2)).await, Err(OpenKeyringError::Gone)));
    open(OpenedBy::Passkey(step_up(&passkey, 5))).await.unwrap();
    let again = open(OpenedBy::Passkey(step_up(&passkey, 5))).await;
    assert!(matches!(again, Err(OpenKeyringError::StepUp(_))));
    let event = samples::event(EventKind::AccountDisabled);
    stores.set_status(alice.id, AccountStatus::Disabled, event).await.unwrap();
    assert!(matches!(open(by(1, 3)).await, Err(OpenKeyringError::Gone)));
}

/// A slot is found by the name of an account that somebody can log in to.
pub async fn a_slot_is_found_while_somebody_can_log_in(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, passkey) = alice(&stores).await;
    assert_eq!(find(&stores, Knowledge::Password).await, None);
    let slots = vec![password(1), prf(3, &passkey)];
    stores.store_keyring(keyring(&alice, Replaces::Nothing, slots, 1)).await.unwrap();
    let found = find(&stores, Knowledge::Password).await.unwrap();
    assert_eq!((found.account_id, found.id), (alice.id, slot_id(1)));
    assert_eq!(Some(found.record), password(1).record);
    assert_eq!(find(&stores, Knowledge::Recovery).await, None);
    let status =
        |status| stores.set_status(alice.id, status, samples::event(EventKind::AccountDisabled));
    status(AccountStatus::Disabled).await.unwrap();
    assert_eq!(find(&stores, Knowledge::Password).await, None);
    status(AccountStatus::Active).await.unwrap();
    assert!(find(&stores, Knowledge::Password).await.is_some());
    for key in [alice.credential.thumbprint(), passkey.credential.thumbprint()] {
        assert!(find(&stores, Knowledge::Password).await.is_some());
        let event = samples::event(EventKind::KeyRevoked);
        stores
            .revoke_credential(alice.id, &key, false, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
    }
    assert_eq!(find(&stores, Knowledge::Password).await, None);
}

/// Alice with a key and a passkey.
pub(super) async fn alice(stores: &Stores) -> (NewAccount, NewPasskey) {
    let alice = samples::new_account(1, "alice");
    stores.create(&alice).await;
    let passkey = samples::new_passkey(alice.id, 1, Some(alice.credential.thumbprint()));
    stores.add_passkey(passkey.clone(), samples::KEY_LIMITS, Permit::ADMINISTRATOR).await.unwrap();
    (alice, passkey)
}

/// The numbers of the earlier contents, newest first.
pub(super) async fn kept(stores: &Stores, account: &NewAccount) -> Vec<u64> {
    let kept = stores.keyring_revisions(account.id).await.unwrap().unwrap();
    kept.into_iter().map(|kept| kept.revision.0).collect()
}

/// Alice's slot of that kind.
pub(super) async fn find(stores: &Stores, knowledge: Knowledge) -> Option<KnowledgeSlot> {
    let name = samples::username("ALICE");
    stores.knowledge_slot(&name, knowledge, samples::NOW).await.unwrap()
}

pub(super) fn slot_id(number: u8) -> SlotId {
    SlotId::from_bytes([number; 16])
}

pub(super) fn slot(number: u8, opener: Opener) -> Slot {
    Slot { id: slot_id(number), opener, wrapped: [number; 60] }
}

pub(super) fn with_record(number: u8, opener: Opener) -> NewSlot {
    let record = KnowledgeRecord { user: [number; 32], record: vec![number; 192] };
    NewSlot { slot: slot(number, opener), record: Some(record) }
}

pub(super) fn password(number: u8) -> NewSlot {
    with_record(number, Opener::Password)
}

pub(super) fn recovery(number: u8) -> NewSlot {
    with_record(number, Opener::Recovery)
}

pub(super) fn prf(number: u8, passkey: &NewPasskey) -> NewSlot {
    let opener = Opener::Prf { passkey: passkey.passkey.id.clone(), salt: [number; 32] };
    NewSlot { slot: slot(number, opener), record: None }
}

pub(super) fn content(number: u8) -> KeyringContent {
    KeyringContent { nonce: nonce(number, 0), ciphertext: vec![number; 20] }
}

/// The nonce of the content that replaces the one of the number `replaces`.
pub(super) fn nonce(number: u8, replaces: u64) -> [u8; 12] {
    let mut nonce = [number; 12];
    nonce[..8].copy_from_slice(&replaces.to_be_bytes());
    nonce
}

pub(super) fn keyring(
    account: &NewAccount,
    replaces: Replaces,
    slots: Vec<NewSlot>,
    number: u8,
) -> NewKeyring {
    NewKeyring {
        account_id: account.id,
        replaces,
        slots,
        content: content(number),
        keeping: KEEPING,
        growth: GROWTH,
        forgets_up_to: samples::NOW,
        event: samples::event(EventKind::KeyringStored),
        permit: Permit::ADMINISTRATOR,
    }
}

pub(super) fn change(account: &NewAccount, replaces: u64, number: u8, now: UnixTime) -> NewContent {
    NewContent {
        account_id: account.id,
        replaces: Revision(replaces),
        content: KeyringContent { nonce: nonce(number, replaces), ..content(number) },
        keeping: KEEPING,
        growth: GROWTH,
        forgets_up_to: now,
        leave: Leave::Lacking,
        event: at(now),
        permit: Permit::ADMINISTRATOR,
    }
}

/// A content of `length` bytes that replaces the one of the number `replaces`.
pub(super) fn long(replaces: u64, length: usize) -> KeyringContent {
    KeyringContent { nonce: nonce(1, replaces), ciphertext: vec![1; length] }
}

/// The content of the number `revision` in the place of the one of the number `replaces`.
pub(super) fn restoration(
    account: &NewAccount,
    (revision, replaces): (u64, u64),
    now: UnixTime,
) -> Restoration {
    Restoration {
        account_id: account.id,
        revision: Revision(revision),
        replaces: Revision(replaces),
        keeping: KEEPING,
        growth: GROWTH,
        forgets_up_to: now,
        event: at(now),
        permit: Permit::ADMINISTRATOR,
    }
}

pub(super) fn at(now: UnixTime) -> AuditEvent {
    AuditEvent { at: now, ..samples::event(EventKind::KeyringContentChanged) }
}

pub(super) fn by(slot: u8, login: u64) -> OpenedBy {
    OpenedBy::Knowledge { slot: slot_id(slot), state: samples::replay_entry(login) }
}

/// What a touch of the passkey permits.
pub(super) fn touched(passkey: &NewPasskey, assertion: u64) -> Permit {
    Permit { signer: None, step_up: Some(step_up(passkey, assertion)) }
}

fn step_up(passkey: &NewPasskey, assertion: u64) -> SpentStepUp {
    let thumbprint = passkey.credential.thumbprint();
    SpentStepUp {
        challenge: samples::replay_entry(100 + assertion),
        passkey: PasskeyUse { thumbprint, sign_count: 0, backed_up: true },
    }
}
