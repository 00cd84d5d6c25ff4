//! The issuer's signing keys come, go, and are not asked for without end.

use std::time::Duration;

use countersign_testkit::keys::ed25519;

use super::{caller::Caller, *};

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let world = World::new().await;
    let caller = Caller::by(&world, &ed25519(7));
    world.clock.advance(Duration::from_secs(5));
    world.issuer.state.published.lock().push(ed25519(7).public_key().clone());
    world.verify(&caller.request(&world)).await.unwrap();
}

#[tokio::test]
async fn a_new_key_is_awaited_and_not_refused_when_another_was_looked_up_just_before() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(5));
    let strangers = Caller::by(&world, &ed25519(100));
    assert_eq!(world.verify(&strangers.request(&world)).await, Err(Refusal::UnknownSigningKey));
    world.issuer.state.published.lock().push(ed25519(7).public_key().clone());
    let caller = Caller::by(&world, &ed25519(7));
    let early = world.verify(&caller.request(&world)).await.unwrap_err();
    assert_eq!(early.challenge().status, 503, "{early:?}");
    world.clock.advance(Duration::from_secs(5));
    world.verify(&caller.request(&world)).await.unwrap();
}

#[tokio::test]
async fn tokens_that_name_unknown_keys_do_not_make_the_issuer_busy() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(5));
    let before = world.issuer.asked("jwks");
    for number in 100..120 {
        let caller = Caller::by(&world, &ed25519(number));
        match world.verify(&caller.request(&world)).await {
            Err(Refusal::UnknownSigningKey) => assert_eq!(number, 100, "it was looked up"),
            // It may have been made since the last look: nobody knows that it is wrong.
            Err(Refusal::Unavailable(_)) => assert!(number > 100),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.issuer.asked("jwks"), before + 1);
}

#[tokio::test]
async fn keys_are_fetched_again_before_their_time_is_over() {
    let world = World::new().await;
    let before = world.issuer.asked("jwks");
    world.clock.advance(Duration::from_secs(29));
    world.refresh().await.unwrap();
    assert_eq!(world.issuer.asked("jwks"), before);
    world.clock.advance(Duration::from_secs(1));
    world.refresh().await.unwrap();
    assert_eq!(world.issuer.asked("jwks"), before + 1, "half of the answer's max-age");
}

#[tokio::test]
async fn a_token_by_a_key_that_was_withdrawn_is_refused_although_it_verified_before() {
    let world = World::new().await;
    let caller = Caller::by(&world, &ed25519(7));
    world.clock.advance(Duration::from_secs(5));
    world.issuer.state.published.lock().push(ed25519(7).public_key().clone());
    world.verify(&caller.request(&world)).await.unwrap();
    world.issuer.state.published.lock().pop();
    world.clock.advance(Duration::from_mins(1));
    world.refresh().await.unwrap();
    let refused = world.verify(&caller.request(&world)).await;
    assert_eq!(refused, Err(Refusal::UnknownSigningKey));
}
