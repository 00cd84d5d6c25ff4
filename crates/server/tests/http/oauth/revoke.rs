//! `POST /oauth/revoke` (RFC 7009).

use std::time::Duration;

use crate::support::{TestApp, TestKey};

const PATH: &str = "/oauth/revoke";

#[tokio::test]
async fn whoever_holds_a_token_may_end_it() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let answer = app.revoke_token(&token).await;
    assert_eq!(answer.is(200).body, "");
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    app.revoke_token(&token).await.is(200);
}

#[tokio::test]
async fn what_is_no_token_is_revoked_already() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let (head, _) = token.rsplit_once('.').unwrap();
    for text in ["x", "a.b.c", &format!("{head}.AAAA"), &"x".repeat(9000)] {
        app.revoke_token(text).await.is(200);
    }
    app.whoami(&key, &token).await.is(200);
    app.advance(Duration::from_secs(905));
    app.revoke_token(&token).await.is(200);
}

#[tokio::test]
async fn a_caller_that_says_who_it_is_may_end_its_own_only() {
    let app = TestApp::start().await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &alice).await;
    app.register("bob", &bob).await;
    let by_bob = app.client_request(PATH, "bob", &bob).param("token", &token).send().await;
    by_bob.is_oauth_error(400, "unauthorized_client");
    app.whoami(&alice, &token).await.is(200);
    let by_alice = app.client_request(PATH, "alice", &alice).param("token", &token);
    by_alice.send().await.is(200);
    app.whoami(&alice, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_caller_that_fails_to_say_who_it_is_ends_nothing() {
    let app = TestApp::start().await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &alice).await;
    let wrong = app.client_request(PATH, "alice", &bob).param("token", &token).send().await;
    wrong.is_oauth_error(401, "invalid_client");
    let used = app.client_request(PATH, "alice", &alice);
    used.clone().param("token", "x").send().await.is(200);
    used.param("token", &token).send().await.is_oauth_error(401, "invalid_client");
    app.whoami(&alice, &token).await.is(200);
}

#[tokio::test]
async fn the_form_must_be_one() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let twice = app.call("POST", PATH).param("token", &token).param("token", "x");
    twice.send().await.is_oauth_error(400, "invalid_request");
    let in_query = app.call("POST", &format!("{PATH}?token={token}"));
    in_query.send().await.is_oauth_error(400, "invalid_request");
    let empty = app.call("POST", PATH).param("token", "");
    empty.send().await.is_oauth_error(400, "invalid_request");
    let json = app.call("POST", PATH).json(&serde_json::json!({ "token": token }));
    json.send().await.is_oauth_error(400, "invalid_request");
    app.whoami(&key, &token).await.is(200);
    let hint = app.call("POST", PATH).param("token", &token).param("token_type_hint", "x");
    hint.send().await.is(200);
}
