//! Resources that require a login of some class, or a recent one (RFC 9470).

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use countersign_guard::{
    GuardLayer, InsufficientLogin, LoginLack, LoginRequirements, Refusal, Refused, Requirements,
};
use countersign_protocol::{AuthenticationClass, AuthenticationContext, PasskeyStorage, UnixTime};
use countersign_testkit::{keys::ed25519, samples::NOW};
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{Client, World, client_key};

const PHR: AuthenticationClass = AuthenticationClass::PhishingResistant;
const MINUTE: Duration = Duration::from_mins(1);
const ALGS: &str = "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\"";

fn client(login: Option<AuthenticationContext>) -> Client {
    Client::with_claims(client_key(), |claims| claims.authentication = login)
}

fn with_key(at: UnixTime) -> Client {
    client(Some(AuthenticationContext::by_key(at)))
}

fn with_passkey(at: UnixTime) -> Client {
    client(Some(AuthenticationContext::by_passkey(at, PasskeyStorage::Synced)))
}

async fn answer(layer: &GuardLayer, parts: Parts) -> Response<String> {
    let service = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new("reached".to_owned()))
    });
    layer.layer(service).oneshot(Request::from_parts(parts, Full::default())).await.unwrap()
}

/// Fails unless the answer is a challenge that ends like this.
fn is_challenged(response: &Response<String>, description: &str, parameters: &str) {
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let fields: Vec<_> = response.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
    let expected = format!(
        "{ALGS}, error=\"insufficient_user_authentication\", \
         error_description=\"{description}\", {parameters}"
    );
    assert_eq!(fields, [expected.as_str()]);
}

#[tokio::test]
async fn a_class_can_be_required() {
    let world = World::new();
    let layer = GuardLayer::new(world.guard.clone()).require_acr(PHR);
    let response = answer(&layer, with_passkey(NOW).request(&world)).await;
    assert_eq!(response.status(), StatusCode::OK);
    for login in [AuthenticationContext::by_key(NOW), AuthenticationContext::by_password(NOW)] {
        let response = answer(&layer, client(Some(login)).request(&world)).await;
        let lack = "the token is not from a login with a passkey (acr phr): log in with a passkey";
        is_challenged(&response, lack, "acr_values=\"phr\"");
        let body: Value = serde_json::from_str(response.body()).unwrap();
        assert!(body["type"].as_str().unwrap().ends_with("/insufficient-login"), "{body}");
        assert_eq!((&body["status"], &body["detail"]), (&401.into(), &lack.into()));
        assert_eq!((&body["acr_values"], body.get("max_age")), (&"phr".into(), None));
        assert_eq!(
            response.extensions().get::<Refused>().unwrap().refusal.reason(),
            "insufficient-login"
        );
    }
}

#[tokio::test]
async fn a_token_grows_too_old_for_a_resource_before_it_expires() {
    let world = World::new();
    let layer = GuardLayer::new(world.guard.clone()).max_age(MINUTE);
    let client = with_key(NOW);
    assert_eq!(answer(&layer, client.request(&world)).await.status(), StatusCode::OK);
    world.clock.advance(MINUTE + Duration::from_secs(5));
    assert_eq!(answer(&layer, client.request(&world)).await.status(), StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    let response = answer(&layer, client.request(&world)).await;
    let lack = "the login was 66 s ago, and may be at most 60 s ago: log in again";
    is_challenged(&response, lack, "max_age=\"60\"");
    let body: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!((&body["max_age"], body.get("acr_values")), (&60.into(), None));
    world.accepts(&client.request(&world)).await;
}

#[tokio::test]
async fn a_token_of_an_earlier_login_is_as_old_as_the_login() {
    let world = World::new();
    let layer = GuardLayer::new(world.guard.clone()).max_age(MINUTE);
    let client = with_passkey(NOW - 10 * MINUTE);
    let response = answer(&layer, client.request(&world)).await;
    let lack = "the login was 600 s ago, and may be at most 60 s ago: log in again";
    is_challenged(&response, lack, "max_age=\"60\"");
}

#[tokio::test]
async fn a_login_from_the_future_is_not_recent() {
    let world = World::new();
    let layer = GuardLayer::new(world.guard.clone()).max_age(MINUTE);
    let ahead = |seconds| with_key(NOW + Duration::from_secs(seconds)).request(&world);
    assert_eq!(answer(&layer, ahead(5)).await.status(), StatusCode::OK);
    let response = answer(&layer, ahead(6)).await;
    let lack = "the login is 6 s ahead of this server's clock: log in again";
    is_challenged(&response, lack, "max_age=\"60\"");
}

#[tokio::test]
async fn a_challenge_names_all_that_guard_and_route_require() {
    let world = World::with_policy(|policy| {
        policy.login = LoginRequirements { acr: None, max_age: Some(2 * MINUTE) };
    });
    let everywhere = GuardLayer::new(world.guard.clone());
    let here = everywhere.clone().require_acr(PHR).max_age(4 * MINUTE);
    let strictest = everywhere.clone().require(Requirements::none().acr(PHR).max_age(MINUTE));

    let client = with_key(NOW);
    assert_eq!(answer(&everywhere, client.request(&world)).await.status(), StatusCode::OK);
    for (layer, seconds) in [(here, 120), (strictest, 60)] {
        let response = answer(&layer, client.request(&world)).await;
        let lack = "the token is not from a login with a passkey (acr phr): log in with a passkey";
        is_challenged(&response, lack, &format!("acr_values=\"phr\", max_age=\"{seconds}\""));
    }
    world.clock.advance(3 * MINUTE);
    let refused = world.verify(&client.request(&world)).await.unwrap_err();
    let lack = LoginLack::Old { age: 3 * MINUTE, max_age: 2 * MINUTE };
    let required = LoginRequirements { acr: None, max_age: Some(2 * MINUTE) };
    assert_eq!(refused, Refusal::InsufficientLogin(InsufficientLogin { required, lack }));
}

#[tokio::test]
async fn a_token_that_names_no_login_is_refused_where_one_is_required() {
    let world = World::new();
    let client = client(None);
    world.accepts(&client.request(&world)).await;
    for required in [Requirements::none().acr(PHR), Requirements::none().max_age(MINUTE)] {
        let layer = GuardLayer::new(world.guard.clone()).require(required);
        let response = answer(&layer, client.request(&world)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_missing_scope_is_told_first_because_no_login_would_help() {
    let world = World::new();
    let layer = GuardLayer::new(world.guard.clone())
        .require_acr(PHR)
        .require_scopes("admin".parse().unwrap());
    let response = answer(&layer, with_key(NOW).request(&world)).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_proof_is_not_used_up_where_the_login_is_insufficient() {
    let (world, client) = (World::new(), with_key(NOW));
    let layer = GuardLayer::new(world.guard.clone());
    let proof = client.altered_proof(&world, |_| ());
    let response = answer(&layer.clone().require_acr(PHR), client.request_with(&proof)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.replay_log.asked(), 0);
    assert_eq!(answer(&layer, client.request_with(&proof)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_login_is_required_only_the_owner_of_the_token_learns() {
    let (world, client) = (World::new(), with_key(NOW));
    let layer = GuardLayer::new(world.guard.clone()).require_acr(PHR);
    let thief = Client::with_token(ed25519(66), client.token.clone());
    let response = answer(&layer, thief.request(&world)).await;
    assert!(!format!("{:?}", response.headers()).contains("phr"));
}

#[tokio::test]
async fn a_principal_may_be_asked_for_another_login_later() {
    let world = World::new();
    let principal = world.accepts(&with_passkey(NOW).request(&world)).await;
    let required = Requirements::scopes("read".parse().unwrap()).acr(PHR).max_age(MINUTE);
    assert!(world.guard.permit(&principal, &required).is_ok());
    world.clock.advance(2 * MINUTE);
    let refused = world.guard.permit(&principal, &required).unwrap_err();
    assert!(matches!(refused.refusal, Refusal::InsufficientLogin(_)));
    assert_eq!(refused.signer.unwrap().account_id, principal.account_id);
}
