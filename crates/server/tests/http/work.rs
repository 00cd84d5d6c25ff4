//! What one request may cost, however many keys, and of whatever size, it must be compared with.

use std::time::Duration;

use countersign_authority::{
    model::{credential::Credential, policy::Policy},
    ports::NewAccount,
};
use countersign_protocol::keys::{KeyPolicy, PublicKey};
use countersign_server::Dialects;
use countersign_testkit::samples;
use serde_json::json;

use crate::support::{Setup, TestApp, TestKey};

const SECOND: Duration = Duration::from_secs(1);

/// Alice, with so many keys more than the one with which she logged in last; each was added a
/// second after the one before.
async fn alice_with(more: u64, change: impl FnOnce(&mut Policy)) -> TestApp {
    let app = TestApp::start_with(|setup: &mut Setup| {
        setup.settings.dialects = Dialects::default();
        setup.policy.max_keys_per_account = 100;
        change(&mut setup.policy);
    });
    let app = app.await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for number in 2..=more + 1 {
        app.advance(SECOND);
        app.key_addition(&key, &token, &TestKey::number(number)).send().await.is(201);
    }
    app
}

async fn self_signed(app: &TestApp, key: &TestKey, kid: Option<String>) -> u16 {
    let now = app.now().as_secs();
    let jwt = key.jwt().claim("sub", json!("alice")).claim("exp", json!(now + 60));
    let jwt = jwt.claim("iat", json!(now)).claim("jti", json!(format!("{now}{kid:?}")));
    let jwt = kid.into_iter().fold(jwt, |jwt, kid| jwt.header("kid", kid)).sign();
    let call = app.call("GET", "/v1/whoami").header("authorization", format!("Bearer {jwt}"));
    call.send().await.status
}

#[tokio::test]
async fn without_kid_sixteen_keys_are_tried_those_that_were_used_last_first() {
    let app = alice_with(20, |_| {}).await;
    let (oldest, newest) = (TestKey::number(2), TestKey::number(21));
    assert_eq!(self_signed(&app, &newest, None).await, 200);
    assert_eq!(self_signed(&app, &oldest, None).await, 401, "it is the seventeenth or later");
    assert_eq!(self_signed(&app, &oldest, Some(oldest.thumbprint())).await, 200);
    app.advance(SECOND);
    assert_eq!(self_signed(&app, &oldest, None).await, 200, "it was used last");
}

#[tokio::test]
async fn verifications_count_against_the_allowance_for_logins() {
    let app = alice_with(15, |policy| {
        policy.limits.as_mut().unwrap().logins.burst = 40;
    });
    let app = app.await;
    app.advance(Duration::from_mins(10));
    let stranger = TestKey::number(99);
    let call = async || app.introspect("alice", &stranger, "token").await.status;
    assert_eq!((call().await, call().await), (401, 401), "sixteen each");
    assert_eq!(call().await, 429);
}

#[tokio::test]
async fn a_stored_key_that_is_too_large_is_listed_and_signs_nothing() {
    let mut app = TestApp::start_with(|setup| setup.settings.dialects = Dialects::default()).await;
    let mut modulus = vec![0xff; 1024];
    modulus[1023] = 0xfd;
    let jwk = json!({
        "kty": "RSA", "e": "AQAB", "n": countersign_protocol::strict::base64url::encode(&modulus),
    });
    let large = PublicKey::from_jwk(jwk.as_object().unwrap(), &KeyPolicy::ANY).unwrap();
    let new = samples::new_account(7, "alice");
    let credential = Credential { public_key: large.clone(), ..new.credential.clone() };
    let new = NewAccount { credential, ..new };
    app.ports().store.create_account(new).await.unwrap();
    app.restart().await;

    let listed = app.admin().keys(&"alice".parse().unwrap()).await.unwrap();
    assert_eq!(listed.len(), 1);
    let published = app.call("GET", "/v1/accounts/alice/jwks.json").send().await.is(200).json();
    assert_eq!(published["keys"], json!([]));
    let kid = large.thumbprint().to_string();
    let assertion = app.assertion("alice", &TestKey::number(1)).header("kid", kid).sign();
    let call = app.call("POST", "/oauth/introspect").param("token", "x");
    let call = call
        .param("client_assertion", &assertion)
        .param("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let refused = call.send().await;
    refused.is_oauth_error(401, "invalid_client");
    assert!(refused.body.contains("8192 bits; at most 4096"), "{}", refused.body);

    let larger = app.registration("bob", &TestKey::number(2));
    let larger = larger.json(&json!({ "username": "bob", "public_key": jwk })).send().await;
    larger.is_problem(400, "invalid-key");
}
