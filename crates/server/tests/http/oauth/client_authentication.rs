//! Client authentication at the token endpoint, introspection and revocation (RFC 6749 §2.3, RFC
//! 7523 §3.1, RFC 7009 §2.1): what is presented is validated, and never ignored.

use serde_json::json;

use crate::support::{Answer, Call, TestApp, TestKey};

const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const BASIC: &str = "Basic YWxpY2U6d3Jvbmc=";
const INTROSPECT: &str = "/oauth/introspect";
const REVOKE: &str = "/oauth/revoke";

/// An application with alice, who has a token, and bob.
async fn with_alice_and_bob() -> (TestApp, TestKey, TestKey, String) {
    let app = TestApp::start().await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &alice).await;
    app.register("bob", &bob).await;
    (app, alice, bob, token)
}

fn with_assertion(call: Call, assertion: &str) -> Call {
    call.param("client_assertion_type", JWT_BEARER_ASSERTION).param("client_assertion", assertion)
}

#[track_caller]
fn is_invalid_client(answer: &Answer, challenge: &str) {
    answer.is_oauth_error(401, "invalid_client");
    assert_eq!(answer.header("www-authenticate"), challenge);
}

const BEARER_CHALLENGE: &str = "Bearer realm=\"countersign\"";
const BASIC_CHALLENGE: &str = "Basic realm=\"countersign\"";

#[tokio::test]
async fn the_token_endpoint_validates_the_client_credentials_that_it_is_given() {
    let (app, alice, bob, _) = with_alice_and_bob().await;
    let login = || app.login_request("alice", &alice);
    is_invalid_client(&login().header("authorization", BASIC).send().await, BASIC_CHALLENGE);
    is_invalid_client(&login().header("authorization", "Digest x").send().await, BEARER_CHALLENGE);
    is_invalid_client(&login().param("client_secret", "wrong").send().await, BEARER_CHALLENGE);
    let garbage = with_assertion(login(), "garbage").send().await;
    is_invalid_client(&garbage, BEARER_CHALLENGE);

    let of_bob = app.assertion("bob", &bob).sign();
    let answer = with_assertion(login(), &of_bob).send().await;
    is_invalid_client(&answer, BEARER_CHALLENGE);
    let lone_type = login().param("client_assertion_type", JWT_BEARER_ASSERTION).send().await;
    lone_type.is_oauth_error(400, "invalid_request");
    with_assertion(login(), &app.assertion("alice", &alice).sign()).send().await.is(200);
    // A token in Authorization is none of the client.
    login().header("authorization", "DPoP x").send().await.is(200);
}

#[tokio::test]
async fn a_client_assertion_at_the_token_endpoint_is_used_up_with_the_login() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let assertion = app.assertion("alice", &alice).sign();
    let refused = app.login_request("alice", &alice).param("scope", "none-such");
    with_assertion(refused, &assertion).send().await.is_oauth_error(400, "invalid_scope");
    with_assertion(app.login_request("alice", &alice), &assertion).send().await.is(200);
    let again = app.call("POST", INTROSPECT).param("token", &token);
    is_invalid_client(&with_assertion(again, &assertion).send().await, BEARER_CHALLENGE);
}

#[tokio::test]
async fn a_client_id_at_the_token_endpoint_names_the_account_of_the_grant() {
    let (app, alice, _, _) = with_alice_and_bob().await;
    for wrong in ["bob", "nobody", &TestKey::number(2).thumbprint(), "urn:x"] {
        let answer = app.login_request("alice", &alice).param("client_id", wrong).send().await;
        answer.is_oauth_error(400, "invalid_grant");
        assert!(answer.text("error_description").contains("client_id"), "{answer:?}");
    }
    for own in ["alice", "Alice", &alice.thumbprint()] {
        app.login_request("alice", &alice).param("client_id", own).send().await.is(200);
    }
}

#[tokio::test]
async fn bad_credentials_end_no_token() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    let revoke = || app.call("POST", REVOKE).param("token", &token);
    let basic = revoke().header("authorization", BASIC).param("client_id", "bob").send().await;
    is_invalid_client(&basic, BASIC_CHALLENGE);
    is_invalid_client(&revoke().param("client_secret", "x").send().await, BEARER_CHALLENGE);
    let lone_type = revoke().param("client_assertion_type", JWT_BEARER_ASSERTION).send().await;
    lone_type.is_oauth_error(400, "invalid_request");
    for other in ["bob", "nobody", &bob.thumbprint()] {
        let answer = revoke().param("client_id", other).send().await;
        answer.is_oauth_error(400, "unauthorized_client");
    }
    app.whoami(&alice, &token).await.is(200);
    revoke().param("client_id", &alice.thumbprint()).send().await.is(200);
    app.whoami(&alice, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn the_holder_of_a_token_may_say_whose_it_is() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let revoke = app.call("POST", REVOKE).param("token", &token);
    revoke.param("client_id", "alice").send().await.is(200);
    app.whoami(&alice, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_client_authenticates_itself_in_one_way_only() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    for path in [INTROSPECT, REVOKE] {
        let call = || app.client_request(path, "alice", &alice).param("token", &token);
        let both = call().header("authorization", BASIC).send().await;
        both.is_oauth_error(400, "invalid_request");
        call().param("client_secret", "x").send().await.is_oauth_error(400, "invalid_request");
    }
    app.whoami(&alice, &token).await.is(200);
}

#[tokio::test]
async fn every_401_of_introspection_carries_a_challenge() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    let ask = || app.call("POST", INTROSPECT).param("token", &token);
    is_invalid_client(&ask().send().await, BEARER_CHALLENGE);
    is_invalid_client(&ask().header("authorization", BASIC).send().await, BASIC_CHALLENGE);
    let wrong_key = app.introspect("alice", &bob, &token).await;
    is_invalid_client(&wrong_key, BEARER_CHALLENGE);
    let other_name = app.client_request(INTROSPECT, "alice", &alice).param("token", &token);
    let answer = other_name.param("client_id", "bob").send().await;
    is_invalid_client(&answer, BEARER_CHALLENGE);
    assert_eq!(
        answer.json()["error_description"],
        json!("client_id names another account than the assertion")
    );
}
