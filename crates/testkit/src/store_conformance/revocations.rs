//! Rules about what was revoked.

use std::time::Duration;

use countersign_authority::{
    account::AccountStatus,
    audit::{AuditEvent, EventKind},
    ports::{NewAccount, ShutOut},
};
use countersign_protocol::UnixTime;

use super::{Backend, Stores};
use crate::samples::{self, NOW};

/// A revocation is there after reopening, until the token would have ended by itself.
pub async fn a_revocation_is_known_until_the_token_ends(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_mins(1);
    let event = samples::event(EventKind::TokenRevoked);
    stores.revocations.revoke_token("token-1", end, event.clone()).await.unwrap();
    drop(stores);

    let stores = backend.open().await;
    let revoked = [("token-1".to_owned(), end)];
    assert_eq!(stores.revocations.revoked_tokens(NOW).await.unwrap(), revoked);
    let just_before = end - Duration::from_millis(1);
    assert_eq!(stores.revocations.revoked_tokens(just_before).await.unwrap(), revoked);
    assert!(stores.revocations.revoked_tokens(end).await.unwrap().is_empty());
    assert_eq!(stores.trail().await[0].event, event);
}

/// A second revocation succeeds; nothing changed, so it is not recorded.
pub async fn revoking_twice_changes_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_mins(1);
    for _ in 0..2 {
        let event = samples::event(EventKind::TokenRevoked);
        stores.revocations.revoke_token("token-1", end, event).await.unwrap();
    }
    assert_eq!(stores.revocations.revoked_tokens(NOW).await.unwrap().len(), 1);
    assert_eq!(stores.trail().await.len(), 1);
}

/// A revoked key is among those that were shut out after any moment before its revocation.
pub async fn a_revoked_key_is_shut_out_from_then_on(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    assert_eq!(stores.shut_out(UnixTime::EPOCH).await, ShutOut::default());
    let later = NOW + Duration::from_mins(1);
    stores.revoke(&new, later).await;
    drop(stores);

    let stores = backend.open().await;
    let keys = vec![new.credential.thumbprint()];
    let revoked = ShutOut { keys, accounts: Vec::new() };
    assert_eq!(stores.shut_out(NOW).await, revoked);
    assert_eq!(stores.shut_out(later - Duration::from_millis(1)).await, revoked);
    assert_eq!(stores.shut_out(later).await, ShutOut::default());
}

/// A disabled account is among those that were shut out, for as long as it is disabled.
pub async fn a_disabled_account_is_shut_out_until_it_is_enabled(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    let later = NOW + Duration::from_mins(1);
    stores.set_status(&new, AccountStatus::Disabled, later).await;
    let disabled = ShutOut { keys: Vec::new(), accounts: vec![new.id] };
    assert_eq!(stores.shut_out(NOW).await, disabled);
    assert_eq!(stores.shut_out(later).await, ShutOut::default());
    stores.set_status(&new, AccountStatus::Active, later).await;
    assert_eq!(stores.shut_out(NOW).await, ShutOut::default());
}

/// There are at most as many as were asked for, and they are the earliest.
pub async fn no_more_are_shut_out_than_asked_for(backend: &impl Backend) {
    let stores = backend.open().await;
    let mut all = ShutOut::default();
    for number in (1..=3).rev() {
        let new = samples::new_account(number, &format!("user-{number}"));
        stores.create(&new).await;
        let at = NOW + Duration::from_secs(10 - number);
        stores.revoke(&new, at).await;
        stores.set_status(&new, AccountStatus::Disabled, at).await;
        all.keys.push(new.credential.thumbprint());
        all.accounts.push(new.id);
    }
    assert_eq!(stores.shut_out(NOW).await, all);
    all.keys.truncate(2);
    all.accounts.truncate(2);
    assert_eq!(stores.revocations.shut_out(NOW, 2).await.unwrap(), all);
}

impl Stores {
    async fn shut_out(&self, since: UnixTime) -> ShutOut {
        self.revocations.shut_out(since, u32::MAX).await.unwrap()
    }

    async fn revoke(&self, new: &NewAccount, at: UnixTime) {
        let event = AuditEvent::new(at, EventKind::KeyRevoked);
        let key = new.credential.thumbprint();
        self.credentials.revoke_credential(new.id, &key, false, event).await.unwrap();
    }

    async fn set_status(&self, new: &NewAccount, status: AccountStatus, at: UnixTime) {
        let event = AuditEvent::new(at, EventKind::AccountDisabled);
        assert!(self.accounts.set_status(new.id, status, event).await.unwrap());
    }
}
