//! When the log of used proofs forgets while the server runs, nothing that was captured works again, and
//! an honest client repeats one request.

use crate::support::{Answer, TestApp, TestKey};

/// The nonce that a refused client is given. It is not the one that it had.
#[track_caller]
fn fresh_nonce(refused: &Answer, before: &str) -> String {
    let nonce = refused.header("dpop-nonce").to_owned();
    assert_ne!(nonce, before);
    nonce
}

#[tokio::test]
async fn no_captured_proof_works_again_and_the_next_request_does() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for _ in 0..3 {
        let (for_token, for_resource) = (app.token_nonce(), app.resource_nonce());
        let call = app.resource_request(&key, &token, "GET", "/v1/whoami");
        let login = app.token_proof(&key).sign();
        let log_in = |proof: &str| app.token_request(&app.assertion("alice", &key).sign(), proof);
        call.clone().send().await.is(200);
        log_in(&login).send().await.is(200);
        app.forget_used_proofs();
        for _ in 0..2 {
            let refused = call.clone().send().await;
            refused.is_refusal(401, "use_dpop_nonce");
            let nonce = fresh_nonce(&refused, &for_resource);
            let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami");
            let proof = proof.claim("nonce", nonce).sign();
            app.presenting(&token, &proof, "GET", "/v1/whoami").send().await.is(200);

            let refused = log_in(&login).send().await;
            let nonce = fresh_nonce(refused.is_oauth_error(400, "use_dpop_nonce"), &for_token);
            let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", nonce).sign();
            log_in(&proof).send().await.is(200);
        }
    }
}

#[tokio::test]
async fn no_nonce_of_before_is_recognised_although_no_proof_has_used_it() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let unused = app.resource_request(&key, &token, "GET", "/v1/whoami");
    let login = app.login_request("alice", &key);
    let proof = app.proof(&key, "POST", "/v1/accounts").claim("nonce", app.token_nonce()).sign();
    app.forget_used_proofs();
    unused.send().await.is_refusal(401, "use_dpop_nonce");
    login.send().await.is_oauth_error(400, "use_dpop_nonce");
    let registration = app.registration("bob", &key).without_header("dpop").dpop(&proof);
    registration.send().await.is_problem(400, "nonce-required");
}

#[tokio::test]
async fn a_request_that_is_under_way_meanwhile_is_to_be_repeated_with_a_fresh_nonce() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let (for_token, for_resource) = (app.token_nonce(), app.resource_nonce());

    app.forget_used_proofs_in_next_request();
    let refused = app.resource_request(&key, &token, "GET", "/v1/whoami").send().await;
    refused.is_refusal(401, "use_dpop_nonce");
    let nonce = fresh_nonce(&refused, &for_resource);
    let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami").claim("nonce", nonce).sign();
    app.presenting(&token, &proof, "GET", "/v1/whoami").send().await.is(200);

    app.forget_used_proofs_in_next_request();
    let refused = app.login_request("alice", &key).send().await;
    let nonce = fresh_nonce(refused.is_oauth_error(400, "use_dpop_nonce"), &for_token);
    let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", nonce).sign();
    app.token_request(&app.assertion("alice", &key).sign(), &proof).send().await.is(200);
}

#[tokio::test]
async fn assertions_and_tokens_are_none_of_its_business() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let (used, unused) = (app.assertion("alice", &key).sign(), app.assertion("alice", &key).sign());
    app.token_request(&used, &app.token_proof(&key).sign()).send().await.is(200);
    app.forget_used_proofs();
    let again = app.token_request(&used, &app.token_proof(&key).sign()).send().await;
    again.is_oauth_error(400, "invalid_grant");
    app.token_request(&unused, &app.token_proof(&key).sign()).send().await.is(200);
    app.whoami(&key, &token).await.is(200);
}
