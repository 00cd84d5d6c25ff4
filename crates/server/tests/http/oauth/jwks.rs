//! `GET /.well-known/jwks.json`: the server's public signing keys.

use std::time::Duration;

use countersign_protocol::keys::{Algorithm, KeyPolicy, PublicKey};
use countersign_protocol::strict::base64url;
use serde_json::Value;

use crate::support::{Jwt, TestApp, TestKey};

const PATH: &str = "/.well-known/jwks.json";

async fn published(app: &TestApp) -> Vec<Value> {
    app.call("GET", PATH).send().await.is(200).json()["keys"].as_array().unwrap().clone()
}

fn kids(keys: &[Value]) -> Vec<&str> {
    keys.iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_keys_are_public_and_may_be_cached() {
    let app = TestApp::start().await;
    let answer = app.call("GET", PATH).send().await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = published(&app).await;
    assert_eq!(keys.len(), 1);
    let mut members: Vec<_> = keys[0].as_object().unwrap().keys().cloned().collect();
    members.sort();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"], "no private member");
    assert_eq!((&keys[0]["use"], &keys[0]["alg"]), (&"sig".into(), &"ES256".into()));
}

#[tokio::test]
async fn who_has_the_keys_already_does_not_get_them_again() {
    let app = TestApp::start().await;
    let tag = app.call("GET", PATH).send().await.is(200).header("etag").to_owned();
    let again = async |tags: &str| app.call("GET", PATH).header("if-none-match", tags).send().await;
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = again(&known).await;
        answer.is(304);
        assert_eq!((answer.header("etag"), answer.body.len()), (tag.as_str(), 0), "{known}");
    }
    again("\"other\"").await.is(200);

    let keys = app.authority().core.signing_keys();
    keys.rotate(true, app.now(), &*app.ports().random).await.unwrap();
    let answer = again(&tag).await;
    assert_ne!(answer.is(200).header("etag"), tag);
}

#[tokio::test]
async fn a_published_key_verifies_the_tokens_that_name_it() {
    for algorithm in Algorithm::ALL {
        let app =
            TestApp::start_with(|setup| setup.policy.signing_keys.algorithm = algorithm).await;
        let token = app.enrol("alice", &TestKey::number(1)).await;
        let kid = Jwt::header_of(&token)["kid"].clone();
        let keys = published(&app).await;
        let jwk = keys.iter().find(|key| key["kid"] == kid).unwrap();
        let key = PublicKey::from_jwk(jwk.as_object().unwrap(), &KeyPolicy::default()).unwrap();
        assert_eq!(key.thumbprint().to_string(), kid);
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        key.verify(algorithm, input.as_bytes(), &signature).unwrap();
    }
}

#[tokio::test]
async fn a_successor_is_published_before_it_signs_and_the_old_key_stays_after() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let day = Duration::from_hours(24);
    let signed_by = async || Jwt::header_of(&app.login("alice", &key).await)["kid"].clone();
    let first = published(&app).await;
    let signs = async |index: usize, keys: &[Value]| {
        assert_eq!(signed_by().await, keys[index]["kid"]);
    };

    app.advance(Duration::from_secs(29 * 86_400 - 1));
    app.maintain().await;
    assert_eq!(published(&app).await.len(), 1);
    app.advance(Duration::from_secs(1));
    app.maintain().await;
    let both = published(&app).await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    signs(0, &both).await;

    app.advance(day);
    signs(1, &both).await;
    assert_eq!(kids(&published(&app).await), kids(&both), "what the old key signed still verifies");
    app.advance(day);
    assert_eq!(kids(&published(&app).await), kids(&both[1..]));
    app.maintain().await;
    assert_eq!(kids(&published(&app).await), kids(&both[1..]));
}

#[tokio::test]
async fn the_set_is_not_empty_after_a_long_sleep() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let before = published(&app).await;
    app.advance(Duration::from_hours(24 * 365));
    app.restart().await;
    let after = published(&app).await;
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    app.login("alice", &key).await;
}

#[tokio::test]
async fn a_restart_keeps_the_keys() {
    let mut app = TestApp::start().await;
    let before = published(&app).await;
    app.restart().await;
    assert_eq!(published(&app).await, before);
}
