//! Accounts with passwords, and their logins.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::{AuditEvent, EventKind},
        invitation::{Invitation, Purpose},
    },
    ports::{
        AccountRecovery, AddCredentialError, CreatePasswordAccountError, KeyLimits,
        NewPasswordAccount, NewSecret, PasswordLogin, Permit,
    },
};
use countersign_protocol::{AccountId, UnixTime};

use super::{Backend, Stores, at_once};
use crate::{
    keys,
    samples::{self, NOW, account_id, event, scopes},
};

const MINUTE: Duration = Duration::from_mins(1);

/// Account `number`, called `name`, with the password hash "a hash".
fn account(number: u64, name: &str) -> NewPasswordAccount {
    let id = account_id(number);
    NewPasswordAccount {
        id,
        username: samples::username(name),
        email: format!("{name}@example.com").parse().unwrap(),
        scopes: scopes("read"),
        password_hash: "a hash".to_owned(),
        invitation: None,
        event: event(EventKind::AccountRegistered).account(id),
    }
}

/// A login of account `number` with the password of that hash.
fn login(number: u64, hash: &str, at: UnixTime) -> PasswordLogin {
    let account_id = account_id(number);
    PasswordLogin {
        account_id,
        password_hash: hash.to_owned(),
        address: samples::address(1),
        event: AuditEvent::new(at, EventKind::LoginSucceeded).account(account_id),
    }
}

/// Gives account `number` another password by the recovery code of the same number.
async fn replace_password(stores: &Stores, number: u8, name: &str, hash: &str) {
    let code = Invitation {
        username: Some(samples::username(name)),
        purpose: Purpose::Recover { revoke_others: false },
        ..samples::invitation(number)
    };
    stores.create_recovery(&code, event(EventKind::RecoveryCreated)).await.unwrap();
    let account_id = account_id(number.into());
    let recovery = AccountRecovery {
        account_id,
        code_hash: code.code_hash,
        secret: NewSecret::Password(hash.to_owned()),
        max_keys: 10,
        event: event(EventKind::RecoveryUsed).account(account_id),
    };
    assert_eq!(stores.recover(recovery).await.unwrap(), []);
}

fn called(name: &str) -> AccountName {
    AccountName::Username(samples::username(name))
}

/// The account comes back with what is kept of its password, by its id and by its name in any case,
/// also elsewhere; what has no password comes back with none.
pub async fn an_account_comes_back_with_what_is_kept_of_its_password(backend: &impl Backend) {
    let (stores, elsewhere) = (backend.open().await, backend.open().await);
    let new = account(1, "alice");
    stores.create_password_account(new.clone()).await.unwrap();
    for name in [AccountName::Id(new.id), called("alice"), called("ALICE")] {
        let (found, hash) = elsewhere.password(&name).await.unwrap().unwrap();
        assert_eq!((found.id, found.username), (new.id, new.username.clone()));
        assert_eq!((found.status, found.scopes), (AccountStatus::Active, new.scopes.clone()));
        assert_eq!((found.registered_at, hash.as_str()), (NOW, "a hash"));
    }
    assert_eq!(stores.trail().await.last().unwrap().event, new.event);
    assert!(elsewhere.password(&called("bob")).await.unwrap().is_none());
}

/// A name is taken, whatever its case and whoever has it. An address is not: nobody has proven it.
pub async fn a_name_is_taken_once_and_an_address_keeps_nobody_out(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create(&samples::new_account(1, "alice")).await;
    stores.create_password_account(account(2, "bob")).await.unwrap();
    let before = stores.trail().await;
    for name in ["ALICE", "Bob"] {
        let refusal = stores.create_password_account(account(3, name)).await;
        assert!(matches!(refusal, Err(CreatePasswordAccountError::UsernameTaken)), "{name}");
    }
    assert_eq!(stores.trail().await, before);
    let email = account(2, "bob").email;
    for (number, name) in [(4, "carol"), (5, "dave")] {
        let same_address = NewPasswordAccount { email: email.clone(), ..account(number, name) };
        stores.create_password_account(same_address).await.unwrap();
    }
}

/// Of many registrations of one name at the same time, one succeeds.
pub async fn the_name_with_a_password_goes_to_one_of_many_at_once(backend: &impl Backend) {
    let results = at_once(backend, 20, |number, stores| async move {
        stores.create_password_account(account(number, "alice")).await
    })
    .await;
    let is_taken = |result: &&Result<(), CreatePasswordAccountError>| {
        matches!(result, Err(CreatePasswordAccountError::UsernameTaken))
    };
    let created = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!((created, results.iter().filter(is_taken).count()), (1, 19), "{results:?}");
}

/// An invitation is used up by the account that it admits, and adds its scopes; a registration that
/// fails leaves it as it was.
pub async fn an_invitation_admits_one_account_with_a_password(backend: &impl Backend) {
    let stores = backend.open().await;
    let invitation = Invitation { scopes: scopes("write"), ..samples::invitation(1) };
    stores.create_invitation(&invitation, event(EventKind::InvitationCreated)).await.unwrap();
    stores.create(&samples::new_account(1, "alice")).await;
    let invited = |number, name| NewPasswordAccount {
        invitation: Some(invitation.code_hash),
        ..account(number, name)
    };
    let refusal = stores.create_password_account(invited(2, "alice")).await;
    assert!(matches!(refusal, Err(CreatePasswordAccountError::UsernameTaken)), "{refusal:?}");
    stores.create_password_account(invited(2, "bob")).await.unwrap();
    let (bob, _) = stores.password(&called("bob")).await.unwrap().unwrap();
    assert_eq!(bob.scopes, scopes("read write"));
    let refusal = stores.create_password_account(invited(3, "carol")).await;
    assert!(matches!(refusal, Err(CreatePasswordAccountError::InvitationUnusable)), "{refusal:?}");
    assert!(stores.password(&called("carol")).await.unwrap().is_none());
}

/// A login is recorded with its event, and so is the time of last use.
pub async fn a_login_with_a_password_is_recorded_with_its_event(backend: &impl Backend) {
    let (stores, elsewhere) = (backend.open().await, backend.open().await);
    stores.create_password_account(account(1, "alice")).await.unwrap();
    let at = NOW + MINUTE;
    assert!(elsewhere.record_password_login(login(1, "a hash", at)).await.unwrap());
    let (alice, _) = stores.password(&called("alice")).await.unwrap().unwrap();
    assert_eq!(alice.last_login_at, Some(at));
    assert_eq!(stores.trail().await.last().unwrap().event, login(1, "a hash", at).event);
}

/// Who does not exist, is disabled, or has another password by now does not log in, and nothing is
/// recorded.
pub async fn a_refused_login_with_a_password_leaves_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create_password_account(account(1, "alice")).await.unwrap();
    stores.create_password_account(account(2, "bob")).await.unwrap();
    let disable = event(EventKind::AccountDisabled);
    assert!(stores.set_status(account_id(2), AccountStatus::Disabled, disable).await.unwrap());
    let before = stores.trail().await;
    for refused in [(1, "another hash"), (2, "a hash"), (3, "a hash")] {
        let recorded = stores.record_password_login(login(refused.0, refused.1, NOW)).await;
        assert!(!recorded.unwrap(), "{refused:?}");
    }
    assert_eq!(stores.trail().await, before);
    let (alice, _) = stores.password(&called("alice")).await.unwrap().unwrap();
    assert_eq!(alice.last_login_at, None);
}

/// A password that was replaced while it was compared logs nobody in; the new one does.
pub async fn a_password_that_was_replaced_while_it_was_compared_logs_nobody_in(
    backend: &impl Backend,
) {
    let (stores, elsewhere) = (backend.open().await, backend.open().await);
    stores.create_password_account(account(1, "alice")).await.unwrap();
    let (_, compared) = stores.password(&called("alice")).await.unwrap().unwrap();
    replace_password(&elsewhere, 1, "alice", "another hash").await;
    assert!(!stores.record_password_login(login(1, &compared, NOW)).await.unwrap());
    assert!(stores.record_password_login(login(1, "another hash", NOW)).await.unwrap());
}

/// A new password ends the tokens of all logins that were recorded before it, even of those whose
/// time is later, and an old token adds no key.
pub async fn a_new_password_ends_the_tokens_of_all_logins_before_it(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create_password_account(account(1, "alice")).await.unwrap();
    let (id, last) = (account_id(1), NOW + Duration::from_secs(5));
    // The recovery began before this login, and is written after it.
    assert!(stores.record_password_login(login(1, "a hash", last)).await.unwrap());
    let before = stores.sequence().await;
    replace_password(&stores, 1, "alice", "another hash").await;
    assert!(stores.sequence().await > before);
    drop(stores);
    let stores = backend.open().await;
    let ended = async |at| stores.revoked_tokens(at, 10).await.unwrap().accounts;
    let moments: Vec<(AccountId, UnixTime)> =
        ended(NOW).await.into_iter().map(|(id, before)| (id, before.issued_at)).collect();
    assert_eq!(moments, [(id, last)]);
    assert!(ended(NOW + Duration::from_hours(48)).await.is_empty());

    let key = samples::credential(id, keys::ed25519_public(1));
    let add = async |password_token_of| {
        let limits = KeyLimits { password_token_of, ..samples::KEY_LIMITS };
        stores.add_credential(&key, limits, event(EventKind::KeyAdded), Permit::ADMINISTRATOR).await
    };
    let refused = add(Some(last)).await;
    assert!(matches!(refused, Err(AddCredentialError::PasswordReplaced)), "{refused:?}");
    add(Some(last + Duration::from_secs(1))).await.unwrap();
}

/// An account whose password was never used goes, as one whose key was not, and frees its name.
pub async fn an_account_whose_password_was_never_used_goes(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.create_password_account(account(1, "alice")).await.unwrap();
    stores.create_password_account(account(2, "bob")).await.unwrap();
    assert!(stores.record_password_login(login(2, "a hash", NOW)).await.unwrap());
    assert_eq!(stores.expire_unused(NOW, 10, NOW).await.unwrap(), (1, false));
    assert!(stores.password(&called("alice")).await.unwrap().is_none());
    assert!(stores.password(&called("bob")).await.unwrap().is_some());
    stores.create_password_account(account(3, "alice")).await.unwrap();
}
