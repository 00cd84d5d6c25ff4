//! Rules about forgetting.

use std::time::Duration;

use countersign_authority::{
    model::audit::{AuditEvent, AuditFilter, EventKind},
    ports::{RecordLoginError, Retention},
};
use countersign_protocol::{ReplayEntry, UnixTime};

use super::{Backend, Stores};
use crate::samples::{self, NOW};

const KEEP_ALL: Retention = Retention {
    max_age: Duration::MAX,
    max_events: u64::MAX,
    max_refusals: u64::MAX,
    max_uses: u64::MAX,
};

/// Events older than the largest age go; one of exactly that age stays.
pub async fn old_events_go(backend: &impl Backend) {
    let stores = backend.open().await;
    append(&stores, refusals(1, [0, 1])).await;
    append(&stores, logins(1, [2, 3])).await;
    let retention = Retention { max_age: Duration::from_secs(10), ..KEEP_ALL };
    let now = NOW + Duration::from_secs(12);
    assert_eq!(stores.prune(now, &retention).await.unwrap(), 2);
    assert_eq!(seconds(&stores).await, [2, 3]);
    assert_eq!(stores.prune(now, &retention).await.unwrap(), 0);
}

/// The oldest logins of the account that has the most events go when there are too many. Numbers are
/// not given again.
pub async fn logins_beyond_the_largest_number_go_from_whoever_has_the_most(backend: &impl Backend) {
    let stores = backend.open().await;
    append(&stores, logins(1, [0])).await;
    append(&stores, logins(2, 1..9)).await;
    append(&stores, logins(3, [9, 10])).await;
    let last = stores.trail().await[10].id;
    for (max_events, expected) in
        [(11, (0..11).collect()), (7, vec![0, 5, 6, 7, 8, 9, 10]), (3, vec![0, 8, 10]), (0, vec![])]
    {
        let before = seconds(&stores).await.len();
        let retention = Retention { max_events, ..KEEP_ALL };
        let pruned = stores.prune(NOW, &retention).await.unwrap();
        assert_eq!(seconds(&stores).await, expected);
        assert_eq!(pruned, (before - expected.len()) as u64);
    }
    append(&stores, logins(1, [11])).await;
    assert!(stores.trail().await[0].id > last);
}

/// What changed an account stays until it is old, whatever else comes.
pub async fn changes_go_by_age_alone(backend: &impl Backend) {
    let stores = backend.open().await;
    let added = |second| at(second, EventKind::KeyAdded).account(samples::account_id(1));
    append(&stores, (0..3).map(added)).await;
    append(&stores, logins(1, 3..50)).await;
    append(&stores, refusals(1, 50..90)).await;
    let retention = Retention { max_events: 2, max_refusals: 1, ..KEEP_ALL };
    stores.prune(NOW, &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [0, 1, 2, 48, 49, 89], "nor do they count against logins");
    let retention = Retention { max_age: Duration::from_secs(10), ..KEEP_ALL };
    stores.prune(NOW + Duration::from_secs(12), &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [2, 48, 49, 89]);
}

/// A flood of refusals takes the place of refusals, and first of those about the same account.
pub async fn refusals_push_out_refusals_alone_and_those_of_whoever_has_the_most(
    backend: &impl Backend,
) {
    let stores = backend.open().await;
    append(&stores, logins(1, [0])).await;
    append(&stores, refusals(1, [1, 2])).await;
    append(&stores, refusals(2, 3..500)).await;
    let nobody = |second| at(second, EventKind::TokenRefused).detail(second.to_string());
    append(&stores, (500..510).map(nobody)).await;
    let retention = Retention { max_refusals: 9, ..KEEP_ALL };
    stores.prune(NOW, &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [0, 1, 2, 497, 498, 499, 507, 508, 509]);
}

/// With more accounts than entries each loses the older of its own, and then the oldest of all go.
pub async fn of_more_accounts_than_entries_the_newest_keep_theirs(backend: &impl Backend) {
    let stores = backend.open().await;
    for account in 0..10 {
        append(&stores, refusals(account, [account, account + 10])).await;
    }
    let retention = Retention { max_refusals: 9, ..KEEP_ALL };
    assert_eq!(stores.prune(NOW, &retention).await.unwrap(), 11);
    assert_eq!(seconds(&stores).await, (11..20).collect::<Vec<_>>());
}

/// What anybody may cause about any account pushes out nothing about what is genuine.
pub async fn tries_of_strangers_push_out_tries_alone(backend: &impl Backend) {
    let stores = backend.open().await;
    append(&stores, refusals(1, [0, 1])).await;
    let tries = [
        EventKind::PasswordRefused,
        EventKind::RecoveryRefused,
        EventKind::RefusalsDropped,
        EventKind::RegistrationRefused,
    ];
    for (second, kind) in (2..50).zip(tries.into_iter().cycle()) {
        append(&stores, [at(second, kind).account(samples::account_id(second))]).await;
    }
    let retention = Retention { max_refusals: 3, ..KEEP_ALL };
    stores.prune(NOW, &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [0, 1, 47, 48, 49]);
}

/// A flood of one kind of refusal about an account leaves those of another kind about it.
pub async fn no_kind_of_refusal_or_login_pushes_out_another(backend: &impl Backend) {
    let stores = backend.open().await;
    let id = samples::account_id(1);
    append(&stores, [at(0, EventKind::KeyChangeRefused).account(id)]).await;
    append(&stores, [at(1, EventKind::TokenRevoked).account(id)]).await;
    append(&stores, refusals(1, 2..300)).await;
    append(&stores, logins(1, 300..600)).await;
    let retention = Retention { max_events: 5, max_refusals: 3, ..KEEP_ALL };
    stores.prune(NOW, &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [0, 1, 298, 299, 596, 597, 598, 599]);
}

/// Uses of keys push out uses of keys alone, and those of whoever has the most.
pub async fn uses_of_keys_push_out_uses_alone(backend: &impl Backend) {
    let stores = backend.open().await;
    let used = |account, second| {
        at(second, EventKind::KeyUsed)
            .account(samples::account_id(account))
            .detail(second.to_string())
    };
    append(&stores, logins(1, [0])).await;
    append(&stores, refusals(1, [1])).await;
    append(&stores, [used(1, 2)]).await;
    append(&stores, (3..100).map(|second| used(2, second))).await;
    let retention = Retention { max_uses: 4, ..KEEP_ALL };
    stores.prune(NOW, &retention).await.unwrap();
    assert_eq!(seconds(&stores).await, [0, 1, 2, 97, 98, 99]);
}

/// However much there is to forget, all of it goes.
pub async fn pruning_more_than_one_batch_removes_all(backend: &impl Backend) {
    let stores = backend.open().await;
    append(&stores, logins(1, 0..2500)).await;
    let retention = Retention { max_events: 100, ..KEEP_ALL };
    assert_eq!(stores.prune(NOW, &retention).await.unwrap(), 2400);
    assert_eq!(seconds(&stores).await, (2400..2500).collect::<Vec<_>>());
    let retention = Retention { max_age: Duration::ZERO, ..KEEP_ALL };
    append(&stores, refusals(1, 2500..5000)).await;
    let late = NOW + Duration::from_mins(150);
    assert_eq!(stores.prune(late, &retention).await.unwrap(), 2600);
}

/// Used assertions, ended revocations and expired invitations go at their moment, not before.
pub async fn what_has_ended_goes_and_the_rest_stays(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_secs(100);
    let later = end + Duration::from_millis(1);
    for (number, forget_at) in [(1, end), (2, later)] {
        let assertion = ReplayEntry { forget_at, ..samples::replay_entry(number) };
        let _receipt = stores.spend_assertion(assertion).await.unwrap();
    }
    for (jti, expires_at) in [("ended", end), ("live", later)] {
        let event = samples::event(EventKind::TokenRevoked);
        let token = samples::revoked_token(jti, expires_at);
        stores.revoke_token(token, event).await.unwrap();
    }
    for (number, expires_at) in [(1, end), (2, later)] {
        let mut invitation = samples::invitation(number);
        invitation.expires_at = expires_at;
        let event = samples::event(EventKind::InvitationCreated);
        stores.create_invitation(&invitation, event).await.unwrap();
    }

    let just_before = end - Duration::from_millis(1);
    assert_eq!(stores.prune(just_before, &KEEP_ALL).await.unwrap(), 0);
    assert_eq!(stores.prune(end, &KEEP_ALL).await.unwrap(), 3);

    let spend = |number| stores.spend_assertion(samples::replay_entry(number));
    let _receipt = spend(1).await.unwrap();
    assert!(spend(2).await.is_err());
    let revoked = stores.revoked_tokens(UnixTime::EPOCH, 10).await.unwrap();
    assert_eq!(revoked.tokens, [samples::revoked_token("live", later)]);
    let invitations = stores.invitations(10).await.unwrap();
    assert_eq!(invitations.len(), 1);
    assert_eq!(invitations[0].code_hash, samples::invitation(2).code_hash);
    assert_eq!(stores.trail().await.len(), 4);
}

/// What a used assertion could be taken for, when it was forgotten and the clock is behind, is refused;
/// also after a start.
pub async fn a_used_assertion_that_was_forgotten_is_refused_when_the_clock_goes_back(
    backend: &impl Backend,
) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_secs(100);
    let ending = |number, forget_at| ReplayEntry { forget_at, ..samples::replay_entry(number) };
    let used = ending(1, end);
    let _receipt = stores.spend_assertion(used).await.unwrap();
    assert_eq!(stores.prune(end, &KEEP_ALL).await.unwrap(), 1);
    assert_eq!(stores.prune(NOW, &KEEP_ALL).await.unwrap(), 0);
    for stores in [stores, backend.open().await] {
        for entry in [used, ending(2, end - Duration::from_secs(1))] {
            let refused = stores.spend_assertion(entry).await;
            assert!(matches!(refused, Err(RecordLoginError::Forgotten)), "{refused:?}");
        }
    }
    let new = ending(3, end + Duration::from_millis(1));
    let _receipt = backend.open().await.spend_assertion(new).await.unwrap();
}

fn at(second: u64, kind: EventKind) -> AuditEvent {
    AuditEvent { at: NOW + Duration::from_secs(second), ..samples::event(kind) }
}

fn logins(
    account: u64,
    seconds: impl IntoIterator<Item = u64>,
) -> impl Iterator<Item = AuditEvent> {
    let id = samples::account_id(account);
    seconds.into_iter().map(move |second| at(second, EventKind::LoginSucceeded).account(id))
}

/// Refusals of which no two are alike.
fn refusals(
    account: u64,
    seconds: impl IntoIterator<Item = u64>,
) -> impl Iterator<Item = AuditEvent> {
    let id = samples::account_id(account);
    let refusal = move |second| at(second, EventKind::TokenRefused).account(id);
    seconds.into_iter().map(move |second: u64| refusal(second).detail(second.to_string()))
}

/// Appends the events, in parts that a store can write in time on a busy machine.
async fn append(stores: &Stores, events: impl IntoIterator<Item = AuditEvent>) {
    let events: Vec<_> = events.into_iter().collect();
    for part in events.chunks(250) {
        stores.append(part.to_vec()).await.unwrap();
    }
}

/// The events that are left, by how many seconds after the present they happened.
async fn seconds(stores: &Stores) -> Vec<u64> {
    let mut found = stores.events(&AuditFilter::default(), u32::MAX).await.unwrap();
    found.reverse();
    found.iter().map(|entry| entry.event.at.since(NOW).as_secs()).collect()
}
