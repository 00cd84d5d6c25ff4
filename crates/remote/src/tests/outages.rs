//! The issuer is away: the service goes on for as long as it may, and fails closed after that.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use axum::http::StatusCode;
use countersign_testkit::keys::ed25519;

use super::{caller::Caller, *};
use crate::NotStarted;

fn is_unavailable(verdict: &Result<Principal, Refusal>) -> bool {
    matches!(verdict, Err(Refusal::Unavailable(_)))
}

#[tokio::test]
async fn the_service_goes_on_while_the_issuer_is_away_but_not_for_ever() {
    let world = World::new().await;
    let caller = Caller::new(&world);
    world.issuer.set_away(true);
    world.verify(&caller.request(&world)).await.unwrap();
    world.clock.advance(Duration::from_mins(15));
    assert!(world.refresh().await.is_err());
    world.verify(&caller.request(&world)).await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    assert!(is_unavailable(&world.verify(&caller.request(&world)).await));

    world.issuer.set_away(false);
    world.refresh().await.unwrap();
    world.verify(&caller.request(&world)).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_answers_without_a_list_gets_no_grace() {
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let world = World::new().await;
        let caller = Caller::new(&world);
        *world.issuer.state.refusing.lock() = Some(status);
        world.clock.advance(Duration::from_secs(10));
        assert!(world.refresh().await.is_err());
        world.verify(&caller.request(&world)).await.unwrap();
        world.clock.advance(Duration::from_millis(1));
        assert!(is_unavailable(&world.verify(&caller.request(&world)).await), "{status}");
        // Nor does one that answered so and is away then.
        world.issuer.set_away(true);
        assert!(world.refresh().await.is_err());
        assert!(is_unavailable(&world.verify(&caller.request(&world)).await), "{status}");

        world.issuer.set_away(false);
        *world.issuer.state.refusing.lock() = None;
        world.refresh().await.unwrap();
        world.verify(&caller.request(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_grace_nothing_is_accepted_once_the_lag_is_over() {
    let world = World::with(|server| server.outage(Duration::ZERO)).await;
    let caller = Caller::new(&world);
    world.issuer.set_away(true);
    world.clock.advance(Duration::from_secs(10));
    world.verify(&caller.request(&world)).await.unwrap();
    world.clock.advance(Duration::from_millis(1));
    assert!(is_unavailable(&world.verify(&caller.request(&world)).await));
}

#[tokio::test]
async fn nothing_is_accepted_before_the_issuer_was_ever_reached() {
    let issuer = FakeIssuer::start().await;
    issuer.set_away(true);
    let world = World::over(issuer, |server| server);
    assert!(world.remote.ready().await.is_err());
    let caller = Caller::new(&world);
    assert!(is_unavailable(&world.verify(&caller.request(&world)).await));
}

#[tokio::test]
async fn introspection_decides_where_the_feed_is_too_old() {
    let strict =
        |server: ResourceServer| server.outage(Duration::ZERO).introspect_with("api", ed25519(5));
    let world = World::with(strict).await;
    let caller = Caller::new(&world);
    world.verify(&caller.request(&world)).await.unwrap();
    assert_eq!(world.issuer.asked("introspect"), 0, "the feed is fresh");

    // From now on somebody else signs the feed; the issuer itself still answers.
    world.issuer.state.list_by.lock().0 = 9;
    world.clock.advance(Duration::from_secs(11));
    world.verify(&caller.request(&world)).await.unwrap();
    world.verify(&caller.request(&world)).await.unwrap();
    assert_eq!(world.issuer.asked("introspect"), 1, "a good answer counts for the lag");
    world.issuer.state.active.store(false, SeqCst);
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.verify(&caller.request(&world)).await, Err(Refusal::Revoked));
    world.issuer.set_away(true);
    assert!(is_unavailable(&world.verify(&caller.request(&world)).await));
}

#[tokio::test]
async fn the_upkeep_ends_with_the_last_guard() {
    let world = World::new().await;
    let fresh = world.remote.fresh();
    let layer = world.remote.layer();
    drop(world.remote);
    assert!(fresh.upgrade().is_some(), "the layer still needs it");
    drop(layer);
    // The upkeep itself may hold it for the moment in which it asks.
    while fresh.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn outside_of_a_runtime_or_without_an_origin_there_is_no_guard() {
    let server = ResourceServer::new("https://auth.example", ORIGIN).unwrap();
    assert!(matches!(server.start(), Err(NotStarted::NoRuntime)));
    for bad in ["api.example", "https://api.example/path", "ftp://api.example", ""] {
        let refused = ResourceServer::new("https://auth.example", bad);
        assert!(matches!(refused, Err(NotStarted::Origin(_))), "{bad}");
    }
}
