//! Rules about what was revoked.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
    },
    ports::{
        AskedRevocations, DisabledAccount, NewAccount, Permit, RevokedKey, RevokedToken,
        RevokedTokenList, ShutOut,
    },
};
use countersign_protocol::UnixTime;

use super::{Backend, Stores};
use crate::samples::{self, NOW};

/// A revocation is there after reopening, until the token would have ended by itself.
pub async fn a_revocation_is_known_until_the_token_ends(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_mins(1);
    let event = samples::event(EventKind::TokenRevoked);
    let token = samples::revoked_token("token-1", end);
    stores.revoke_token(token.clone(), event.clone()).await.unwrap();
    drop(stores);

    let stores = backend.open().await;
    let revoked = RevokedTokenList { tokens: vec![token], ..RevokedTokenList::default() };
    assert_eq!(stores.revoked(NOW, 10).await, revoked);
    assert_eq!(stores.revoked(end - Duration::from_millis(1), 10).await, revoked);
    assert_eq!(stores.revoked(end, 10).await, RevokedTokenList::default());
    assert_eq!(stores.trail().await[0].event, event);
}

/// A second revocation succeeds; nothing changed, so it is not recorded.
pub async fn revoking_twice_changes_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let token = samples::revoked_token("token-1", NOW + Duration::from_mins(1));
    for _ in 0..2 {
        let event = samples::event(EventKind::TokenRevoked);
        stores.revoke_token(token.clone(), event).await.unwrap();
    }
    assert_eq!(stores.revoked(NOW, 10).await.tokens.len(), 1);
    assert_eq!(stores.trail().await.len(), 1);
    assert_eq!(stores.sequence().await, 1);
}

/// Of more revoked tokens than were asked for, those that end last are listed, and a moment covers
/// all others.
pub async fn revoked_tokens_beyond_the_number_are_covered_by_a_moment(backend: &impl Backend) {
    let stores = backend.open().await;
    let token = |number: u64| RevokedToken {
        issued_at: NOW + Duration::from_secs(number),
        ..samples::revoked_token(&format!("token-{number}"), NOW + Duration::from_secs(60 + number))
    };
    for number in [3, 1, 5, 2, 4] {
        let event = samples::event(EventKind::TokenRevoked);
        stores.revoke_token(token(number), event).await.unwrap();
    }
    let all = stores.revoked(NOW, 6).await;
    assert_eq!(all.tokens, [5, 4, 3, 2, 1].map(token));
    assert_eq!(all.others, None);
    let some = stores.revoked(NOW, 2).await;
    assert_eq!(some.tokens, [5, 4].map(token));
    let others = some.others.unwrap();
    // Where it cannot tell which of those that end together are listed, it covers all of them.
    assert_eq!(others.issued_at, token(4).issued_at);
    assert_eq!(others.expires_at, token(4).expires_at);
}

/// A revoked key is among those that were shut out after any moment before its revocation.
pub async fn a_revoked_key_is_shut_out_from_then_on(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    assert_eq!(stores.all_shut_out(UnixTime::EPOCH).await, ShutOut::default());
    let later = NOW + Duration::from_mins(1);
    stores.revoke(&new, later).await;
    drop(stores);

    let stores = backend.open().await;
    let keys = vec![revoked_key(&new, later)];
    assert_eq!(stores.all_shut_out(NOW).await.keys, keys);
    assert_eq!(stores.all_shut_out(later - Duration::from_millis(1)).await.keys, keys);
    assert_eq!(stores.all_shut_out(later).await.keys, []);
}

/// A disabled account is among those that were shut out, for as long as it is disabled.
pub async fn a_disabled_account_is_shut_out_until_it_is_enabled(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    let later = NOW + Duration::from_mins(1);
    stores.set(&new, AccountStatus::Disabled, later).await;
    let disabled = DisabledAccount { account_id: new.id, disabled_at: later };
    assert_eq!(stores.all_shut_out(NOW).await.accounts, [disabled]);
    assert_eq!(stores.all_shut_out(later).await.accounts, []);
    stores.set(&new, AccountStatus::Active, later).await;
    assert_eq!(stores.all_shut_out(NOW).await.accounts, []);
}

/// The tokens of an account that is enabled again are ended up to its last login, also where that came to a node
/// whose clock is ahead; and a node whose clock is behind does not take the time of that login back.
pub async fn who_is_enabled_again_has_no_token_of_before_by_any_clock(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    let ahead = NOW + Duration::from_secs(2);
    for (number, at) in [(1, ahead), (2, NOW)] {
        let mut login = samples::login(&new, number);
        login.event.at = at;
        let _receipt = stores.record_login(login).await.unwrap();
    }
    let (_, account) = stores.credential(&new.credential.thumbprint()).await.unwrap().unwrap();
    assert_eq!(account.last_login_at, Some(ahead));
    stores.set(&new, AccountStatus::Disabled, NOW).await;
    stores.set(&new, AccountStatus::Active, NOW).await;
    let ended = stores.revoked(NOW, 10).await.accounts;
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].0, ended[0].1.issued_at), (new.id, ahead));
}

/// There are at most as many as were asked for, and they are the latest.
pub async fn no_more_are_shut_out_than_asked_for(backend: &impl Backend) {
    let stores = backend.open().await;
    let (mut keys, mut accounts) = (Vec::new(), Vec::new());
    for number in 1..=3 {
        let new = samples::new_account(number, &format!("user-{number}"));
        stores.create(&new).await;
        let disabled_at = NOW + Duration::from_secs(10 - number);
        stores.revoke(&new, disabled_at).await;
        stores.set(&new, AccountStatus::Disabled, disabled_at).await;
        keys.push(revoked_key(&new, disabled_at));
        accounts.push(DisabledAccount { account_id: new.id, disabled_at });
    }
    let all = stores.all_shut_out(NOW).await;
    assert_eq!((&all.keys, &all.accounts), (&keys, &accounts));
    let some = stores.shut_out(NOW, 2).await;
    assert_eq!((&some.keys[..], &some.accounts[..]), (&keys[..2], &accounts[..2]));
}

/// The sequence of what is shut out grows with each revocation, and by nothing else that happens to
/// accounts and keys.
pub async fn the_sequence_of_revocations_grows_with_each(backend: &impl Backend) {
    let stores = backend.open().await;
    let new = samples::new_account(1, "alice");
    stores.create(&new).await;
    assert_eq!(stores.sequence().await, 0);
    stores.set(&new, AccountStatus::Disabled, NOW).await;
    assert_eq!(stores.sequence().await, 1);
    stores.set(&new, AccountStatus::Active, NOW).await;
    let enabled = stores.sequence().await;
    stores.revoke(&new, NOW).await;
    assert_eq!(stores.sequence().await, enabled + 1);
    drop(stores);
    assert_eq!(backend.open().await.sequence().await, enabled + 1);
}

fn revoked_key(new: &NewAccount, revoked_at: UnixTime) -> RevokedKey {
    let thumbprint = new.credential.thumbprint();
    RevokedKey { thumbprint, account_id: new.id, revoked_at }
}

/// A token is told with the number of its revocation: to whoever asks what came after an earlier one, once
/// and in one moment with that number. So whoever adds up what he is told has all of it.
pub async fn what_was_revoked_after_a_number_is_told_with_the_next(backend: &impl Backend) {
    let (ours, theirs) = (backend.open().await, backend.open().await);
    let asked = |after| AskedRevocations { after, ..everything(NOW) };
    let token = |number: u64| {
        samples::revoked_token(&format!("token-{number}"), NOW + Duration::from_secs(60 + number))
    };
    let revoke = async |stores: &Stores, number| {
        let event = samples::event(EventKind::TokenRevoked);
        stores.revoke_token(token(number), event).await.unwrap();
    };
    revoke(&ours, 1).await;
    let first = ours.revocations(asked(0)).await.unwrap();
    assert_eq!((first.sequence, &first.tokens.tokens[..]), (1, &[token(1)][..]));
    revoke(&theirs, 2).await;
    revoke(&ours, 3).await;
    let next = ours.revocations(asked(first.sequence)).await.unwrap();
    assert_eq!((next.sequence, next.tokens.tokens), (3, vec![token(3), token(2)]));
    let none = ours.revocations(asked(next.sequence)).await.unwrap();
    assert_eq!((none.sequence, none.tokens), (3, RevokedTokenList::default()));
    let all = theirs.revocations(asked(0)).await.unwrap();
    assert_eq!(all.tokens.tokens, [token(3), token(2), token(1)]);

    // Those beyond the limit are covered, and only by what is new.
    let few = AskedRevocations { token_limit: 1, ..asked(1) };
    let few = ours.revocations(few).await.unwrap().tokens;
    assert_eq!(few.tokens, [token(3)]);
    let covered = few.others.unwrap();
    assert_eq!((covered.issued_at, covered.expires_at), (NOW, token(3).expires_at));
}

/// What was revoked after `since`.
fn everything(since: UnixTime) -> AskedRevocations {
    AskedRevocations { since, limit: u32::MAX, now: NOW, after: 0, token_limit: 1000 }
}

impl Stores {
    async fn revoked(&self, now: UnixTime, limit: u32) -> RevokedTokenList {
        self.revoked_tokens(now, limit).await.unwrap()
    }

    async fn all_shut_out(&self, since: UnixTime) -> ShutOut {
        self.shut_out(since, u32::MAX).await
    }

    /// At most so many keys and accounts that were shut out after `since`.
    pub(super) async fn shut_out(&self, since: UnixTime, limit: u32) -> ShutOut {
        let asked = AskedRevocations { limit, ..everything(since) };
        self.revocations(asked).await.unwrap().shut_out
    }

    /// The number of the latest revocation.
    pub(super) async fn sequence(&self) -> u64 {
        self.revocations(everything(NOW)).await.unwrap().sequence
    }

    async fn revoke(&self, new: &NewAccount, at: UnixTime) {
        let event = AuditEvent::new(at, EventKind::KeyRevoked);
        let key = new.credential.thumbprint();
        self.revoke_credential(new.id, &key, false, event, Permit::ADMINISTRATOR).await.unwrap();
    }

    async fn set(&self, new: &NewAccount, status: AccountStatus, at: UnixTime) {
        let event = AuditEvent::new(at, EventKind::AccountDisabled);
        assert!(self.set_status(new.id, status, event).await.unwrap());
    }
}
