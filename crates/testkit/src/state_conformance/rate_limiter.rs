//! An allowance is one at all handles together.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit, RateLimiter};

use super::MONOTONIC;
use crate::{rules::at_once, samples::account_id};

type Limiters = [Arc<dyn RateLimiter>; 2];

const LOGIN: RateLimit = RateLimit { name: "login", burst: 3, period: Duration::from_secs(30) };

fn client(number: u8) -> LimitKey {
    LimitKey::Network(IpAddr::from([192, 0, 2, number]).into())
}

/// Takes `count` some seconds after the beginning; where that is refused, says for how long.
async fn take(
    limiter: &Arc<dyn RateLimiter>,
    (limit, key): (&RateLimit, LimitKey),
    count: u32,
    seconds: u64,
) -> Result<(), u64> {
    let now = MONOTONIC + Duration::from_secs(seconds);
    let taken = limiter.take_many(limit, key, count, now).await;
    taken.map_err(|refused| match refused {
        NotAdmitted::TooMany { retry_after } => retry_after.as_secs(),
        NotAdmitted::Unavailable => u64::MAX,
    })
}

/// A burst is allowed, and then one each time an interval has passed.
pub async fn a_burst_is_allowed_and_then_one_per_interval([here, there]: Limiters) {
    let alice = (&LOGIN, client(1));
    for limiter in [&here, &there, &here] {
        take(limiter, alice, 1, 0).await.unwrap();
    }
    for limiter in [&here, &there] {
        assert_eq!(take(limiter, alice, 1, 0).await, Err(10));
        assert_eq!(take(limiter, alice, 1, 9).await, Err(1));
    }
    take(&there, alice, 1, 10).await.unwrap();
    assert_eq!(take(&here, alice, 1, 10).await, Err(10));
    for limiter in [&there, &here, &there] {
        take(limiter, alice, 1, 40).await.unwrap();
    }
    take(&here, alice, 1, 40).await.unwrap_err();
}

/// What costs more takes more, or nothing where there is less; a whole allowance is the most.
pub async fn what_costs_more_takes_more_or_nothing([here, there]: Limiters) {
    let alice = (&LOGIN, client(1));
    take(&here, alice, 2, 0).await.unwrap();
    assert_eq!(take(&there, alice, 2, 0).await, Err(10));
    take(&there, alice, 1, 0).await.unwrap();
    take(&here, alice, 1, 0).await.unwrap_err();
    let bob = (&LOGIN, client(2));
    take(&here, bob, 1000, 0).await.unwrap();
    take(&there, bob, 1, 0).await.unwrap_err();
}

/// Who is refused has not to wait for longer by that.
pub async fn refusals_cost_nothing([here, there]: Limiters) {
    let alice = (&LOGIN, client(1));
    take(&here, alice, 3, 0).await.unwrap();
    for _ in 0..20 {
        take(&there, alice, 1, 0).await.unwrap_err();
    }
    take(&here, alice, 1, 10).await.unwrap();
}

/// Each limit has an allowance for each key.
pub async fn limits_and_keys_are_counted_apart([here, there]: Limiters) {
    let other_limit = RateLimit { name: "register", ..LOGIN };
    let account = LimitKey::Account(account_id(1));
    take(&here, (&LOGIN, client(1)), 3, 0).await.unwrap();
    for other in [(&LOGIN, client(2)), (&LOGIN, account), (&other_limit, client(1))] {
        take(&there, other, 3, 0).await.unwrap();
        take(&here, other, 1, 0).await.unwrap_err();
    }
}

/// What was given back may be taken again.
pub async fn what_is_given_back_is_there_again([here, there]: Limiters) {
    let alice = (&LOGIN, client(1));
    take(&here, alice, 3, 0).await.unwrap();
    there.give_back(&LOGIN, client(1)).await;
    take(&here, alice, 1, 0).await.unwrap();
    take(&there, alice, 1, 0).await.unwrap_err();
}

/// An allowance of none is one.
pub async fn an_allowance_of_none_allows_nothing([here, there]: Limiters) {
    let none = RateLimit { burst: 0, ..LOGIN };
    for limiter in [&here, &there] {
        assert_eq!(take(limiter, (&none, client(1)), 1, 0).await, Err(30));
    }
}

/// The burst is the most when many come at once, at both handles.
pub async fn no_more_than_the_burst_pass_of_many_at_once(limiters: Limiters) {
    let results = at_once(20, |number| {
        let limiter = Arc::clone(&limiters[usize::from(number % 2 == 0)]);
        async move { take(&limiter, (&LOGIN, client(1)), 1, 0).await }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "{results:?}");
}
