//! What a restart keeps, and what it must not bring back.

use std::time::Duration;

use crate::support::{Jwt, TestApp, TestKey};

#[tokio::test]
async fn accounts_keys_and_tokens_survive() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.restart().await;
    app.whoami(&key, &token).await.is(200);
    assert_eq!(app.introspect("alice", &key, &token).await.json()["active"], true);
    app.registration("alice", &TestKey::number(2)).send().await.is_problem(409, "username-taken");
    let newer = app.login("alice", &key).await;
    assert_eq!(Jwt::header_of(&newer)["kid"], Jwt::header_of(&token)["kid"]);
    assert_ne!(Jwt::claims_of(&newer)["jti"], Jwt::claims_of(&token)["jti"]);
}

#[tokio::test]
async fn what_was_revoked_stays_revoked() {
    let mut app = TestApp::start().await;
    let (key, old) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    let (of_old, ended) = (app.login("alice", &old).await, app.login("alice", &key).await);
    app.revoke_key(&key, &token, &old).await.is(204);
    app.revoke_token(&ended).await.is(200);
    for _ in 0..2 {
        app.restart().await;
        app.whoami(&old, &of_old).await.is_refusal(401, "invalid_token");
        app.whoami(&key, &ended).await.is_refusal(401, "invalid_token");
        app.login_request("alice", &old).send().await.is_oauth_error(400, "invalid_grant");
        app.whoami(&key, &token).await.is(200);
    }
}

#[tokio::test]
async fn no_nonce_of_before_is_recognised() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let (for_tokens, for_resources) = (app.token_nonce(), app.resource_nonce());
    app.restart().await;
    let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", for_tokens.clone());
    let login = app.token_request(&app.assertion("alice", &key).sign(), &proof.sign());
    login.send().await.is_oauth_error(400, "use_dpop_nonce");
    let proof = app.proof(&key, "POST", "/v1/accounts").claim("nonce", for_tokens).sign();
    let registration = app.registration("bob", &key).without_header("dpop").dpop(&proof);
    registration.send().await.is_problem(400, "nonce-required");
    let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami");
    let proof = proof.claim("nonce", for_resources).sign();
    let call = app.presenting(&token, &proof, "GET", "/v1/whoami");
    call.send().await.is_refusal(401, "use_dpop_nonce");
}

#[tokio::test]
async fn a_proof_that_was_used_before_does_not_work_again() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let call = app.resource_proof(&key, &token, "GET", "/v1/whoami").sign();
    app.presenting(&token, &call, "GET", "/v1/whoami").send().await.is(200);
    let login = app.token_proof(&key).sign();
    app.token_request(&app.assertion("alice", &key).sign(), &login).send().await.is(200);
    app.restart().await;
    let again = app.presenting(&token, &call, "GET", "/v1/whoami").send().await;
    again.is_refusal(401, "use_dpop_nonce");
    let again = app.token_request(&app.assertion("alice", &key).sign(), &login).send().await;
    again.is_oauth_error(400, "use_dpop_nonce");
}

#[tokio::test]
async fn a_used_assertion_does_not_work_again() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let (login, call) = (app.assertion("alice", &key).sign(), app.assertion("alice", &key).sign());
    app.token_request(&login, &app.token_proof(&key).sign()).send().await.is(200);
    let introspect = |app: &TestApp, assertion: &str| {
        let call = app.client_request("/oauth/introspect", "alice", &key).param("token", "x");
        call.without_param("client_assertion").param("client_assertion", assertion)
    };
    introspect(&app, &call).send().await.is(200);
    for _ in 0..2 {
        app.restart().await;
        app.maintain().await;
        for assertion in [&login, &call] {
            let again = app.token_request(assertion, &app.token_proof(&key).sign()).send().await;
            again.is_oauth_error(400, "invalid_grant");
            introspect(&app, assertion).send().await.is_oauth_error(401, "invalid_client");
        }
        app.advance(Duration::from_secs(32));
    }
}

#[tokio::test]
async fn an_unused_assertion_still_works() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let assertion = app.assertion("alice", &key).sign();
    app.restart().await;
    app.token_request(&assertion, &app.token_proof(&key).sign()).send().await.is(200);
}

#[tokio::test]
async fn a_registration_cannot_be_replayed() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let proof = app.proof(&key, "POST", "/v1/accounts").sign();
    let register = |app: &TestApp, name: &str| {
        app.registration(name, &key).without_header("dpop").dpop(&proof)
    };
    register(&app, "alice").send().await.is(201);
    app.restart().await;
    register(&app, "alice").send().await.is_problem(409, "username-taken");
    register(&app, "bob").send().await.is_problem(400, "invalid-proof");
}

#[tokio::test]
async fn the_addition_of_a_key_cannot_be_replayed() {
    let mut app = TestApp::start().await;
    let (key, new) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    let body = serde_json::json!({
        "public_key": new.jwk(),
        "new_key_proof": app.new_key_proof("alice", &new).sign(),
    });
    app.key_addition_saying(&key, &token, &body).send().await.is(201);
    app.revoke_key(&key, &token, &new).await.is(204);
    app.restart().await;
    let again = app.key_addition_saying(&key, &token, &body).send().await;
    again.is_problem(409, "key-taken");
}

#[tokio::test]
async fn the_audit_trail_survives() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.restart().await;
    let names = app.event_names(&key, &token).await;
    assert_eq!(names, ["login.succeeded", "account.registered"]);
}

#[tokio::test]
async fn an_issuer_that_moves_refuses_the_tokens_of_its_old_name() {
    let mut app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.restart_with(|setup| {
        let origin =
            countersign_protocol::proofs::target_uri::TargetUri::parse("https://new.example");
        setup.policy.origin = origin.unwrap();
    })
    .await;
    let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami");
    let proof = proof.claim("htu", "https://new.example/v1/whoami").sign();
    let call = app.presenting(&token, &proof, "GET", "/v1/whoami").send().await;
    call.is_refusal(401, "invalid_token");
}
