//! Ten requests of a key pass in any second, at all handles together.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{LimitKey, NotAdmitted, WindowLimiter};

use super::MONOTONIC;
use crate::rules::at_once;

type Limiters = [Arc<dyn WindowLimiter>; 2];

fn client(number: u8) -> LimitKey {
    LimitKey::Network(IpAddr::from([192, 0, 2, number]).into())
}

async fn enter(limiters: &Limiters, number: u64, key: u8, millis: u64) -> Result<(), NotAdmitted> {
    let limiter = &limiters[usize::from(number.is_multiple_of(2))];
    limiter.enter(client(key), MONOTONIC + Duration::from_millis(millis)).await
}

async fn answered(limiters: &Limiters, number: u64, key: u8, millis: u64) {
    let limiter = &limiters[usize::from(number.is_multiple_of(2))];
    limiter.answered(client(key), MONOTONIC + Duration::from_millis(millis)).await;
}

/// A request that is answered at once, which begins and ends at different handles.
async fn pass(limiters: &Limiters, number: u64, key: u8, millis: u64) -> Result<(), NotAdmitted> {
    enter(limiters, number, key, millis).await?;
    answered(limiters, number + 1, key, millis).await;
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
        pass(&limiters, number, 1, number * 10).await.unwrap();
    }
    for number in 0..2 {
        let refused = pass(&limiters, number, 1, 400).await;
        assert_eq!(wait(refused), Duration::from_millis(600));
        pass(&limiters, number, 1, 999).await.unwrap_err();
    }
    pass(&limiters, 0, 1, 1000).await.unwrap();
    pass(&limiters, 1, 1, 1000).await.unwrap_err();
}

/// Each key has places of its own.
pub async fn keys_are_counted_apart(limiters: Limiters) {
    for key in 0..3 {
        for number in 0..10 {
            pass(&limiters, number, key, 0).await.unwrap();
        }
        pass(&limiters, 0, key, 0).await.unwrap_err();
    }
}

/// A request that is being answered holds its place, and for a second more.
pub async fn a_place_is_held_until_a_second_after_the_answer(limiters: Limiters) {
    for number in 0..10 {
        enter(&limiters, number, 1, 0).await.unwrap();
    }
    let refused = enter(&limiters, 0, 1, 5_000).await;
    assert_eq!(wait(refused), Duration::from_secs(1), "all are being answered");
    for number in 0..10 {
        answered(&limiters, number, 1, 6_000 + number).await;
    }
    enter(&limiters, 0, 1, 7_008).await.unwrap_err();
    for number in 0..10 {
        pass(&limiters, number, 1, 7_009).await.unwrap();
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
            enter(&limiters, tick, key, now).await.unwrap();
            now += takes;
            answered(&limiters, tick, key, now).await;
        }
        let refused = enter(&limiters, 0, key, now).await;
        let wait = u64::try_from(wait(refused).as_millis()).unwrap();
        assert!(wait <= 1_000, "answers take {takes} ms");
        enter(&limiters, 1, key, now + wait).await.unwrap();
    }
}

/// Ten are the most when many come at once, at both handles.
pub async fn ten_pass_of_many_at_once(limiters: Limiters) {
    for key in 0..20 {
        let results = at_once(40, |number| {
            let limiters = limiters.clone();
            async move { enter(&limiters, number, key, 0).await }
        })
        .await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10, "{results:?}");
    }
}
