//! When something that is needed to decide is away, the guard refuses. It never falls open.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use countersign_guard::Refusal;
use http::StatusCode;

use crate::world::{Client, World};

/// Fails unless the guard refuses with that cause while a port is away, and recovers.
async fn refuses_while_away(world: &World, client: &Client, away: &AtomicBool, cause: &str) {
    away.store(true, SeqCst);
    let request = client.request(world);
    let refusal = world.verify(&request).await.unwrap_err();
    assert_eq!(refusal, Refusal::Unavailable(cause.to_owned()));
    let challenge = refusal.challenge();
    assert_eq!((challenge.status, challenge.error), (StatusCode::SERVICE_UNAVAILABLE, None));
    assert_eq!(refusal.www_authenticate(), None, "other credentials would not help");
    assert!(!refusal.to_string().contains("fire"), "the cause stays inside");
    away.store(false, SeqCst);
    world.accepts(&request).await;
}

#[tokio::test]
async fn without_the_issuers_keys_no_new_token_is_accepted() {
    let (world, client) = (World::new(), Client::new());
    let away = &world.issuer_keys.away;
    refuses_while_away(&world, &client, away, "the key server has caught fire").await;
}

#[tokio::test]
async fn without_the_issuers_keys_a_known_token_is_still_accepted() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.issuer_keys.away.store(true, SeqCst);
    world.accepts(&client.request(&world)).await;
}

#[tokio::test]
async fn without_standing_neither_a_new_nor_a_known_token_is_accepted() {
    let (world, client) = (World::new(), Client::new());
    for _ in 0..2 {
        let away = &world.standing.away;
        refuses_while_away(&world, &client, away, "the database has caught fire").await;
    }
    assert_eq!(world.issuer_keys.asked(), 1, "the token was known the second time");
}

#[tokio::test]
async fn without_the_replay_log_nothing_is_accepted() {
    let (world, client) = (World::new(), Client::new());
    for _ in 0..2 {
        let away = &world.replay_log.away;
        refuses_while_away(&world, &client, away, "the replay log cannot record: it is away").await;
    }
}

#[tokio::test]
async fn an_outage_does_not_hide_that_a_token_is_bad() {
    let world = World::new();
    world.standing.away.store(true, SeqCst);
    world.replay_log.away.store(true, SeqCst);
    let expired = Client::with_claims(crate::world::client_key(), |claims| {
        claims.expires_at = claims.issued_at - std::time::Duration::from_mins(1);
    });
    let refusal = world.verify(&expired.request(&world)).await.unwrap_err();
    assert_eq!(refusal.challenge().status, StatusCode::UNAUTHORIZED);
}
