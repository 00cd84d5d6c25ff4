//! Rules about invitations.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::AccountName,
        audit::{AuditFilter, EventKind},
        credential::Credential,
        invitation::{Invitation, Purpose},
    },
    ports::{AccountRecovery, CreateAccountError, NewAccount, NewSecret, RecoverError},
};

use countersign_protocol::keys::Thumbprint;

use super::{Backend, Stores, at_once};
use crate::{
    keys,
    samples::{self, NOW},
};

/// Of many uses at the same time, each by another person with another key, one succeeds; and none
/// does later.
pub async fn an_invitation_admits_one_of_many_at_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = samples::invitation(1);
    invite(&stores, &invitation).await;
    let results = at_once(backend, 20, |number, accounts| {
        let new = invited(number, &format!("user{number}"), &invitation);
        async move { accounts.create_account(new).await }
    })
    .await;
    let created = results.iter().filter(|result| result.is_ok()).count();
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(CreateAccountError::InvitationUnusable)))
        .count();
    assert_eq!((created, refused), (1, 19));
    assert_eq!(stores.accounts(None, 100).await.unwrap().len(), 1);

    assert_unusable(&stores, invited(20, "late", &invitation)).await;
    let listed = stores.invitations(10).await.unwrap();
    assert_eq!(listed, [Invitation { used_at: Some(NOW), ..invitation }]);
}

/// An invitation for a name admits nobody else, but that name in any case.
pub async fn an_invitation_can_be_for_one_name_only(backend: &impl Backend) {
    let stores = backend.open().await;
    let username = Some(samples::username("Alice"));
    let invitation = Invitation { username, ..samples::invitation(1) };
    invite(&stores, &invitation).await;
    assert_unusable(&stores, invited(1, "mallory", &invitation)).await;
    stores.create(&invited(2, "alice", &invitation)).await;
}

/// An invitation works until the moment of its end, and no longer.
pub async fn an_invitation_ends_at_its_moment(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = samples::invitation(1);
    invite(&stores, &invitation).await;
    let mut new = invited(1, "alice", &invitation);
    new.credential.created_at = invitation.expires_at;
    assert_unusable(&stores, new.clone()).await;
    new.credential.created_at = invitation.expires_at - Duration::from_millis(1);
    stores.create(&new).await;
}

/// A registration that fails for another reason leaves the invitation as it was.
pub async fn a_failed_registration_does_not_use_up_the_invitation(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = samples::invitation(1);
    invite(&stores, &invitation).await;
    let other = samples::new_account(1, "alice");
    stores.create(&other).await;

    let taken_name = invited(2, "alice", &invitation);
    let refusal = stores.create_account(taken_name).await;
    assert!(matches!(refusal, Err(CreateAccountError::UsernameTaken)), "{refusal:?}");
    let mut taken_key = invited(2, "bob", &invitation);
    taken_key.credential.public_key = other.credential.public_key;
    let refusal = stores.create_account(taken_key).await;
    assert!(matches!(refusal, Err(CreateAccountError::KeyTaken)), "{refusal:?}");

    assert_eq!(stores.invitations(10).await.unwrap()[0].used_at, None);
    stores.create(&invited(2, "bob", &invitation)).await;
}

/// Who has no working invitation does not learn which names and keys are taken.
pub async fn the_invitation_is_checked_before_names_and_keys(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create(&samples::new_account(1, "alice")).await;
    assert_unusable(&stores, invited(1, "alice", &samples::invitation(1))).await;
}

/// The account has its own scopes and those of the invitation.
pub async fn the_scopes_of_the_invitation_are_added(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = Invitation { scopes: samples::scopes("admin read"), ..samples::invitation(1) };
    invite(&stores, &invitation).await;
    let mut new = invited(1, "alice", &invitation);
    new.scopes = samples::scopes("read write");
    stores.create(&new).await;
    let account = stores.account(&AccountName::Id(new.id)).await.unwrap().unwrap();
    assert_eq!(account.scopes, samples::scopes("admin read write"));
}

/// An invitation that was withdrawn no longer works; the withdrawal is recorded once.
pub async fn a_withdrawn_invitation_is_unusable(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = samples::invitation(1);
    invite(&stores, &invitation).await;
    let event = samples::event(EventKind::InvitationWithdrawn);
    let withdraw = || stores.withdraw_invitation(&invitation.code_hash, event.clone());
    assert!(withdraw().await.unwrap());
    assert!(!withdraw().await.unwrap());
    assert_unusable(&stores, invited(1, "alice", &invitation)).await;
    assert!(stores.invitations(10).await.unwrap().is_empty());
    let kinds: Vec<_> = stores.trail().await.iter().map(|entry| entry.event.kind).collect();
    assert_eq!(kinds, [EventKind::InvitationCreated, EventKind::InvitationWithdrawn]);
}

/// The record of a used invitation stays.
pub async fn a_used_invitation_cannot_be_withdrawn(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = samples::invitation(1);
    invite(&stores, &invitation).await;
    stores.create(&invited(1, "alice", &invitation)).await;
    let event = samples::event(EventKind::InvitationWithdrawn);
    assert!(!stores.withdraw_invitation(&invitation.code_hash, event).await.unwrap());
    assert_eq!(stores.invitations(10).await.unwrap().len(), 1);
    assert_eq!(stores.trail().await.len(), 2);
}

/// The newest invitations come first, whole, and no more than asked for.
pub async fn invitations_are_listed_newest_first(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut invitations = Vec::new();
    for number in [2, 3, 1] {
        let invitation = Invitation {
            username: (number == 3).then(|| samples::username("Carol")),
            scopes: samples::scopes("read"),
            created_at: NOW + Duration::from_secs(u64::from(number)),
            ..samples::invitation(number)
        };
        invite(&stores, &invitation).await;
        invitations.push(invitation);
    }
    invitations.sort_by_key(|invitation| std::cmp::Reverse(invitation.created_at));
    assert_eq!(stores.invitations(10).await.unwrap(), invitations);
    assert_eq!(stores.invitations(2).await.unwrap(), invitations[..2]);
}

/// Where one of several invitations cannot be made, none is; and each is found by its hash.
pub async fn invitations_are_made_all_or_none(backend: &impl Backend) {
    let stores = backend.open().await;
    let event = || samples::event(EventKind::InvitationCreated);
    let [first, second, third] = [1, 2, 3].map(samples::invitation);
    invite(&stores, &first).await;
    let batch = [(second.clone(), event()), (first.clone(), event())];
    stores.create_invitations(&batch).await.unwrap_err();
    assert_eq!(stores.invitation(&second.code_hash).await.unwrap(), None);
    assert_eq!(stores.trail().await.len(), 1);
    let batch = [(second.clone(), event()), (third, event())];
    stores.create_invitations(&batch).await.unwrap();
    assert_eq!(stores.invitation(&second.code_hash).await.unwrap(), Some(second));
    assert_eq!(stores.invitations(10).await.unwrap().len(), 3);
    assert_eq!(stores.trail().await.len(), 3);
}

/// A new code for an account replaces the one before; other accounts keep theirs.
pub async fn an_account_has_one_unused_recovery_code(backend: &impl Backend) {
    let stores = backend.open().await;
    for (number, name) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        allow_recovery(&stores, &recovery(number, name, false)).await;
    }
    let of = async |name| stores.recovery(&samples::username(name)).await.unwrap();
    assert_eq!(of("alice").await, Some(recovery(2, "alice", false)));
    assert_eq!(of("bob").await, Some(recovery(3, "bob", false)));
    assert_eq!(of("carol").await, None);
    assert_eq!(stores.invitations(10).await.unwrap().len(), 2);
}

/// A code lets into its own account, once and in time, and is no invitation to register.
pub async fn a_recovery_code_is_good_for_one_account_and_registers_nobody(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, bob) = (samples::new_account(1, "alice"), samples::new_account(2, "bob"));
    stores.create(&alice).await;
    stores.create(&bob).await;
    let made = recovery(1, "alice", true);
    allow_recovery(&stores, &made).await;
    assert_unusable(&stores, invited(3, "alice", &made)).await;
    assert_unusable(&stores, invited(3, "carol", &made)).await;
    assert_code_unusable(&stores, &bob, &made).await;
    assert_code_unusable(&stores, &alice, &recovery(9, "alice", true)).await;
    let mut late = use_of(&alice, &made, 11);
    late.event.at = made.expires_at;
    assert!(matches!(recover(&stores, late).await, Err(RecoverError::CodeUnusable)));

    let revoked = recover(&stores, use_of(&alice, &made, 11)).await.unwrap();
    assert_eq!(revoked, [alice.credential.thumbprint()]);
    assert_code_unusable(&stores, &alice, &made).await;
    let live = stores.live_credentials(alice.id).await.unwrap().unwrap().1;
    let live: Vec<_> = live.iter().map(Credential::thumbprint).collect();
    assert_eq!(live, [keys::ed25519_public(11).thumbprint()]);
    let filter = AuditFilter { account_id: Some(alice.id), ..AuditFilter::default() };
    let events = stores.events(&filter, 10).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|recorded| recorded.event.kind).collect();
    for kind in [EventKind::RecoveryUsed, EventKind::KeyRevoked, EventKind::KeyAdded] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

/// What cannot be let in leaves keys, password and code as they were.
pub async fn a_refused_recovery_leaves_everything(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, bob) = (samples::new_account(1, "alice"), samples::new_account(2, "bob"));
    stores.create(&alice).await;
    stores.create(&bob).await;
    let made = recovery(1, "alice", true);
    allow_recovery(&stores, &made).await;
    let of_bob = Credential { account_id: alice.id, ..bob.credential.clone() };
    let secret = NewSecret::Key(Box::new(of_bob));
    let taken = AccountRecovery { secret, ..use_of(&alice, &made, 11) };
    assert!(matches!(recover(&stores, taken).await, Err(RecoverError::KeyTaken)));
    let none = AccountRecovery { max_keys: 0, ..use_of(&alice, &made, 11) };
    assert!(matches!(recover(&stores, none).await, Err(RecoverError::LimitReached)));
    let live = stores.live_credentials(alice.id).await.unwrap().unwrap().1;
    assert_eq!(live.len(), 1);
    recover(&stores, use_of(&alice, &made, 11)).await.unwrap();
}

/// Code `number` that leads back into the account of that name.
fn recovery(number: u8, name: &str, revoke_others: bool) -> Invitation {
    Invitation {
        username: Some(samples::username(name)),
        purpose: Purpose::Recover { revoke_others },
        ..samples::invitation(number)
    }
}

async fn allow_recovery(stores: &Stores, made: &Invitation) {
    let event = samples::event(EventKind::RecoveryCreated);
    stores.create_recovery(made, event).await.unwrap();
}

/// The use of a code, which lets key `number` into the account.
fn use_of(account: &NewAccount, made: &Invitation, number: u64) -> AccountRecovery {
    let credential = samples::credential(account.id, keys::ed25519_public(number));
    AccountRecovery {
        account_id: account.id,
        code_hash: made.code_hash,
        secret: NewSecret::Key(Box::new(credential)),
        max_keys: 16,
        event: samples::event(EventKind::RecoveryUsed).account(account.id),
    }
}

async fn recover(
    stores: &Stores,
    recovery: AccountRecovery,
) -> Result<Vec<Thumbprint>, RecoverError> {
    stores.recover(recovery).await
}

async fn assert_code_unusable(stores: &Stores, account: &NewAccount, made: &Invitation) {
    let refused = recover(stores, use_of(account, made, 11)).await;
    assert!(matches!(refused, Err(RecoverError::CodeUnusable)));
}

async fn invite(stores: &Stores, invitation: &Invitation) {
    let event = samples::event(EventKind::InvitationCreated);
    stores.create_invitation(invitation, event).await.unwrap();
}

/// Account `number`, called `name`, which makes use of `invitation`.
fn invited(number: u64, name: &str, invitation: &Invitation) -> NewAccount {
    NewAccount { invitation: Some(invitation.code_hash), ..samples::new_account(number, name) }
}

async fn assert_unusable(stores: &Stores, new: NewAccount) {
    let refusal = stores.create_account(new).await;
    assert!(matches!(refusal, Err(CreateAccountError::InvitationUnusable)), "{refusal:?}");
}
