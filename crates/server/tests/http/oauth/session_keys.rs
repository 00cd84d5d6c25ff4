//! Tokens bound to a session key, for which a credential vouches in `cnf.jkt`.

use serde_json::json;

use crate::support::{Jwt, TestApp, TestKey};

#[tokio::test]
async fn a_vouched_session_key_gets_the_token() {
    let app = TestApp::start().await;
    let (key, session) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &key).await;
    let token = app.login_with_session_key("alice", &key, &session).await;
    let claims = Jwt::claims_of(&token);
    assert_eq!(claims["cnf"]["jkt"], session.thumbprint());
    assert_eq!(claims["client_id"], key.thumbprint());

    let whoami = app.whoami(&session, &token).await.is(200).json();
    assert_eq!(whoami["thumbprint"], session.thumbprint());
    assert_eq!(whoami["credential"], key.thumbprint());
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_session_key_that_nobody_vouches_for_gets_nothing() {
    let app = TestApp::start().await;
    let (key, session) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &key).await;
    let vouch = |jkt: String| {
        let assertion = app.assertion("alice", &key).claim("cnf", json!({ "jkt": jkt }));
        assertion.header("kid", key.thumbprint()).sign()
    };
    let another = vouch(TestKey::number(3).thumbprint());
    let none = app.assertion("alice", &key).sign();
    for assertion in [another, none] {
        let request = app.token_request(&assertion, &app.token_proof(&session).sign());
        request.send().await.is_oauth_error(400, "invalid_dpop_proof");
    }
    // Who vouches for a session key must prove that key, not the credential.
    let assertion = vouch(session.thumbprint());
    let request = app.token_request(&assertion, &app.token_proof(&key).sign());
    request.send().await.is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_session_key_cannot_vouch_for_itself() {
    let app = TestApp::start().await;
    let (key, session) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &key).await;
    app.login_with_session_key("alice", &key, &session).await;
    let request = app.login_request("alice", &session);
    request.send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn revoking_the_credential_ends_its_session_keys() {
    let app = TestApp::start().await;
    let (key, old, session) = (TestKey::number(1), TestKey::number(2), TestKey::number(3));
    let token = app.enrol("alice", &key).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    let by_session = app.login_with_session_key("alice", &old, &session).await;
    let by_old = app.login("alice", &old).await;
    app.whoami(&session, &by_session).await.is(200);

    app.revoke_key(&key, &token, &old).await.is(204);
    app.whoami(&session, &by_session).await.is_refusal(401, "invalid_token");
    app.whoami(&old, &by_old).await.is_refusal(401, "invalid_token");
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn a_credential_is_no_session_key_of_another() {
    let app = TestApp::start().await;
    let (key, phone, stolen) = (TestKey::number(1), TestKey::number(2), TestKey::number(3));
    let token = app.enrol("alice", &key).await;
    for new in [&phone, &stolen] {
        app.key_addition(&key, &token, new).send().await.is(201);
    }
    app.revoke_key(&key, &token, &stolen).await.is(204);
    // Otherwise the token would outlive the revocation of the key that it is bound to.
    for session in [&phone, &stolen] {
        let cnf = json!({ "jkt": session.thumbprint() });
        let assertion = app.assertion("alice", &key).claim("cnf", cnf);
        let assertion = assertion.header("kid", key.thumbprint()).sign();
        let request = app.token_request(&assertion, &app.token_proof(session).sign());
        request.send().await.is_oauth_error(400, "invalid_dpop_proof");
    }
    app.login_with_session_key("alice", &key, &key).await;
}
