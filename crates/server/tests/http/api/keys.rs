//! `/v1/keys`: one's own keys.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ISSUER, Jwt, TestApp, TestKey, many_at_once};

const PATH: &str = "/v1/keys";

/// An application, an account and its token.
async fn with_token() -> (TestApp, TestKey, String) {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    (app, key, token)
}

async fn listed(app: &TestApp, key: &TestKey, token: &str) -> Vec<Value> {
    let answer = app.resource_request(key, token, "GET", PATH).send().await;
    answer.is(200).json()["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn keys_are_listed_with_their_times_oldest_first() {
    let (app, key, token) = with_token().await;
    let registered_at = app.now().as_secs();
    app.advance(Duration::from_secs(10));
    let (tablet, old) = (TestKey::number(2), TestKey::number(3));
    let labelled = json!({
        "public_key": tablet.jwk(),
        "label": "tablet",
        "new_key_proof": app.new_key_proof("alice", &tablet).sign(),
    });
    let added = app.key_addition_saying(&key, &token, &labelled).send().await.is(201).json();
    app.advance(Duration::from_secs(10));
    app.key_addition(&key, &token, &old).send().await.is(201);
    app.revoke_key(&key, &token, &old).await.is(204);

    let keys = listed(&app, &key, &token).await;
    let expected_first = json!({
        "thumbprint": key.thumbprint(),
        "label": "Ed25519 key",
        "key_type": "Ed25519",
        "public_key": key.jwk(),
        "kind": "key",
        "added_by": null,
        "created_at": registered_at,
        "last_used_at": registered_at,
        "revoked_at": null,
        "expires_at": null,
        "user_agent": null,
        "last_address": "192.0.2.1",
        "current": true,
    });
    assert_eq!(keys[0], expected_first);
    assert_eq!(keys[1], added);
    assert_eq!(added["label"], "tablet");
    assert_eq!(added["current"], false);
    assert_eq!(added["added_by"], key.thumbprint());
    assert_eq!(added["created_at"], registered_at + 10);
    assert_eq!(added["last_used_at"], Value::Null);
    assert_eq!(keys[2]["thumbprint"], old.thumbprint());
    assert_eq!(keys[2]["revoked_at"], registered_at + 20);
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn nobody_sees_the_keys_of_others() {
    let (app, key, token) = with_token().await;
    let other = TestKey::number(2);
    let others = app.enrol("bob", &other).await;
    assert_eq!(listed(&app, &key, &token).await.len(), 1);
    assert_eq!(listed(&app, &other, &others).await[0]["thumbprint"], other.thumbprint());
}

#[tokio::test]
async fn an_added_key_logs_in() {
    let (app, key, token) = with_token().await;
    for new in TestKey::one_per_algorithm().into_iter().take(4) {
        app.key_addition(&key, &token, &new).send().await.is(201);
        let own = app.login("alice", &new).await;
        app.whoami(&new, &own).await.is(200);
    }
}

#[tokio::test]
async fn a_new_key_must_prove_itself() {
    let (app, key, token) = with_token().await;
    let (new, other) = (TestKey::number(2), TestKey::number(3));
    let proof = || app.new_key_proof("alice", &new);
    let for_alice = |proof: Jwt| proof.claim("sub", "alice").sign();
    let wrong: [(&str, String); 9] = [
        ("nothing", String::new()),
        ("no JWT", "x".to_owned()),
        ("by another key", app.new_key_proof("alice", &other).sign()),
        ("by the old key", app.new_key_proof("alice", &key).sign()),
        ("forged", proof().forged_by(&other).sign()),
        ("for another URL", for_alice(app.proof(&new, "POST", "/v1/accounts"))),
        ("for another origin", proof().claim("htu", "https://evil.example/v1/keys").sign()),
        ("for another method", for_alice(app.proof(&new, "GET", PATH))),
        ("too old", proof().claim("iat", app.now().as_secs() - 61).sign()),
    ];
    let add = |new_key_proof: &str| {
        let body = json!({ "public_key": new.jwk(), "new_key_proof": new_key_proof });
        app.key_addition_saying(&key, &token, &body)
    };
    for (what, proof) in wrong {
        let answer = add(&proof).send().await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_problem(400, "invalid-proof");
    }
    let stale = proof().claim("nonce", "made-up").sign();
    add(&stale).send().await.is_problem(400, "nonce-required");
    let foreign = proof().claim("nonce", app.token_nonce()).sign();
    add(&foreign).send().await.is_problem(400, "nonce-required");
    add(&proof().claim("nonce", app.resource_nonce()).sign()).send().await.is(201);
}

#[tokio::test]
async fn the_proof_of_a_new_key_is_for_one_account() {
    let (app, key, token) = with_token().await;
    let (of_mallory, new) = (TestKey::number(2), TestKey::number(3));
    let mallory = app.enrol("mallory", &of_mallory).await;
    let add = |(key, token): (&TestKey, &str), proof: Jwt| {
        let body = json!({ "public_key": new.jwk(), "new_key_proof": proof.sign() });
        app.key_addition_saying(key, token, &body)
    };
    // Whoever saw the proof that was made for alice brings it to an account of his own.
    let stolen = add((&of_mallory, &mallory), app.new_key_proof("alice", &new)).send().await;
    stolen.is_problem(400, "invalid-proof");
    assert!(stolen.text("detail").contains("sub does not name this account"), "{stolen:?}");
    let old_form = add((&key, &token), app.proof(&new, "POST", PATH)).send().await;
    old_form.is_problem(400, "invalid-proof");
    assert!(old_form.text("detail").contains("the claim sub is missing"), "{old_form:?}");
    let wrong = app.new_key_proof("", &new).claim("sub", json!(7));
    add((&key, &token), wrong).send().await.is_problem(400, "invalid-proof");
    // The id of the account names it as well as the username, in any case of letters.
    add((&key, &token), app.new_key_proof("ALICE", &new)).send().await.is(201);
    let id = Jwt::claims_of(&mallory)["sub"].as_str().unwrap().to_owned();
    let other = TestKey::number(4);
    let body = app.new_key(&id, &other);
    app.key_addition_saying(&of_mallory, &mallory, &body).send().await.is(201);
}

#[tokio::test]
async fn the_proof_of_a_new_key_works_once() {
    let (app, key, token) = with_token().await;
    let new = TestKey::number(2);
    let proof = app.new_key_proof("alice", &new).sign();
    let body = json!({ "public_key": new.jwk(), "new_key_proof": proof });
    let add = || app.key_addition_saying(&key, &token, &body);
    add().send().await.is(201);
    app.revoke_key(&key, &token, &new).await.is(204);
    add().send().await.is_problem(400, "invalid-proof");
    // A proof of registration and one of addition are for different URLs.
    let registration = app.registration("bob", &TestKey::number(3)).without_header("dpop");
    registration.dpop(&proof).send().await.is_problem(400, "invalid-proof");
}

#[tokio::test]
async fn a_key_is_taken_for_ever() {
    let (app, key, token) = with_token().await;
    let (new, other) = (TestKey::number(2), TestKey::number(3));
    app.register("bob", &other).await;
    app.key_addition(&key, &token, &key).send().await.is_problem(409, "key-taken");
    app.key_addition(&key, &token, &other).send().await.is_problem(409, "key-taken");
    app.key_addition(&key, &token, &new).send().await.is(201);
    app.revoke_key(&key, &token, &new).await.is(204);
    app.key_addition(&key, &token, &new).send().await.is_problem(409, "key-taken");
    app.registration("carol", &new).send().await.is_problem(409, "key-taken");
}

#[tokio::test]
async fn an_account_has_so_many_keys_at_most() {
    let app = TestApp::start_with(|setup| setup.policy.max_keys_per_account = 3).await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let add = async |number| app.key_addition(&key, &token, &TestKey::number(number)).send().await;
    add(2).await.is(201);
    add(3).await.is(201);
    add(4).await.is_problem(409, "key-limit");
    app.revoke_key(&key, &token, &TestKey::number(2)).await.is(204);
    add(5).await.is(201);
    add(6).await.is_problem(409, "key-limit");
}

#[tokio::test]
async fn the_last_key_stays() {
    let (app, key, token) = with_token().await;
    app.revoke_key(&key, &token, &key).await.is_problem(409, "last-key");
    app.whoami(&key, &token).await.is(200);
    let new = TestKey::number(2);
    app.key_addition(&key, &token, &new).send().await.is(201);
    app.revoke_key(&key, &token, &key).await.is(204);
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    let token = app.login("alice", &new).await;
    app.revoke_key(&new, &token, &new).await.is_problem(409, "last-key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_cannot_revoke_each_other_at_once() {
    let (app, key, token) = with_token().await;
    let new = TestKey::number(2);
    app.key_addition(&key, &token, &new).send().await.is(201);
    let other = app.login("alice", &new).await;
    let revoke = |by: &TestKey, token: &str, old: &TestKey| {
        app.resource_request(by, token, "DELETE", &format!("{PATH}/{}", old.thumbprint()))
    };
    let answers = many_at_once([revoke(&key, &token, &new), revoke(&new, &other, &key)]).await;
    let revoked = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(revoked, 1, "{answers:?}");
}

#[tokio::test]
async fn what_is_no_live_key_of_ones_own_is_not_found() {
    let (app, key, token) = with_token().await;
    let (other, new) = (TestKey::number(2), TestKey::number(3));
    app.register("bob", &other).await;
    app.revoke_key(&key, &token, &other).await.is_problem(404, "not-found");
    app.revoke_key(&key, &token, &TestKey::number(9)).await.is_problem(404, "not-found");
    app.key_addition(&key, &token, &new).send().await.is(201);
    app.revoke_key(&key, &token, &new).await.is(204);
    app.revoke_key(&key, &token, &new).await.is_problem(404, "not-found");
    for name in ["x", "%20", "%FF", "..%2F..", &"x".repeat(1000)] {
        let path = format!("{PATH}/{name}");
        let answer = app.resource_request(&key, &token, "DELETE", &path).send().await;
        answer.is_problem(404, "not-found");
    }
    app.login("bob", &other).await;
}

#[tokio::test]
async fn labels_and_keys_must_be_good() {
    let (app, key, token) = with_token().await;
    let new = TestKey::number(2);
    let add = |body: Value| app.key_addition_saying(&key, &token, &body);
    let body = |label: &str| {
        let proof = app.new_key_proof("alice", &new).sign();
        json!({ "public_key": new.jwk(), "label": label, "new_key_proof": proof })
    };
    for label in ["", " x", "a\tb", "\u{feff}x", &"x".repeat(65)] {
        add(body(label)).send().await.is_problem(400, "invalid-request");
    }
    let mut weak = body("weak");
    weak["public_key"] = countersign_testkit::keys::RSA_1024_PUBLIC_PEM.into();
    add(weak).send().await.is_problem(400, "invalid-key");
    let mut unknown = body("x");
    unknown["admin"] = true.into();
    add(unknown).send().await.is_problem(400, "invalid-json");
    let mut incomplete = body("x");
    incomplete.as_object_mut().unwrap().remove("new_key_proof");
    add(incomplete).send().await.is_problem(400, "invalid-json");
    add(body(&"x".repeat(64))).send().await.is(201);
}

#[tokio::test]
async fn a_session_key_reads_for_the_account_and_is_not_the_current_credential() {
    let (app, key, _) = with_token().await;
    let session = TestKey::number(2);
    let token = app.login_with_session_key("alice", &key, &session).await;
    let keys = listed(&app, &session, &token).await;
    assert_eq!(keys[0]["current"], true, "the credential that logged in");
    assert_eq!(Jwt::claims_of(&token)["iss"], ISSUER);
    let addition = app.key_addition(&session, &token, &TestKey::number(3));
    addition.send().await.is_problem(403, "step-up-needed");
}
