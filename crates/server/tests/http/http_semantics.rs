//! What the RFCs on HTTP and OAuth say about fields, types and texts, whatever the endpoint.

use std::time::Duration;

use countersign_server::Dialects;
use http::HeaderValue;
use serde_json::json;

use crate::support::{Fault, Faults, TestApp, TestKey};

/// An application that speaks every dialect.
async fn speaking() -> TestApp {
    TestApp::start_with(|setup| setup.settings.dialects = Dialects::default()).await
}

#[tokio::test]
async fn a_problem_that_demands_a_nonce_says_so_in_the_words_of_rfc_9449() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let stale = |key: &TestKey, path| {
        app.proof(key, "POST", path).claim("nonce", "of another server").sign()
    };
    let proof = stale(&key, "/v1/accounts");
    let registration = app.registration("bob", &key).without_header("dpop").dpop(&proof);
    let answer = registration.send().await;
    answer.is_problem(400, "nonce-required");
    assert_eq!(answer.json()["error"], "use_dpop_nonce");
    assert!(!answer.header("dpop-nonce").is_empty());
    let login =
        app.token_request(&app.assertion("alice", &key).sign(), &stale(&key, "/oauth/token"));
    let answer = login.send().await;
    assert_eq!(answer.is(400).json()["error"], "use_dpop_nonce");
    let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami");
    let proof = proof.claim("nonce", "of another server").sign();
    let answer = app.presenting(&token, &proof, "GET", "/v1/whoami").send().await;
    assert!(answer.is(401).header("www-authenticate").contains("error=\"use_dpop_nonce\""));
}

#[tokio::test]
async fn no_bearer_challenge_is_bare() {
    let app = speaking().await;
    let calls = [
        app.call("POST", "/logout"),
        app.call("GET", "/v1/whoami"),
        app.call("POST", "/oauth/introspect").param("token", "x"),
    ];
    for call in calls {
        let answer = call.send().await;
        let challenges = answer.is(401).headers.get_all("www-authenticate").iter();
        let challenges: Vec<_> = challenges.map(|field| field.to_str().unwrap()).collect();
        let bearer = challenges.iter().find(|field| field.starts_with("Bearer")).unwrap();
        let parameter = ["Bearer realm=\"countersign\"", "Bearer algs="];
        assert!(parameter.iter().any(|start| bearer.starts_with(start)), "{challenges:?}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_and_not_read_as_if_it_were_plain() {
    let app = speaking().await;
    let key = TestKey::number(1);
    app.enrol("alice", &key).await;
    let calls = [
        app.login_request("alice", &key),
        app.registration("bob", &TestKey::number(2)),
        app.call("POST", "/register").json(&json!({ "username": "bob", "email": "b@example.com" })),
    ];
    for call in calls {
        for encoding in ["gzip", "br", "identity, gzip"] {
            let answer = call.clone().header("content-encoding", encoding).send().await;
            assert!(answer.is(415).body.contains("Content-Encoding"), "{answer:?}");
        }
    }
    app.login_request("alice", &key).header("content-encoding", "identity").send().await.is(200);
}

#[tokio::test]
async fn every_good_answer_says_how_long_caches_may_keep_it() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| {
        setup.settings.dialects = Dialects::default();
        setup.faults = Some(faults.clone());
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    for (path, expected) in [
        ("/users/alice", "public, max-age=5"),
        ("/v1/accounts/alice/jwks.json", "public, max-age=5"),
        ("/openapi.json", "public, max-age=300"),
        ("/.well-known/oauth-authorization-server", "public, max-age=300"),
        ("/healthz", "no-store"),
        ("/readyz", "no-store"),
    ] {
        assert_eq!(app.call("GET", path).send().await.is(200).header("cache-control"), expected);
    }
    // A good answer holds for a second.
    app.advance(Duration::from_secs(1));
    faults.set(Fault::Unavailable);
    let unready = app.call("GET", "/readyz").send().await;
    assert_eq!(unready.is(503).header("cache-control"), "no-store");
}

#[tokio::test]
async fn oauth_errors_are_written_in_the_characters_of_rfc_6749() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.enrol("alice", &key).await;
    let mut private = key.jwk();
    private["d"] = "AAAA".into();
    let mut of_no_kind = key.jwk();
    of_no_kind["kty"] = "oct".into();
    let assertion = || app.assertion("alice", &key);
    let proofs = [
        app.token_proof(&key).header("jwk", private).sign(),
        app.token_proof(&key).header("jwk", of_no_kind).sign(),
        app.token_proof(&key).header("typ", "JWT").sign(),
        app.token_proof(&key).claim("htm", "GET").sign(),
        "x".to_owned(),
    ];
    let calls = proofs.iter().map(|proof| app.token_request(&assertion().sign(), proof));
    let assertions =
        [assertion().claim("exp", 1).sign(), assertion().claim("aud", "x").sign(), String::new()];
    let good = || app.token_proof(&key).sign();
    let calls = calls.chain(assertions.iter().map(|text| app.token_request(text, &good())));
    for call in calls.collect::<Vec<_>>() {
        let answer = call.send().await;
        let text = answer.is(400).text("error_description");
        assert!(!text.contains('?'), "what it must not contain was replaced: {text}");
        assert!(HeaderValue::from_str(&text).is_ok() && !text.contains(['"', '\\']), "{text}");
    }
}

#[test]
fn problem_types_are_addresses_of_this_project() {
    let address = countersign_protocol::problem::type_uri("nonce-required");
    let expected = "https://github.com/countersign/countersign/problems/nonce-required";
    assert_eq!(address, expected);
}
