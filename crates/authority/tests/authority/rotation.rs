//! Rotation ahead of time, gentle and not.

use std::time::Duration;

use countersign_authority::{
    keys::{
        SigningKeyError,
        signing::{MAX_PUBLISHED, SigningKeys},
    },
    model::{
        audit::EventKind,
        key_life::{
            KeySchedule,
            KeyState::{Active, Gone, Next, Retired},
        },
        policy::PasswordPolicy,
    },
};
use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, Thumbprint},
};
use countersign_testkit::{random::SeededRandom, samples::NOW};

use crate::{
    signing_keys::{claims, kinds, published, sign_claims, states, verifies},
    support::{CLOCK_TOLERANCE, KeyStore, World},
};

const MILLI: Duration = Duration::from_millis(1);

fn kid(keys: &SigningKeys, place: usize) -> Thumbprint {
    keys.summaries(NOW)[place].kid
}

async fn rotate(keys: &SigningKeys, withdraw: bool, now: UnixTime) {
    keys.rotate(withdraw, now, &SeededRandom::new(now.as_millis())).await.unwrap();
}

/// A server with an active key and its successor, and the moment.
async fn with_successor(store: &std::sync::Arc<KeyStore>) -> (SigningKeys, UnixTime) {
    let schedule = KeySchedule::default();
    let keys = store.start(schedule, NOW).await.unwrap();
    let due = NOW + schedule.active - schedule.publish_ahead;
    assert!(keys.maintain(due, &SeededRandom::new(1)).await.unwrap());
    assert_eq!(kinds(&keys, due), [Active, Next]);
    (keys, due)
}

#[tokio::test]
async fn the_next_key_signs_and_the_old_one_stays_for_a_while() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let (keys, now) = with_successor(&store).await;
    let (old, next) = (kid(&keys, 0), kid(&keys, 1));
    let token = sign_claims(&keys, &claims(now, schedule.keep_after), now).unwrap();
    rotate(&keys, false, now).await;

    assert_eq!(states(&keys, now), [(old, Retired), (next, Active)]);
    assert_eq!(published(&keys, now), [old, next]);
    let [retired, active] = keys.summaries(now)[..] else { panic!("two keys") };
    assert_eq!(retired.life.expires_at, now + schedule.keep_after);
    assert_eq!(active.life.active_from, now);
    assert_eq!(active.life.retired_from, now + schedule.active, "it gets its full time");
    let ended = now + schedule.keep_after;
    assert!(verifies(&keys, &token, ended - MILLI));
    assert_eq!(kinds(&keys, ended), [Gone, Active]);
    assert_eq!(store.count(EventKind::SigningKeyRotated), 2);
    assert_eq!(store.count(EventKind::SigningKeyCreated), 2, "none was made for it");

    let restarted = store.start(schedule, now).await.unwrap();
    assert_eq!(states(&restarted, now), states(&keys, now));
}

#[tokio::test]
async fn without_a_next_key_a_new_one_signs() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let old = kid(&keys, 0);
    let now = NOW + Duration::from_hours(1);
    rotate(&keys, false, now).await;
    assert_eq!(kinds(&keys, now), [Retired, Active]);
    assert_eq!(published(&keys, now)[0], old);
    assert!(sign_claims(&keys, &claims(now, schedule.keep_after), now).is_ok());
    assert!(!keys.maintain(now, &SeededRandom::new(1)).await.unwrap(), "the schedule goes on");
}

#[tokio::test]
async fn a_withdrawn_key_leaves_at_once_and_its_tokens_die() {
    for successor in [true, false] {
        let (store, schedule) = (KeyStore::new(), KeySchedule::default());
        let (keys, now) = if successor {
            with_successor(&store).await
        } else {
            (store.start(schedule, NOW).await.unwrap(), NOW + MILLI)
        };
        let old = kid(&keys, 0);
        let token = sign_claims(&keys, &claims(now, schedule.keep_after), now).unwrap();
        assert!(verifies(&keys, &token, now));
        rotate(&keys, true, now).await;

        assert_eq!(kinds(&keys, now), [Gone, Active]);
        assert!(!published(&keys, now).contains(&old));
        assert!(!verifies(&keys, &token, now));
        let new = sign_claims(&keys, &claims(now, schedule.keep_after), now).unwrap();
        assert!(verifies(&keys, &new, now));
        assert!(keys.maintain(now, &SeededRandom::new(2)).await.unwrap());
        assert_eq!(kinds(&keys, now), [Active], "the next turn removes it");
        assert!(store.rows.lock().iter().all(|row| row.kid != old));
    }
}

#[tokio::test]
async fn a_withdrawal_reaches_keys_that_retired_before() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let first = sign_claims(&keys, &claims(NOW, schedule.keep_after), NOW).unwrap();
    let (one, two) = (NOW + MILLI, NOW + MILLI * 2);
    rotate(&keys, false, one).await;
    assert!(verifies(&keys, &first, one));
    rotate(&keys, true, two).await;
    // It signs from a moment before on, for servers whose clocks are behind.
    assert_eq!(kinds(&keys, two), [Gone, Active, Gone]);
    assert!(!verifies(&keys, &first, two));
}

#[tokio::test]
async fn what_is_withdrawn_has_ended_where_the_clock_is_behind() {
    for successor in [true, false] {
        let (store, schedule) = (KeyStore::new(), KeySchedule::default());
        let (keys, now) = if successor {
            with_successor(&store).await
        } else {
            (store.start(schedule, NOW).await.unwrap(), NOW + Duration::from_hours(1))
        };
        let behind = now - CLOCK_TOLERANCE;
        let token = sign_claims(&keys, &claims(behind, schedule.keep_after), behind).unwrap();
        rotate(&keys, true, now).await;
        let elsewhere = store.start(schedule, behind).await.unwrap();
        assert!(!verifies(&elsewhere, &token, behind));
        let new = sign_claims(&elsewhere, &claims(behind, schedule.keep_after), behind).unwrap();
        assert!(verifies(&keys, &new, now), "with the key that there is, and no other");
    }
}

#[tokio::test]
async fn two_who_rotate_at_once_make_one_key_also_if_one_withdraws() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let (store, schedule) = (KeyStore::new(), KeySchedule::default());
        let one = store.start(schedule, NOW).await.unwrap();
        let other = store.start(schedule, NOW).await.unwrap();
        let now = NOW + Duration::from_hours(1);
        rotate(&one, first, now).await;
        rotate(&other, second, now).await;
        let old = if first || second { Gone } else { Retired };
        assert_eq!(kinds(&other, now), [old, Active], "{first} {second}");
        one.reload().await.unwrap();
        assert_eq!(states(&one, now), states(&other, now));
    }
}

#[tokio::test]
async fn rotating_again_and_again_leaves_one_active_key() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let mut tokens = Vec::new();
    for minute in 0..5 {
        let now = NOW + Duration::from_mins(minute);
        tokens.push(sign_claims(&keys, &claims(now, Duration::from_hours(1)), now).unwrap());
        rotate(&keys, false, now).await;
        let active = kinds(&keys, now).into_iter().filter(|state| *state == Active).count();
        assert_eq!(active, 1);
        assert!(tokens.iter().all(|token| verifies(&keys, token, now)));
    }
}

#[tokio::test]
async fn rotating_without_end_publishes_no_more_keys_than_verifiers_take() {
    let (store, schedule) = (KeyStore::new(), KeySchedule::default());
    let keys = store.start(schedule, NOW).await.unwrap();
    let mut refused = 0;
    for second in 0..100 {
        let now = NOW + Duration::from_secs(second);
        let random = SeededRandom::new(second);
        match keys.rotate(false, now, &random).await {
            Ok(()) => {}
            Err(SigningKeyError::TooManyPublished { published, limit }) => {
                assert_eq!((published, limit), (MAX_PUBLISHED, MAX_PUBLISHED));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(published(&keys, now).len() <= MAX_PUBLISHED);
    }
    assert_eq!(refused, 100 - MAX_PUBLISHED + 1);
    let now = NOW + Duration::from_secs(100);
    rotate(&keys, true, now).await;
    assert_eq!(published(&keys, now).len(), 1, "withdrawing is never refused");
    rotate(&keys, false, now).await;
}

#[tokio::test]
async fn a_key_that_was_rotated_away_goes_when_its_last_token_has_ended() {
    let world =
        World::with(|policy| policy.passwords = Some(PasswordPolicy::default()), |_| {}).await;
    let (keys, policy) = (world.authority.core.signing_keys(), world.authority.core.policy());
    let now = world.authority.core.now();
    let of_passwords = |keys: &SigningKeys| {
        let all = keys.summaries(now).into_iter();
        all.filter(|key| key.algorithm == Algorithm::Rs256).map(|key| key.kid).collect::<Vec<_>>()
    };
    let (old, before) = (keys.summaries(now)[0].kid, of_passwords(keys));
    keys.rotate(false, now, &SeededRandom::new(1)).await.unwrap();
    assert_eq!(of_passwords(keys), before, "only the key of access tokens was rotated");
    let old_key = keys.summaries(now).into_iter().find(|key| key.state == Retired).unwrap();
    assert!(old_key.algorithm == policy.signing_keys.algorithm || old_key.kid == old);
    let longest = policy.tokens.lifetime + policy.skew;
    assert!(old_key.life.expires_at > now + longest);
    assert!(old_key.life.expires_at < now + longest + Duration::from_mins(2));

    keys.rotate_algorithm(Algorithm::Rs256, false, now, &SeededRandom::new(2)).await.unwrap();
    assert_ne!(of_passwords(keys), before);
    let refused = keys.rotate_algorithm(Algorithm::Es384, false, now, &SeededRandom::new(3)).await;
    assert!(matches!(refused, Err(SigningKeyError::NotScheduled(Algorithm::Es384))));
}
