//! Rules about the audit trail.

use std::{net::IpAddr, time::Duration};

use countersign_authority::model::{
    audit::{AuditEvent, AuditFilter, Budget, EventKind, Fact, Reason},
    trail::{OlderEvents, TrailPage, TrailQuery},
};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::{Backend, Stores, at_once};
use crate::{
    keys,
    samples::{self, NOW},
};

/// An event of any kind comes back whole, with or without its particulars, after reopening too.
pub async fn an_event_comes_back_as_it_was(backend: &impl Backend) {
    let stores = backend.open().await;
    let addresses: [IpAddr; 2] = [samples::address(7), "2001:db8::7".parse().unwrap()];
    let mut events: Vec<_> = EventKind::ALL.iter().copied().map(samples::event).collect();
    events.extend(addresses.map(|address| {
        samples::event(EventKind::LoginRefused)
            .account(samples::account_id(1))
            .key(keys::ed25519_public(1).thumbprint())
            .from(address)
            .detail("Jürgens Handy — 'quoted' \"text\"")
            .because(Reason::OtherKey)
            .fact(Fact::Label, "Jürgens Handy — 'quoted' \"text\"")
    }));
    stores.append(events.clone()).await.unwrap();
    stores.append(Vec::new()).await.unwrap();
    drop(stores);

    let trail = backend.open().await.trail().await;
    assert!(trail.is_sorted_by(|one, next| one.id < next.id));
    let found: Vec<_> = trail.into_iter().map(|entry| entry.event).collect();
    assert_eq!(found, events);
}

/// Servers that count the same events at the same time, each in an order of its own, all get through, and
/// nothing is lost: refusals, and uses of keys beside logins with them.
pub async fn what_many_count_at_once_in_another_order_is_all_counted(backend: &impl Backend) {
    const WRITERS: u8 = 8;
    const ACCOUNTS: u8 = 30;
    let stores = backend.open().await;
    for number in 1..=ACCOUNTS {
        stores.create(&samples::new_account(number.into(), &format!("user{number}"))).await;
    }
    at_once(backend, WRITERS.into(), |writer, store| async move {
        let of = |kind| {
            let event = |number: u8| {
                let new = samples::new_account(number.into(), &format!("user{number}"));
                let event = samples::event(kind).account(new.id);
                event.key(new.credential.thumbprint()).from(samples::address(number))
            };
            let mut events: Vec<_> = (1..=ACCOUNTS).map(event).collect();
            events.rotate_left(usize::try_from(writer * 3).unwrap());
            if writer % 2 == 1 {
                events.reverse();
            }
            events
        };
        store.append(of(EventKind::TokenRefused)).await.unwrap();
        store.note_uses(of(EventKind::KeyUsed)).await.unwrap();
        store.append(of(EventKind::TokenRefused)).await.unwrap();
    })
    .await;
    let trail = stores.trail().await;
    let count = |kind| {
        let of_kind = trail.iter().filter(|entry| entry.event.kind == kind);
        let times: Vec<_> = of_kind.map(|entry| entry.event.times()).collect();
        (times.len(), times.iter().sum::<u64>())
    };
    let all = u64::from(WRITERS) * u64::from(ACCOUNTS);
    assert_eq!(count(EventKind::TokenRefused), (ACCOUNTS.into(), 2 * all));
    assert_eq!(count(EventKind::KeyUsed), (ACCOUNTS.into(), all));
}

/// A page of a trail says where it stopped, whether something fits or not, and nothing of other accounts
/// counts.
pub async fn a_page_of_a_trail_looks_at_no_more_than_it_may(backend: &impl Backend) {
    use EventKind::{KeyAdded, KeyRevoked, LoginSucceeded, TokenRevoked};
    let stores = backend.open().await;
    let [alice, bob] = [1, 2].map(samples::account_id);
    let [old, new] = [1, 2].map(|number| keys::ed25519_public(number).thumbprint());
    let event = |second, kind, key| AuditEvent { kind, ..at(second) }.account(alice).key(key);
    let mut events = vec![event(0, KeyAdded, old)];
    events.extend((1..=4).map(|second| event(second, LoginSucceeded, new)));
    events.extend((5..=8).map(|second| event(second, TokenRevoked, new)));
    events.extend((9..=20).map(|second| at(second).account(bob).key(old)));
    stores.append(events).await.unwrap();
    let ids: Vec<_> = stores.trail().await.iter().map(|entry| entry.id).collect();
    let look = async |look_at, key, since, kinds: &[EventKind]| {
        let since = Some(NOW + Duration::from_secs(since));
        let kinds = kinds.to_vec();
        let query = TrailQuery { key, since, kinds, look_at, ..of_account(alice) };
        let TrailPage { events, older } = stores.trail_page(&query).await.unwrap();
        let found = events.iter().map(|entry| entry.event.at.since(NOW).as_secs()).collect();
        let older = older.map(|OlderEvents { before, at }| {
            let second = at.since(NOW).as_secs();
            assert_eq!(
                Some(before),
                ids.iter().copied().zip(0..).find(|of| of.1 == second).map(|of| of.0)
            );
            second
        });
        (found, older)
    };
    let none = Vec::<u64>::new();
    for kinds in [&[][..], &[LoginSucceeded, TokenRevoked, KeyAdded]] {
        assert_eq!(look(9, Some(old), 0, kinds).await, (vec![0], None));
        assert_eq!(look(8, Some(old), 0, kinds).await, (none.clone(), Some(1)));
        assert_eq!(look(2, None, 8, kinds).await, (vec![8], Some(7)));
        assert_eq!(look(3, None, 99, kinds).await, (none.clone(), Some(6)));
    }
    // Logins are not looked at where nobody asks for them.
    let kinds = [KeyAdded, TokenRevoked, KeyRevoked, TokenRevoked];
    assert_eq!(look(5, Some(old), 0, &kinds).await, (vec![0], None));
    assert_eq!(look(4, Some(old), 0, &kinds).await, (none.clone(), Some(5)));
    assert_eq!(look(3, None, 99, &[TokenRevoked]).await, (none, Some(6)));
    assert_eq!(look(1, None, 0, &[KeyAdded]).await, (vec![0], None));
}

/// Whoever follows the pages of a trail finds every event that fits, and each once.
pub async fn a_trail_has_every_event_that_fits_once(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::account_id(1);
    let every_kind = EventKind::ALL.iter().cycle().zip(0..150);
    let event = |(kind, second): (&EventKind, u64)| AuditEvent { kind: *kind, ..at(second) };
    stores.append(every_kind.map(|of| event(of).account(alice)).collect()).await.unwrap();
    let mut kept = stores.trail().await;
    kept.reverse();
    let most = |kind: &EventKind| *kind != EventKind::LoginSucceeded;
    let without_logins: Vec<_> = EventKind::ALL.iter().copied().filter(most).collect();
    for kinds in [vec![], EventKind::ALL.to_vec(), without_logins] {
        for (limit, look_at) in [(1, 1), (7, 3), (3, 7), (200, 200)] {
            let kinds = kinds.clone();
            let mut query = TrailQuery { kinds, limit, look_at, ..of_account(alice) };
            let mut found = Vec::new();
            loop {
                let page = stores.trail_page(&query).await.unwrap();
                assert!(page.events.len() <= limit.min(look_at) as usize);
                found.extend(page.events);
                let Some(older) = page.older else { break };
                query.before = Some(older.before);
            }
            let asked = |kind| query.kinds.is_empty() || query.kinds.contains(&kind);
            let fit = kept.iter().filter(|entry| asked(entry.event.kind)).cloned();
            assert_eq!(found, fit.collect::<Vec<_>>());
        }
    }
}

/// The newest events come first; the smallest number of a page leads to the next one.
pub async fn events_are_read_newest_first_in_pages(backend: &impl Backend) {
    let stores = backend.open().await;
    let events: Vec<_> = (0..7).map(at).collect();
    stores.append(events.clone()).await.unwrap();
    let mut found = Vec::new();
    let mut filter = AuditFilter::default();
    loop {
        let page = stores.events(&filter, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        filter.before = Some(last.id);
        found.extend(page.into_iter().map(|entry| entry.event));
    }
    found.reverse();
    assert_eq!(found, events);
}

/// Each condition leaves out what does not meet it, and all of them must hold.
pub async fn events_are_filtered_by_every_condition(backend: &impl Backend) {
    let stores = backend.open().await;
    let (alice, bob) = (samples::account_id(1), samples::account_id(2));
    let [laptop, phone] = [1, 2].map(|number| keys::ed25519_public(number).thumbprint());
    let login = EventKind::LoginSucceeded;
    let event = |second| AuditEvent { kind: login, ..at(second) };
    let events = vec![
        AuditEvent { kind: EventKind::AccountRegistered, ..at(0) }.account(alice).key(laptop),
        event(1).account(alice).key(laptop),
        event(2).account(alice).key(phone),
        event(3).account(bob),
        event(4),
    ];
    stores.append(events).await.unwrap();

    let all = AuditFilter::default;
    let second = |second| Some(NOW + Duration::from_secs(second));
    assert_eq!(seconds(&stores, all()).await, [4, 3, 2, 1, 0]);
    let of_alice = AuditFilter { account_id: Some(alice), ..all() };
    assert_eq!(seconds(&stores, of_alice.clone()).await, [2, 1, 0]);
    let of_laptop = AuditFilter { thumbprint: Some(laptop), ..all() };
    assert_eq!(seconds(&stores, of_laptop).await, [1, 0]);
    let logins = AuditFilter { kinds: vec![login], ..all() };
    assert_eq!(seconds(&stores, logins).await, [4, 3, 2, 1]);
    let kinds = vec![EventKind::AccountRegistered, EventKind::KeyRevoked];
    let registrations = AuditFilter { kinds: kinds.clone(), ..all() };
    assert_eq!(seconds(&stores, registrations).await, [0]);
    let either = AuditFilter { kinds: [kinds, vec![login]].concat(), ..of_alice.clone() };
    assert_eq!(seconds(&stores, either).await, [2, 1, 0]);
    let since = AuditFilter { since: second(3), ..all() };
    assert_eq!(seconds(&stores, since).await, [4, 3]);
    let until = AuditFilter { until: second(3), ..all() };
    assert_eq!(seconds(&stores, until).await, [2, 1, 0]);
    let together = AuditFilter {
        kinds: vec![login],
        since: second(1),
        until: second(3),
        thumbprint: Some(phone),
        ..of_alice
    };
    assert_eq!(seconds(&stores, together).await, [2]);
    let nobody = AuditFilter { account_id: Some(samples::account_id(3)), ..all() };
    assert!(seconds(&stores, nobody).await.is_empty());
}

/// Refusals of one kind and account, by one network, for one reason, are one entry for each hour,
/// which says how many there were and when the first and the last was.
pub async fn refusals_that_are_alike_are_one_entry_an_hour(backend: &impl Backend) {
    let stores = backend.open().await;
    let alice = samples::account_id(1);
    // So that the hour begins with the first.
    let begin = UnixTime::from_secs(NOW.as_secs() / 3600 * 3600);
    let refusal = |second, address: &str| {
        let at = begin + Duration::from_secs(second);
        AuditEvent::new(at, EventKind::TokenRefused)
            .account(alice)
            .from(address.parse().unwrap())
            .detail("a reason")
    };
    let (one, neighbour, other) = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1");
    let mut many = refusal(2, neighbour);
    many.again(14, begin + Duration::from_secs(50));
    let events = vec![refusal(0, one), refusal(1, one), refusal(3, other)];
    stores.append(events).await.unwrap();
    drop(stores);
    let stores = backend.open().await;
    stores.append(vec![many, refusal(9, other).detail("another")]).await.unwrap();
    stores.append(vec![refusal(3599, one), refusal(3600, one)]).await.unwrap();

    let mut expected = refusal(0, one);
    expected.again(17, begin + Duration::from_secs(3599));
    let expected =
        [expected, refusal(3, other), refusal(9, other).detail("another"), refusal(3600, one)];
    let found: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(found, expected);
}

/// Uses of a key of one account, by one network, in one way, are one entry for each day.
pub async fn uses_of_a_key_that_are_alike_are_one_entry_a_day(backend: &impl Backend) {
    const DAY: u64 = 24 * 3600;
    let stores = backend.open().await;
    // So that the day begins with the first.
    let begin = UnixTime::from_secs(NOW.as_secs() / DAY * DAY);
    let key = keys::ed25519_public(1).thumbprint();
    let used = |second, address: &str| {
        AuditEvent::new(begin + Duration::from_secs(second), EventKind::KeyUsed)
            .account(samples::account_id(1))
            .key(key)
            .from(address.parse().unwrap())
            .detail("dpop")
    };
    let mut many = used(100, "192.0.2.1");
    many.again(9, begin + Duration::from_secs(DAY - 1));
    let other = used(8, "192.0.2.1").detail("signjwt");
    let events = vec![used(0, "192.0.2.1"), used(7, "192.0.2.2"), other.clone(), many];
    stores.append(events).await.unwrap();
    stores.append(vec![used(DAY, "192.0.2.1")]).await.unwrap();
    let mut expected = used(0, "192.0.2.1");
    expected.again(10, begin + Duration::from_secs(DAY - 1));
    let expected = [expected, used(7, "192.0.2.2"), other, used(DAY, "192.0.2.1")];
    let found: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(found, expected);
}

/// What the schedule of signing keys did is left out where that is wanted.
pub async fn what_the_schedule_did_can_be_left_out(backend: &impl Backend) {
    let stores = backend.open().await;
    let all: Vec<_> = EventKind::ALL.iter().copied().map(samples::event).collect();
    stores.append(all).await.unwrap();
    let filter = AuditFilter { without_schedule: true, ..AuditFilter::default() };
    let found = stores.events(&filter, 100).await.unwrap();
    assert_eq!(found.len() + EventKind::OF_SCHEDULE.len(), EventKind::ALL.len());
    assert!(found.iter().all(|entry| !EventKind::OF_SCHEDULE.contains(&entry.event.kind)));
    let filter = AuditFilter { kinds: vec![EventKind::SigningKeyRotated], ..filter };
    assert_eq!(stores.events(&filter, 100).await.unwrap().len(), 1);
}

/// Whoever is refused cannot fill the trail by naming keys that nobody has.
pub async fn refused_changes_of_made_up_keys_are_one_entry(backend: &impl Backend) {
    let stores = backend.open().await;
    for number in 0..5 {
        let event = samples::event(EventKind::KeyChangeRefused).account(samples::account_id(1));
        let made_up = Thumbprint::from_bytes([number; 32]);
        stores.append(vec![event.key(made_up)]).await.unwrap();
    }
    let trail = stores.trail().await;
    assert_eq!((trail.len(), trail[0].event.times()), (1, 5));
}

/// Changes and logins are told each time.
pub async fn changes_and_logins_are_never_told_together(backend: &impl Backend) {
    let stores = backend.open().await;
    let each = |kind: &&EventKind| matches!(kind.budget(), Budget::Changes | Budget::Logins);
    let others = EventKind::ALL.iter().filter(each);
    let events: Vec<_> = others.flat_map(|kind| vec![samples::event(*kind); 2]).collect();
    stores.append(events.clone()).await.unwrap();
    let found: Vec<_> = stores.trail().await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(found, events);
}

/// All of the account's trail, on one page.
fn of_account(account_id: AccountId) -> TrailQuery {
    TrailQuery {
        account_id,
        key: None,
        kinds: Vec::new(),
        since: None,
        before: None,
        limit: 200,
        look_at: 10_000,
    }
}

/// The events that fit `filter`, by how many seconds after the present they happened.
async fn seconds(stores: &Stores, filter: AuditFilter) -> Vec<u64> {
    let found = stores.events(&filter, 100).await.unwrap();
    found.iter().map(|entry| entry.event.at.since(NOW).as_secs()).collect()
}

fn at(second: u64) -> AuditEvent {
    AuditEvent::new(NOW + Duration::from_secs(second), EventKind::KeyAdded)
}
