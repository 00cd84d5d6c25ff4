//! Rules about accounts that anybody could make and nobody has ever used.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::EventKind,
    },
    ports::NewAccount,
};
use countersign_protocol::{AccountId, UnixTime};

use super::{Backend, Stores};
use crate::samples::{self, NOW};

const LATER: UnixTime = UnixTime::from_secs(1_700_000_000 + 3600);

async fn unproven(stores: &Stores, number: u64, name: &str) -> NewAccount {
    let new = samples::new_account(number, name);
    stores.create_unproven_account(new.clone()).await.unwrap();
    new
}

async fn is_there(stores: &Stores, id: AccountId) -> bool {
    stores.account(&AccountName::Id(id)).await.unwrap().is_some()
}

/// An account goes at its moment if nobody has ever proven a key of it; its name and its key are free
/// again, and the trail says how many went.
pub async fn an_account_that_nobody_used_goes_and_frees_its_name_and_key(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = unproven(&stores, 1, "alice").await;
    unproven(&stores, 2, "bob").await;
    let early = NOW - Duration::from_millis(1);
    assert_eq!(stores.expire_unused(early, 10, LATER).await.unwrap(), (0, false));
    assert_eq!(stores.expire_unused(NOW, 10, LATER).await.unwrap(), (2, false));
    assert!(!is_there(&stores, new.id).await);
    let last = stores.trail().await.pop().unwrap().event;
    assert_eq!((last.at, last.kind), (LATER, EventKind::AccountsExpired));
    assert_eq!(last.detail.as_deref(), Some("2 accounts that were never used"));
    let again = NewAccount { id: samples::account_id(3), ..new.clone() };
    let credential = samples::credential(again.id, new.credential.public_key);
    stores.create(&NewAccount { credential, ..again }).await;
    assert_eq!(stores.expire_unused(LATER, 10, LATER).await.unwrap(), (0, false));
}

/// What was used, proven or invited stays, and what an administrator has dealt with.
pub async fn an_account_that_is_of_use_stays(backend: &impl Backend) {
    let stores = backend.open().await;
    let proven = samples::new_account(1, "proven");
    stores.create(&proven).await;
    let used = unproven(&stores, 2, "used").await;
    stores.note_use(used.id, &used.credential.thumbprint(), NOW).await.unwrap();
    let disabled = unproven(&stores, 3, "disabled").await;
    let event = samples::event(EventKind::AccountDisabled);
    let status = AccountStatus::Disabled;
    assert!(stores.set_status(disabled.id, status, event).await.unwrap());
    let invitation = samples::invitation(1);
    let event = samples::event(EventKind::InvitationCreated);
    stores.create_invitation(&invitation, event).await.unwrap();
    let invited =
        NewAccount { invitation: Some(invitation.code_hash), ..samples::new_account(5, "invited") };
    stores.create_unproven_account(invited.clone()).await.unwrap();

    let before = stores.trail().await.len();
    for _ in 0..2 {
        assert_eq!(stores.expire_unused(LATER, 10, LATER).await.unwrap(), (0, false));
    }
    for account in [proven, used, disabled, invited] {
        assert!(is_there(&stores, account.id).await, "{}", account.username);
    }
    assert_eq!(stores.trail().await.len(), before, "nothing went, so nothing is said");
}

/// One call looks at a bounded number, the oldest first, and says whether there may be more.
pub async fn unused_accounts_go_in_batches(backend: &impl Backend) {
    let stores = backend.open().await;
    for number in 1..=5 {
        unproven(&stores, number, &format!("user{number}")).await;
    }
    for expected in [(2, true), (2, true), (1, false), (0, false)] {
        assert_eq!(stores.expire_unused(LATER, 2, LATER).await.unwrap(), expected);
    }
}
