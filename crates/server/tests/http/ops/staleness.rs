//! A server that does not hear what others change says of nobody that he still counts, and says why.

use std::{sync::Arc, time::Duration};

use countersign_protocol::{keys::Algorithm, proofs::target_uri::TargetUri, strict::base64};
use countersign_server::TrustedProxies;
use countersign_testkit::{keys::ed25519, samples::scopes};
use serde_json::{Value, json};

use crate::support::{Answer, CAUSE, Call, Fault, Faults, TestApp, TestKey};

const API: &str = "https://api.example";
const PROXY: &str = "10.0.0.1";

/// A server that speaks *signjwt* and protects an API.
async fn server() -> (TestApp, Faults) {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| {
        setup.faults = Some(faults.clone());
        setup.settings.dialects.signjwt = true;
        setup.settings.protected_origins = vec![TargetUri::parse(API).unwrap()];
        setup.settings.proxies = Arc::new(TrustedProxies::parse(&[PROXY]).unwrap());
        setup.policy.tokens.resources = vec![API.to_owned()];
        setup.policy.default_scopes = scopes("introspect");
    })
    .await;
    (app, faults)
}

/// What a proxy asks about a request that is all right.
fn question(app: &TestApp, key: &TestKey, token: &str) -> Call {
    let proof =
        app.resource_proof(key, token, "GET", "/").claim("htu", "https://api.example/items");
    let question = app.presenting(token, &proof.sign(), "GET", "/forward-auth").peer(PROXY);
    question
        .header("x-original-method", "GET")
        .header("x-original-url", "https://api.example/items")
}

/// A signed message in a session of Bob.
async fn signed_message(app: &TestApp) -> Call {
    let session = app.call("POST", "/login").json(&json!({ "user_id": "bob" })).send().await;
    let (jwt, nonce) = (session.text("jwt"), session.text("nonce"));
    let signature = ed25519(2).sign(Algorithm::EdDsa, format!("{nonce}{jwt}").as_bytes()).unwrap();
    let message: Value = json!({ "jwt": jwt, "signed_message": base64::encode(&signature) });
    app.call("POST", "/protected").json(&message)
}

fn says_why(answer: &Answer) {
    assert_eq!(answer.is(503).header("retry-after"), "1");
    assert!(answer.body.contains("has not heard for too long what was revoked"), "{answer:?}");
    assert!(!answer.body.contains(CAUSE), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_hears_nothing_lets_nobody_in_and_says_why() {
    let (app, faults) = server().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let for_api = app.login_request("alice", &key).param("resource", API).send().await;
    let for_api = for_api.text("access_token");
    let pem = ed25519(2).public_key().to_spki_pem();
    let registration = json!({ "user_id": "bob", "public_key": pem });
    app.call("POST", "/register").json(&registration).send().await.is(200);
    signed_message(&app).await.send().await.is(200);

    faults.set(Fault::Deaf);
    app.advance(Duration::from_secs(9));
    app.whoami(&key, &token).await.is(200);
    app.advance(Duration::from_secs(1));
    let answer = app.whoami(&key, &token).await;
    answer.is_problem(503, "unavailable");
    answer.has_no("www-authenticate");
    says_why(&answer);
    says_why(&question(&app, &key, &for_api).send().await);
    says_why(&app.login_request("alice", &key).send().await);
    says_why(&app.introspect("alice", &key, &token).await);
    says_why(&signed_message(&app).await.send().await);
    says_why(&app.call("GET", "/readyz").send().await);
    app.call("GET", "/healthz").send().await.is(200);
    app.call("GET", "/.well-known/jwks.json").send().await.is(200);

    faults.clear();
    app.notice_changes().await;
    app.whoami(&key, &token).await.is(200);
    question(&app, &key, &for_api).send().await.is(200);
    app.call("GET", "/readyz").send().await.is(200);
}

#[tokio::test]
async fn a_server_that_was_paused_refuses_nobody() {
    let (app, _) = server().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.advance(Duration::from_mins(10));
    app.whoami(&key, &token).await.is(200);
}
