//! Ten requests of a key pass in any second, at all handles together.
#![expect(clippy::unused_async, reason = "all rules are called in one way")]

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{LimitKey, NotAdmitted, WindowLimiter};

use super::MONOTONIC;
use crate::rules::at_once;

type Limiters = [Arc<dyn WindowLimiter>; 2];

fn client(number: u8) -> LimitKey {
    LimitKey::Network(IpAddr::from([192, 0, 2, number]).into())
}

fn enter(limiters: &Limiters, number: u64, key: u8, millis: u64) -> Result<(), NotAdmitted> {
    let limiter = &limiters[usize::from(number.is_multiple_of(2))];
    limiter.enter(client(key), MONOTONIC + Duration::from_millis(millis))
}

fn answered(limiters: &Limiters, number: u64, key: u8, millis: u64) {
    let limiter = &limiters[usize::from(number.is_multiple_of(2))];
    limiter.answered(client(key), MONOTONIC + Duration::from_millis(millis));
}

/// A request that is answered at once, which begins and ends at different handles.
fn pass(limiters: &Limiters, number: u64, key: u8, millis: u64) -> Result<(), NotAdmitted> {
    enter(limiters, number, key, millis)?;
    answered(limiters, number + 1, key, millis);
    Ok(())
}

/// For how long one was refused; for ever, where that is not what was said.
fn wait(refused: Result<(), NotAdmitted>) -> Duration {
    match refused {
        Err(NotAdmitted::TooMany { retry_after }) => retry_after,
        Ok(()) | Err(NotAdmitted::Unavailable) => Duration::MAX,
    }
}

/// The eleventh has to wait until the first is a second old. What was refused does not count.
pub async fn the_eleventh_within_a_second_is_refused_and_told_when_to_come(limiters: Limiters) {
    for number in 0..10 {
        pass(&limiters, number, 1, number * 10).unwrap();
    }
    for number in 0..2 {
        let refused = pass(&limiters, number, 1, 400);
        assert_eq!(wait(refused), Duration::from_millis(600));
        pass(&limiters, number, 1, 999).unwrap_err();
    }
    pass(&limiters, 0, 1, 1000).unwrap();
    pass(&limiters, 1, 1, 1000).unwrap_err();
}

/// Each key has places of its own.
pub async fn keys_are_counted_apart(limiters: Limiters) {
    for key in 0..3 {
        for number in 0..10 {
            pass(&limiters, number, key, 0).unwrap();
        }
        pass(&limiters, 0, key, 0).unwrap_err();
    }
}

/// A request that is being answered holds its place, and for a second more.
pub async fn a_place_is_held_until_a_second_after_the_answer(limiters: Limiters) {
    for number in 0..10 {
        enter(&limiters, number, 1, 0).unwrap();
    }
    let refused = enter(&limiters, 0, 1, 5_000);
    assert_eq!(wait(refused), Duration::from_secs(1), "all are being answered");
    for number in 0..10 {
        answered(&limiters, number, 1, 6_000 + number);
    }
    enter(&limiters, 0, 1, 7_008).unwrap_err();
    for number in 0..10 {
        pass(&limiters, number, 1, 7_009).unwrap();
    }
}

/// Ten requests, one each tenth of a second or when the one before is answered, and one more: how long
/// answers take is the machine's doing.
pub async fn after_ten_in_a_row_the_eleventh_is_refused_however_long_answers_take(
    limiters: Limiters,
) {
    for (takes, key) in [0, 1, 99, 100, 101, 180, 3_000].into_iter().zip(1..) {
        let mut now = 0;
        for tick in 1..=10 {
            now = now.max(tick * 100);
            enter(&limiters, tick, key, now).unwrap();
            now += takes;
            answered(&limiters, tick, key, now);
        }
        let refused = enter(&limiters, 0, key, now);
        let wait = u64::try_from(wait(refused).as_millis()).unwrap();
        assert!(wait <= 1_000, "answers take {takes} ms");
        enter(&limiters, 1, key, now + wait).unwrap();
    }
}

/// Ten are the most when many come at once, at both handles.
pub async fn ten_pass_of_many_at_once(limiters: Limiters) {
    let results = at_once(40, |number| {
        let limiters = limiters.clone();
        async move { enter(&limiters, number, 1, 0) }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10, "{results:?}");
}
