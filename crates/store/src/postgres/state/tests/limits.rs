//! Limits that several nodes count, and what their clocks have to do with it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{LimitKey, NotAdmitted, RateLimit};
use countersign_testkit::{clock::FixedClock, limiters::unlimited, samples::account_id};

use tokio::time::timeout;

use super::databases::Database;
use crate::postgres::state::node_clock::NodeClock;

const TRIES: RateLimit = RateLimit { name: "tries", burst: 4, period: Duration::from_hours(1) };

fn client() -> LimitKey {
    LimitKey::Network(IpAddr::from([192, 0, 2, 1]).into())
}

#[test]
fn the_times_of_two_nodes_are_one() {
    let clocks = [Duration::ZERO, Duration::from_hours(5)].map(|runs_for| {
        let clock = Arc::new(FixedClock::default());
        clock.advance(runs_for);
        (NodeClock::new(Arc::clone(&clock) as _), clock)
    });
    // The answer takes 20 ms, half of which is the way there.
    let there = 1_700_000_000_000_000_000;
    for (node, clock) in &clocks {
        let asked = node.monotonic();
        clock.advance(Duration::from_millis(20));
        node.measured(asked, there);
        assert_eq!(node.shared(node.monotonic()), there + 10_000_000);
    }
    // A time of day that is set changes nothing.
    let (node, clock) = &clocks[0];
    clock.set(countersign_protocol::UnixTime::from_secs(1));
    assert_eq!(node.shared(node.monotonic()), there + 10_000_000);
}

#[tokio::test]
async fn ten_pass_in_a_second_though_nodes_started_at_different_times() {
    let database = Database::fresh().await;
    let (here, there) = (database.open(2).await, database.open(3).await);
    let hour = Duration::from_hours(1);
    // This node has run for an hour less.
    there.engine.links.clock.measured(Duration::ZERO, 0);
    let asked = there.engine.links.clock.monotonic();
    there.engine.links.clock.measured(asked, 2 * i64::try_from(hour.as_nanos()).unwrap());
    let (here, there) =
        (here.into_state(unlimited()).window_limiter, there.into_state(unlimited()).window_limiter);
    for number in 0..10_u32 {
        let late = Duration::from_millis(50) * number;
        let (limiter, now) = if number % 2 == 0 { (&here, 2 * hour) } else { (&there, hour) };
        limiter.enter(client(), now + late).await.unwrap();
        limiter.answered(client(), now + late).await;
    }
    let wait = Duration::from_millis(100);
    for (limiter, now) in [(&here, 2 * hour), (&there, hour)] {
        let refused = limiter.enter(client(), now + Duration::from_millis(900)).await;
        assert_eq!(refused, Err(NotAdmitted::TooMany { retry_after: wait }));
    }
}

#[tokio::test]
async fn the_places_of_a_node_that_is_gone_are_free_a_minute_later() {
    let database = Database::fresh().await;
    let limiter = database.open(2).await.into_state(unlimited()).window_limiter;
    let start = Duration::from_hours(1);
    for _ in 0..10 {
        limiter.enter(client(), start).await.unwrap();
    }
    limiter.enter(client(), start + Duration::from_mins(1)).await.unwrap_err();
    for _ in 0..10 {
        limiter.enter(client(), start + Duration::from_secs(61)).await.unwrap();
    }
    limiter.enter(client(), start + Duration::from_secs(61)).await.unwrap_err();
}

#[tokio::test]
async fn tries_at_keyrings_begin_half_used_after_the_database_forgot() {
    let database = Database::fresh().await;
    let begun_now = "UPDATE countersign_state_1.epoch SET since = 3600000";
    database.client().await.batch_execute(begun_now).await.unwrap();
    let state = database.open(2).await.into_state(unlimited());
    let (start, key) = (Duration::from_hours(1), LimitKey::Account(account_id(1)));
    state.keyring_tries.take_many(&TRIES, key, 3, start).await.unwrap_err();
    state.keyring_tries.take_many(&TRIES, key, 2, start).await.unwrap();
    let refused = state.keyring_tries.take(&TRIES, key, start).await;
    let retry_after = Duration::from_mins(15);
    assert_eq!(refused, Err(NotAdmitted::TooMany { retry_after }));
    // What is given back is not more than there was at the start.
    state.keyring_tries.give_back_many(&TRIES, key, 4).await;
    state.keyring_tries.take_many(&TRIES, key, 3, start).await.unwrap_err();
    state.rate_limiter.take_many(&TRIES, LimitKey::Account(account_id(2)), 4, start).await.unwrap();
}

#[tokio::test]
async fn no_row_tells_an_address() {
    let database = Database::fresh().await;
    let state = database.open(2).await.into_state(unlimited());
    let now = Duration::from_hours(1);
    state.rate_limiter.take(&TRIES, client(), now).await.unwrap();
    state.window_limiter.enter(client(), now).await.unwrap();
    let postgres = database.client().await;
    for table in ["limits", "windows"] {
        let select = format!("SELECT key FROM countersign_state_1.{table}");
        let key: Vec<u8> = postgres.query_one(&select, &[]).await.unwrap().get(0);
        assert_eq!(key.len(), 16);
    }
}

#[tokio::test]
async fn who_goes_while_the_database_is_asked_holds_no_place() {
    let database = Database::fresh().await;
    let limiter = database.open(2).await.into_state(unlimited()).window_limiter;
    let start = Duration::from_hours(1);
    for round in 0..30 {
        let mut entering = limiter.enter(client(), start + Duration::from_secs(2) * round);
        // It is sent, and the client goes.
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(entering.as_mut().poll(context).is_pending());
        drop(entering);
        let client = database.client().await;
        let select = "SELECT count(*) FROM countersign_state_1.windows
            WHERE under_way = 0 AND changed_at = $1";
        let changed_at =
            i64::try_from((start + Duration::from_secs(2) * round).as_nanos()).unwrap();
        let is_free = async {
            while client.query_one(select, &[&changed_at]).await.unwrap().get::<_, i64>(0) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), is_free).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_waits_long_for_a_lock_of_somebody_else() {
    let database = Database::fresh().await;
    let state = database.open(2).await.into_state(unlimited());
    let (postgres, now) = (database.client().await, Duration::from_hours(1));
    state.rate_limiter.take(&TRIES, client(), now).await.unwrap();
    postgres
        .batch_execute("BEGIN; SELECT * FROM countersign_state_1.limits FOR UPDATE")
        .await
        .unwrap();
    // An answer could take much longer than this.
    let refused = timeout(Duration::from_secs(10), state.rate_limiter.take(&TRIES, client(), now));
    assert_eq!(refused.await.unwrap(), Err(NotAdmitted::Unavailable));
    postgres.batch_execute("ROLLBACK").await.unwrap();
    state.rate_limiter.take(&TRIES, client(), now).await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_the_time_of_a_clock_that_was_set_back() {
    let database = Database::fresh().await;
    let state = database.open(2).await.into_state(unlimited());
    let (now, ahead) = (Duration::from_hours(2), Duration::from_hours(3));
    state.rate_limiter.take_many(&TRIES, client(), 4, ahead).await.unwrap();
    // One, and then as after all of an allowance.
    state.rate_limiter.take(&TRIES, client(), now).await.unwrap();
    let retry_after = Duration::from_mins(15);
    let refused = state.rate_limiter.take(&TRIES, client(), now).await;
    assert_eq!(refused, Err(NotAdmitted::TooMany { retry_after }));
    state.rate_limiter.take(&TRIES, client(), now + retry_after).await.unwrap();
    // Nobody gets more tries at a keyring by that.
    let key = LimitKey::Account(account_id(1));
    state.keyring_tries.take_many(&TRIES, key, 4, ahead).await.unwrap();
    state.keyring_tries.take(&TRIES, key, now).await.unwrap_err();
    for moment in [ahead, now] {
        for _ in 0..10 {
            state.window_limiter.enter(client(), moment).await.unwrap();
            state.window_limiter.answered(client(), moment).await;
        }
        state.window_limiter.enter(client(), moment).await.unwrap_err();
    }
}
