//! One active key, one successor in time, and rows that cannot be tampered with.

use std::time::Duration;

use countersign_authority::{
    keys::{SigningKeyError, signing::SigningKeys},
    model::{
        audit::EventKind,
        key_life::{KeySchedule, KeyState, SealedSigningKey, Signs},
    },
};
use countersign_protocol::{
    Scopes, UnixTime,
    keys::{Algorithm, Thumbprint},
    tokens::{issue::AccessTokenClaims, verify::AccessToken},
};
use countersign_testkit::{
    keys::ed25519_public,
    random::SeededRandom,
    samples::{NOW, account_id},
};
use serde_json::Value;
use tokio::task::yield_now;

use crate::support::{CLOCK_TOLERANCE, ISSUER, KeyStore};

const MILLI: Duration = Duration::from_millis(1);

/// `claims` signed by the key for access tokens that is active at `now`.
pub(crate) fn sign_claims(
    keys: &SigningKeys,
    claims: &AccessTokenClaims,
    now: UnixTime,
) -> Result<String, SigningKeyError> {
    keys.signer(Signs::AccessTokens, now)?.access_token(claims)
}

/// What a token for `lifetime` says that is issued at `now`.
pub(crate) fn claims(now: UnixTime, lifetime: Duration) -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: ISSUER.to_owned(),
        account_id: account_id(1),
        audience: vec![ISSUER.to_owned()],
        credential: ed25519_public(1).thumbprint(),
        name: None,
        username: None,
        bound_to: ed25519_public(1).thumbprint(),
        scopes: Scopes::none(),
        narrowed: false,
        token_id: now.as_millis().to_string(),
        authentication: None,
        issued_at: now,
        expires_at: now + lifetime,
    }
}

/// Whether `token` verifies at `now` with the keys that are published then.
pub(crate) fn verifies(keys: &SigningKeys, token: &str, now: UnixTime) -> bool {
    let token = AccessToken::parse(token).unwrap();
    let key = keys.public_key(&token.kid().unwrap(), now);
    key.is_some_and(|key| token.verify_as_issuer(&key, ISSUER, Duration::ZERO, now).is_ok())
}

/// The keys and their states, in the order of activation.
pub(crate) fn states(keys: &SigningKeys, now: UnixTime) -> Vec<(Thumbprint, KeyState)> {
    keys.summaries(now).into_iter().map(|key| (key.kid, key.state)).collect()
}

/// The states alone.
pub(crate) fn kinds(keys: &SigningKeys, now: UnixTime) -> Vec<KeyState> {
    states(keys, now).into_iter().map(|(_, state)| state).collect()
}

/// The `kid` of every published key.
pub(crate) fn published(keys: &SigningKeys, now: UnixTime) -> Vec<Thumbprint> {
    let jwks = keys.jwks(now);
    let kid = |key: &Value| key["kid"].as_str().unwrap().parse().unwrap();
    jwks["keys"].as_array().unwrap().iter().map(kid).collect()
}

fn sign(keys: &SigningKeys, now: UnixTime) -> String {
    sign_claims(keys, &claims(now, Duration::from_hours(1)), now).unwrap()
}

async fn maintain(keys: &SigningKeys, now: UnixTime) -> bool {
    keys.maintain(now, &SeededRandom::new(now.as_millis())).await.unwrap()
}

#[tokio::test]
async fn the_first_start_makes_one_active_key() {
    let store = KeyStore::new();
    let schedule = KeySchedule::default();
    let keys = store.start(schedule, NOW).await.unwrap();
    assert_eq!(kinds(&keys, NOW), [KeyState::Active]);
    let [key] = keys.summaries(NOW)[..] else { panic!("one key") };
    assert_eq!(key.algorithm, schedule.algorithm);
    assert_eq!((key.life.created_at, key.life.active_from), (NOW, NOW - CLOCK_TOLERANCE));
    assert_eq!(key.life.retired_from, NOW + schedule.active);
    assert_eq!(key.life.expires_at, NOW + schedule.active + schedule.keep_after);
    assert_eq!(published(&keys, NOW), [key.kid]);
    assert!(verifies(&keys, &sign(&keys, NOW), NOW));
    assert_eq!(store.count(EventKind::SigningKeyCreated), 1);
    assert_eq!(store.events.lock()[0].thumbprint, Some(key.kid));
}

#[tokio::test]
async fn the_key_has_the_algorithm_of_the_schedule() {
    for algorithm in Algorithm::ALL {
        let schedule = KeySchedule { algorithm, ..KeySchedule::default() };
        let keys = KeyStore::new().start(schedule, NOW).await.unwrap();
        let jwks = keys.jwks(NOW);
        assert_eq!(jwks["keys"][0]["alg"], algorithm.name());
        assert!(verifies(&keys, &sign(&keys, NOW), NOW), "{algorithm}");
    }
}

#[tokio::test]
async fn the_text_that_is_kept_is_always_that_of_the_published_keys() {
    let schedule = KeySchedule::default();
    let keys = KeyStore::new().start(schedule, NOW).await.unwrap();
    let end = NOW + schedule.active + schedule.keep_after;
    let same = |now| {
        let published = keys.published(now);
        assert_eq!(published.json, keys.jwks(now).to_string());
        published.tag.clone()
    };
    let first = same(NOW);
    assert_eq!(same(end - Duration::from_millis(1)), first);
    assert_eq!(same(end), first, "there is no other");
    // The clock goes back, and a successor comes.
    assert_eq!(same(NOW), first);
    assert!(maintain(&keys, NOW + schedule.active).await);
    assert_ne!(same(NOW), first);
}

#[tokio::test]
async fn a_restart_keeps_the_key() {
    let store = KeyStore::new();
    let before = store.start(KeySchedule::default(), NOW).await.unwrap();
    let (token, jwks) = (sign(&before, NOW), before.jwks(NOW));
    drop(before);

    let later = NOW + Duration::from_mins(10);
    let after = store.start(KeySchedule::default(), later).await.unwrap();
    assert_eq!(after.jwks(later), jwks);
    assert!(verifies(&after, &token, later));
    let kid = |token: &str| AccessToken::parse(token).unwrap().kid();
    assert_eq!(kid(&sign(&after, later)), kid(&token));
    assert_eq!(store.events.lock().len(), 1);
}

#[tokio::test]
async fn another_algorithm_gets_a_key_at_once_and_old_tokens_still_verify() {
    let store = KeyStore::new();
    let before = store.start(KeySchedule::default(), NOW).await.unwrap();
    let token = sign(&before, NOW);
    let other = KeySchedule { algorithm: Algorithm::EdDsa, ..KeySchedule::default() };
    let later = NOW + Duration::from_mins(1);
    let after = store.start(other, later).await.unwrap();
    assert!(verifies(&after, &token, later));
    let new = sign(&after, later);
    assert!(verifies(&after, &new, later));
    assert_ne!(AccessToken::parse(&new).unwrap().kid(), AccessToken::parse(&token).unwrap().kid());
    assert_eq!(published(&after, later).len(), 2);
    assert!(!maintain(&after, later).await, "one is enough");
}

#[tokio::test]
async fn the_successor_is_made_at_the_moment_from_which_it_must_be_published() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    assert!(!maintain(&keys, NOW).await);
    assert!(!maintain(&keys, due - MILLI).await);
    assert_eq!(kinds(&keys, due - MILLI), [KeyState::Active]);

    assert!(maintain(&keys, due).await);
    assert_eq!(kinds(&keys, due), [KeyState::Active, KeyState::Next]);
    assert_eq!(published(&keys, due).len(), 2);
    let [old, new] = keys.summaries(due)[..] else { panic!("two keys") };
    assert_eq!(new.life.active_from, old.life.retired_from, "without gap or overlap");

    for moment in [due, due + MILLI, old.life.retired_from - MILLI, old.life.retired_from] {
        assert!(!maintain(&keys, moment).await);
    }
    assert_eq!(store.count(EventKind::SigningKeyCreated), 2);
    assert_eq!(kinds(&keys, old.life.retired_from), [KeyState::Retired, KeyState::Active]);
}

#[tokio::test]
async fn a_late_turn_makes_one_successor_too() {
    let schedule = KeySchedule::default();
    for late in [Duration::ZERO, MILLI, Duration::from_hours(12), Duration::from_hours(24)] {
        let store = KeyStore::new();
        let keys = store.start(schedule, NOW).await.unwrap();
        let now = NOW + schedule.active - schedule.publish_ahead + late;
        assert!(maintain(&keys, now).await);
        assert!(!maintain(&keys, now).await);
        assert_eq!(keys.summaries(now).len(), 2);
        assert!(keys.check(now).is_ok());
    }
}

#[tokio::test]
async fn many_turns_at_once_make_one_successor() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    let turn = || maintain(&keys, due);
    let (a, b, c, d) = tokio::join!(turn(), turn(), turn(), turn());
    assert_eq!([a, b, c, d].into_iter().filter(|changed| *changed).count(), 1);
    assert_eq!(store.rows.lock().len(), 2);
}

#[tokio::test]
async fn many_servers_at_once_make_one_successor() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let start = || async { store.start(schedule, NOW).await.unwrap() };
    let (a, b, c) = tokio::join!(start(), start(), start());
    assert_eq!(store.rows.lock().len(), 1);
    let due = NOW + schedule.active - schedule.publish_ahead;
    let changed = tokio::join!(maintain(&a, due), maintain(&b, due), maintain(&c, due));
    assert_eq!([changed.0, changed.1, changed.2].into_iter().filter(|changed| *changed).count(), 1);
    assert_eq!(store.rows.lock().len(), 2);
    for server in [a, b, c] {
        assert_eq!(kinds(&server, due), [KeyState::Active, KeyState::Next]);
    }
}

#[tokio::test]
async fn a_server_signs_at_once_with_the_first_key_of_one_whose_clock_is_ahead() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let ahead = store.start(schedule, NOW).await.unwrap();
    let behind = NOW - CLOCK_TOLERANCE;
    let server = store.start(schedule, behind).await.unwrap();
    let token = sign(&server, behind);
    assert!(verifies(&ahead, &token, NOW));
    assert_eq!(store.rows.lock().len(), 1);
}

#[tokio::test]
async fn who_is_always_too_late_gives_up() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let (due, random) = (NOW + schedule.active - schedule.publish_ahead, SeededRandom::new(1));
    store.outrun(100);
    let error = keys.maintain(due, &random).await.unwrap_err();
    assert!(matches!(error, SigningKeyError::Contended), "{error}");
    let error = keys.rotate(false, due, &random).await.unwrap_err();
    assert!(matches!(error, SigningKeyError::Contended), "{error}");
    assert_eq!((store.rows.lock().len(), store.events.lock().len()), (1, 1));
    assert_eq!(kinds(&keys, due), [KeyState::Active]);

    store.outrun(7);
    assert!(maintain(&keys, due).await, "the eighth time is early enough");
    assert_eq!(kinds(&keys, due), [KeyState::Active, KeyState::Next]);
}

/// Lets the others go on that many times.
async fn turns(number: usize) {
    for _ in 0..number {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_reading_that_was_under_way_does_not_undo_a_change() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    let held = store.hold_next_read();
    let change = async {
        turns(5).await;
        maintain(&keys, due).await
    };
    let release = async {
        turns(25).await;
        drop(held);
    };
    let (reloaded, changed, ()) = tokio::join!(keys.reload(), change, release);
    reloaded.unwrap();
    assert!(changed);
    assert_eq!(kinds(&keys, due), [KeyState::Active, KeyState::Next]);
    assert!(!maintain(&keys, due).await);
}

#[tokio::test]
async fn a_server_that_slept_past_retirement_signs_with_a_new_key() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let old = keys.summaries(NOW)[0];
    let token = sign_claims(&keys, &claims(NOW, schedule.active * 2), NOW).unwrap();

    let awake = old.life.retired_from + Duration::from_hours(1);
    assert!(matches!(keys.check(awake), Err(SigningKeyError::NoneActive)));
    assert!(maintain(&keys, awake).await);
    assert_eq!(kinds(&keys, awake), [KeyState::Retired, KeyState::Active]);
    assert_eq!(keys.summaries(awake)[1].life.active_from, awake - CLOCK_TOLERANCE);
    assert!(verifies(&keys, &sign(&keys, awake), awake));

    let last = old.life.expires_at - MILLI;
    assert!(!maintain(&keys, last).await);
    assert!(verifies(&keys, &token, last));
    assert!(!verifies(&keys, &token, old.life.expires_at), "whether or not it was removed yet");
    assert!(!published(&keys, old.life.expires_at).contains(&old.kid));
}

#[tokio::test]
async fn what_is_gone_is_removed_and_recorded() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let old = keys.summaries(NOW)[0];
    assert!(maintain(&keys, old.life.retired_from).await);
    assert!(!maintain(&keys, old.life.expires_at - MILLI).await);
    assert!(maintain(&keys, old.life.expires_at).await);
    assert_eq!(kinds(&keys, old.life.expires_at), [KeyState::Active]);
    assert!(store.rows.lock().iter().all(|row| row.kid != old.kid));
    let event = store.events.lock().last().unwrap().clone();
    assert_eq!((event.kind, event.thumbprint), (EventKind::SigningKeyRemoved, Some(old.kid)));
    assert_eq!(event.at, old.life.expires_at);
}

#[tokio::test]
async fn a_start_after_years_replaces_what_is_gone_in_one_step() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let old = store.start(schedule, NOW).await.unwrap().summaries(NOW)[0].kid;
    let now = NOW + Duration::from_hours(24 * 1000);
    let keys = store.start(schedule, now).await.unwrap();
    assert_eq!(kinds(&keys, now), [KeyState::Active]);
    assert!(!published(&keys, now).contains(&old));
    assert_eq!(store.count(EventKind::SigningKeyRemoved), 1);
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_leave_the_server_without_a_key() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let ahead = NOW + Duration::from_hours(24 * 365);
    let keys = store.start(schedule, ahead).await.unwrap();
    assert!(maintain(&keys, NOW).await, "the clock was set right");
    assert!(verifies(&keys, &sign(&keys, NOW), NOW));
    assert!(!maintain(&keys, NOW + MILLI).await);
    assert!(store.start(schedule, NOW).await.unwrap().check(NOW).is_ok());
}

#[tokio::test]
async fn a_failing_store_leaves_the_keys_in_memory_at_work() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    store.fail(true);
    assert!(matches!(keys.reload().await, Err(SigningKeyError::Store(_))));
    let random = SeededRandom::new(1);
    assert!(matches!(keys.maintain(due, &random).await, Err(SigningKeyError::Store(_))));
    assert!(matches!(keys.rotate(false, due, &random).await, Err(SigningKeyError::Store(_))));
    assert_eq!(kinds(&keys, due), [KeyState::Active]);
    assert!(verifies(&keys, &sign(&keys, due), due));
    store.fail(false);
    assert!(maintain(&keys, due).await);
    assert_eq!(kinds(&keys, due), [KeyState::Active, KeyState::Next]);
}

/// Two keys, so that one can be exchanged for the other.
async fn two_rows() -> (std::sync::Arc<KeyStore>, SigningKeys, UnixTime) {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    assert!(maintain(&keys, due).await);
    (store, keys, due)
}

#[tokio::test]
async fn a_tampered_row_is_damaged() {
    type Tampering = (&'static str, fn(&mut [SealedSigningKey]));
    let far = |time: UnixTime| time + Duration::from_hours(24 * 3650);
    let tamperings: [Tampering; 13] = [
        ("creation", |rows| rows[0].life.created_at = UnixTime::EPOCH),
        ("activation", |rows| rows[0].life.active_from = UnixTime::EPOCH),
        ("retirement", |rows| rows[0].life.retired_from = rows[0].life.expires_at),
        ("end", |rows| rows[0].life.expires_at = rows[0].life.expires_at + MILLI),
        ("algorithm", |rows| rows[0].algorithm = Algorithm::Es384),
        ("ciphertext", |rows| rows[0].ciphertext[5] ^= 1),
        ("tag", |rows| *rows[0].ciphertext.last_mut().unwrap() ^= 0x80),
        ("a byte less", |rows| rows[0].ciphertext.truncate(40)),
        ("nothing", |rows| rows[0].ciphertext.clear()),
        ("nonce", |rows| rows[0].nonce[0] ^= 1),
        ("kid", |rows| {
            let (one, other) = (rows[0].kid, rows[1].kid);
            (rows[0].kid, rows[1].kid) = (other, one);
        }),
        ("key under the other's kid", |rows| {
            rows[0].ciphertext = rows[1].ciphertext.clone();
            rows[0].nonce = rows[1].nonce;
        }),
        ("unknown kid", |rows| rows[0].kid = ed25519_public(9).thumbprint()),
    ];
    for (what, tamper) in tamperings {
        let (store, keys, now) = two_rows().await;
        let (jwks, token) = (keys.jwks(now), sign(&keys, now));
        tamper(&mut store.rows.lock());
        let kids: Vec<_> = store.rows.lock().iter().map(|row| row.kid).collect();

        let error = store.start(KeySchedule::default(), now).await.err();
        let named = matches!(&error, Some(SigningKeyError::Damaged(kid)) if kids.contains(kid));
        assert!(named, "{what}, at a start: {error:?}");
        let error = keys.reload().await.err();
        let named = matches!(&error, Some(SigningKeyError::Damaged(kid)) if kids.contains(kid));
        assert!(named, "{what}, by a running server: {error:?}");
        assert_eq!(keys.jwks(now), jwks, "{what}: the keys in memory stay");
        assert!(verifies(&keys, &token, now) && keys.check(far(NOW)).is_err());
    }
}

#[tokio::test]
async fn a_running_server_takes_over_what_another_process_changed() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let server = store.start(schedule, NOW).await.unwrap();
    let token = sign(&server, NOW);
    let command = store.start(schedule, NOW).await.unwrap();
    let later = NOW + Duration::from_mins(1);
    command.rotate(true, later, &SeededRandom::new(3)).await.unwrap();
    assert!(verifies(&server, &token, later), "it does not know yet");
    server.reload().await.unwrap();
    assert!(!verifies(&server, &token, later));
    assert_eq!(server.jwks(later), command.jwks(later));
    assert!(verifies(&command, &sign(&server, later), later));
}
