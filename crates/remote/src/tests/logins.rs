//! Services that require a login of some class, or a recent one (RFC 9470).

use std::time::Duration;

use countersign_guard::{LoginLack, Refusal};
use countersign_protocol::{AuthenticationClass, AuthenticationContext, PasskeyStorage};
use countersign_testkit::samples::NOW;

use super::{ORIGIN, World, caller::Caller};
use crate::{NotStarted, ResourceServer};

const PHR: AuthenticationClass = AuthenticationClass::PhishingResistant;
const MAX_AGE: Duration = Duration::from_mins(5);

/// What the login lacks with which the caller asks.
async fn lack(world: &World, caller: &Caller) -> Option<LoginLack> {
    match world.verify(&caller.request(world)).await {
        Ok(_) => None,
        Err(Refusal::InsufficientLogin(error)) => Some(error.lack),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_service_may_require_a_recent_login_with_a_passkey() {
    let world = World::with(|server| server.require_acr(PHR).max_age(MAX_AGE)).await;
    let key = Caller::new(&world);
    let login = AuthenticationContext::by_passkey(NOW, PasskeyStorage::OneDevice);
    let passkey = Caller::logged_in(&world, login);
    assert_eq!(lack(&world, &key).await, Some(LoginLack::Class(PHR)));
    assert_eq!(lack(&world, &passkey).await, None);
    let principal = world.verify(&passkey.request(&world)).await.unwrap();
    assert_eq!(principal.authentication, Some(login));

    world.clock.advance(MAX_AGE + Duration::from_secs(6));
    world.refresh().await.unwrap();
    let age = MAX_AGE + Duration::from_secs(6);
    let old = LoginLack::Old { age, max_age: MAX_AGE };
    assert_eq!(lack(&world, &passkey).await, Some(old));
}

#[tokio::test]
async fn the_skew_of_the_service_counts() {
    let minute = Duration::from_mins(1);
    let world = World::with(|server| server.max_age(MAX_AGE).skew(minute)).await;
    let caller = |age| Caller::logged_in(&world, AuthenticationContext::by_key(NOW - age));
    assert_eq!(lack(&world, &caller(MAX_AGE + minute)).await, None);
    let age = MAX_AGE + minute + Duration::from_secs(1);
    let old = LoginLack::Old { age, max_age: MAX_AGE };
    assert_eq!(lack(&world, &caller(age)).await, Some(old));
}

#[tokio::test]
async fn no_service_starts_that_requires_a_login_which_no_proof_could_name() {
    let server = || {
        let server = ResourceServer::new("https://auth.example", ORIGIN).unwrap();
        server.accept_dpop(false).accept_signed_messages()
    };
    for server in [server().require_acr(PHR), server().max_age(MAX_AGE)] {
        assert!(matches!(server.start(), Err(NotStarted::NoLogins)));
    }
    assert!(server().start().is_ok());
}
