//! `POST /v1/accounts`: registration and its proof of possession.

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, ISSUER, TestApp, TestKey, many_at_once};

#[tokio::test]
async fn registration_answers_with_the_account() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let answer = app.registration("Alice", &key).send().await;
    let body = answer.is(201).json();
    assert_eq!(answer.header("cache-control"), "no-store", "RFC 9449 §8.2: it carries a nonce");
    assert_eq!(body["username"], "Alice");
    assert_eq!(body["thumbprint"], key.thumbprint());
    let id = body["account_id"].as_str().unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "a UUIDv7");
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn every_answer_carries_a_nonce_for_the_token_endpoint() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let refused = app.call("POST", "/v1/accounts").json(&json!({})).send().await;
    let nonce = refused.is(400).header("dpop-nonce").to_owned();
    let proof = app.proof(&key, "POST", "/v1/accounts").claim("nonce", nonce).sign();
    let registration = app.registration("alice", &key).without_header("dpop").dpop(&proof);
    let nonce = registration.send().await.is(201).header("dpop-nonce").to_owned();

    let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", nonce).sign();
    let assertion = app.assertion("alice", &key).sign();
    app.token_request(&assertion, &proof).send().await.is(200);
}

#[tokio::test]
async fn a_stale_or_foreign_nonce_is_refused_with_a_fresh_one() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let old = app.token_nonce();
    app.advance(Duration::from_mins(5));
    for nonce in [old, app.resource_nonce(), "made-up".to_owned()] {
        let proof = app.proof(&key, "POST", "/v1/accounts").claim("nonce", nonce).sign();
        let registration = app.registration("alice", &key).without_header("dpop").dpop(&proof);
        let answer = registration.send().await;
        answer.is_problem(400, "nonce-required");
        assert!(!answer.header("dpop-nonce").is_empty());
    }
}

#[tokio::test]
async fn a_name_is_taken_in_any_case() {
    let app = TestApp::start().await;
    app.register("Alice", &TestKey::number(1)).await;
    for name in ["Alice", "alice", "ALICE"] {
        let answer = app.registration(name, &TestKey::number(2)).send().await;
        answer.is_problem(409, "username-taken");
    }
    app.register("alice2", &TestKey::number(2)).await;
}

#[tokio::test]
async fn a_key_belongs_to_one_account() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    app.registration("bob", &key).send().await.is_problem(409, "key-taken");
}

#[tokio::test]
async fn a_name_must_be_one() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let like_a_thumbprint = key.thumbprint();
    let long = "x".repeat(65);
    for name in [
        "",
        " alice",
        "-alice",
        "al ice",
        "älice",
        "a/b",
        "018bcfe5-6800-7000-8000-000000000000",
        &like_a_thumbprint,
        &long,
    ] {
        let answer = app.registration(name, &key).send().await;
        answer.is_problem(400, "invalid-username");
    }
    app.register(&"x".repeat(64), &key).await;
}

#[tokio::test]
async fn a_label_is_kept_and_must_be_printable() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let labelled = |label: &str| {
        let body = json!({ "username": "alice", "public_key": key.jwk(), "label": label });
        app.registration("alice", &key).json(&body)
    };
    for label in ["", " laptop", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
        labelled(label).send().await.is_problem(400, "invalid-request");
    }
    labelled("Jürgens Läptop").send().await.is(201);
    let token = app.login("alice", &key).await;
    let keys = app.resource_request(&key, &token, "GET", "/v1/keys").send().await;
    assert_eq!(keys.is(200).json()["keys"][0]["label"], "Jürgens Läptop");
}

#[tokio::test]
async fn registration_needs_a_proof_by_the_very_key() {
    let app = TestApp::start().await;
    let (key, other) = (TestKey::number(1), TestKey::number(2));
    let proof = |key: &TestKey| app.proof(key, "POST", "/v1/accounts");
    let good = proof(&key).sign();
    let headers: [(&str, Vec<String>); 10] = [
        ("none", vec![]),
        ("two", vec![proof(&key).sign(), proof(&key).sign()]),
        ("two in one", vec![format!("{}, {}", proof(&key).sign(), proof(&key).sign())]),
        ("not a JWT", vec!["good".to_owned()]),
        ("by another key", vec![proof(&other).sign()]),
        ("by another key that does not say so", vec![proof(&key).forged_by(&other).sign()]),
        ("for another method", vec![app.proof(&key, "PUT", "/v1/accounts").sign()]),
        ("for another URL", vec![app.proof(&key, "POST", "/oauth/token").sign()]),
        (
            "for another origin",
            vec![proof(&key).claim("htu", "https://elsewhere.example/v1/accounts").sign()],
        ),
        ("from yesterday", vec![proof(&key).claim("iat", app.now().as_secs() - 86_400).sign()]),
    ];
    for (what, proofs) in headers {
        let mut registration = app.registration("alice", &key).without_header("dpop");
        for proof in &proofs {
            registration = registration.dpop(proof);
        }
        let answer = registration.send().await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_problem(400, "invalid-proof");
    }
    let registration = app.registration("alice", &key).without_header("dpop");
    registration.dpop(&good).send().await.is(201);
}

#[tokio::test]
async fn a_proof_registers_once() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let registration = app.registration("alice", &key);
    registration.clone().send().await.is(201);
    let again = registration.json(&json!({ "username": "bob", "public_key": key.jwk() }));
    let answer = again.send().await;
    answer.is_problem(400, "invalid-proof");
    assert!(answer.text("detail").contains("used before"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_goes_to_one_of_many_at_once() {
    let app = TestApp::start().await;
    let keys: Vec<_> = (0..20).map(TestKey::number).collect();
    let answers = many_at_once(keys.iter().map(|key| app.registration("alice", key))).await;
    assert_one_success(&answers, 201, "username-taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_to_one_of_many_at_once() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let names: Vec<_> = (0..20).map(|number| format!("alice{number}")).collect();
    let answers = many_at_once(names.iter().map(|name| app.registration(name, &key))).await;
    assert_one_success(&answers, 201, "key-taken");
}

#[tokio::test]
async fn the_proof_is_for_the_configured_origin_whatever_the_host_header_says() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let registration = app.registration("alice", &key);
    let forwarded = registration
        .header("x-forwarded-host", "elsewhere.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=elsewhere.example;proto=http");
    forwarded.send().await.is(201);
    let proof = app.proof(&TestKey::number(2), "POST", "/v1/accounts");
    let spelt_otherwise =
        proof.claim("htu", format!("{}:443/v1/%61ccounts?x#y", ISSUER.to_uppercase()));
    let registration = app.registration("bob", &TestKey::number(2)).without_header("dpop");
    registration.dpop(&spelt_otherwise.sign()).send().await.is(201);
}

#[track_caller]
fn assert_one_success(answers: &[Answer], success: u16, otherwise: &str) {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == success);
    assert_eq!(won.len(), 1, "{answers:?}");
    for answer in lost {
        assert!(answer.text("type").ends_with(otherwise), "{answer:?}");
    }
}
