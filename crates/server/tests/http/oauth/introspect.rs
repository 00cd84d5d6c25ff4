//! `POST /oauth/introspect` (RFC 7662).

use std::time::Duration;

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::{AuthenticationContext, PasskeyStorage};
use countersign_testkit::samples::scopes;
use serde_json::json;

use crate::support::{ISSUER, Jwt, TestApp, TestKey};

const PATH: &str = "/oauth/introspect";

/// An application with alice, who has a token, and bob.
async fn with_alice_and_bob() -> (TestApp, TestKey, TestKey, String) {
    let app = TestApp::start_with(|setup| setup.policy.default_scopes = scopes("read")).await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("Alice", &alice).await;
    app.register("bob", &bob).await;
    (app, alice, bob, token)
}

#[tokio::test]
async fn ones_own_token_is_described() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let answer = app.introspect("alice", &alice, &token).await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let claims = Jwt::claims_of(&token);
    let expected = json!({
        "active": true,
        "username": "Alice",
        "token_type": "DPoP",
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": claims["sub"],
        "client_id": alice.thumbprint(),
        "jti": claims["jti"],
        "iat": claims["iat"],
        "exp": claims["exp"],
        "auth_time": app.now().as_secs(),
        "amr": ["pop"],
        "scope": "read",
        "cnf": { "jkt": alice.thumbprint() },
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn the_login_that_a_token_comes_from_is_described() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let at = app.now() - Duration::from_mins(7);
    for (storage, key) in [(PasskeyStorage::OneDevice, "hwk"), (PasskeyStorage::Synced, "swk")] {
        let token = app.token_after(AuthenticationContext::by_passkey(at, storage), &token);
        let answer = app.introspect("alice", &alice, &token).await.is(200).json();
        assert_eq!(answer["amr"], json!(["pop", "user", key]));
        assert_eq!((&answer["acr"], &answer["auth_time"]), (&json!("phr"), &json!(at.as_secs())));
    }
}

#[tokio::test]
async fn the_tokens_of_others_are_shown_to_those_with_the_scope_only() {
    let (app, _, bob, token) = with_alice_and_bob().await;
    let inactive = app.introspect("bob", &bob, &token).await;
    assert_eq!(inactive.is(200).json(), json!({ "active": false }));
    // What an administrator grants counts at once, also before the server has noticed.
    app.admin().grant_scopes(&"bob".parse().unwrap(), &scopes("introspect")).await.unwrap();
    assert_eq!(app.introspect("bob", &bob, &token).await.json()["active"], true);
}

#[tokio::test]
async fn who_may_ask_for_one_resource_learns_of_tokens_for_that_one_only() {
    const API: &str = "https://api.example.com/v1";
    let app = TestApp::start_with(|setup| {
        setup.policy.tokens.resources = vec![API.to_owned(), "https://b.example".to_owned()];
    });
    let app = app.await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &alice).await;
    app.register("bob", &bob).await;
    let scope = format!("introspect:{API}");
    app.admin().grant_scopes(&"bob".parse().unwrap(), &scopes(&scope)).await.unwrap();
    app.notice_changes().await;
    for (resource, active) in [(API, true), ("https://b.example", false), (ISSUER, false)] {
        let login = app.login_request("alice", &alice).param("resource", resource).send().await;
        let token = login.is(200).text("access_token");
        let answer = app.introspect("bob", &bob, &token).await;
        assert_eq!(answer.is(200).json()["active"], active, "{resource}");
    }
}

#[tokio::test]
async fn what_is_no_good_token_is_inactive_and_nothing_more() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let (head, _) = token.rsplit_once('.').unwrap();
    let assertion = app.assertion("alice", &alice).sign();
    for text in ["x", "a.b.c", &format!("{head}.AAAA"), &assertion, &"x".repeat(9000)] {
        let answer = app.introspect("alice", &alice, text).await;
        assert_eq!(answer.is(200).json(), json!({ "active": false }));
    }
    app.advance(Duration::from_secs(905));
    let expired = app.introspect("alice", &alice, &token).await;
    assert_eq!(expired.is(200).json(), json!({ "active": false }));
}

#[tokio::test]
async fn a_revoked_token_is_inactive() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    app.revoke_token(&token).await.is(200);
    let answer = app.introspect("alice", &alice, &token).await;
    assert_eq!(answer.is(200).json(), json!({ "active": false }));
}

#[tokio::test]
async fn tokens_of_revoked_keys_and_disabled_accounts_are_inactive() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    app.admin().grant_scopes(&"bob".parse().unwrap(), &scopes("introspect")).await.unwrap();
    let old = TestKey::number(3);
    app.key_addition(&alice, &token, &old).send().await.is(201);
    let doomed = app.login("alice", &old).await;
    app.revoke_key(&alice, &token, &old).await.is(204);
    assert_eq!(app.introspect("alice", &alice, &doomed).await.json(), json!({ "active": false }));

    let admin = app.admin();
    admin.set_status(&"alice".parse().unwrap(), AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;
    assert_eq!(app.introspect("bob", &bob, &token).await.json(), json!({ "active": false }));
    app.introspect("alice", &alice, &token).await.is_oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn a_caller_must_authenticate_itself() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    let anonymous = app.call("POST", PATH).param("token", &token);
    anonymous.clone().send().await.is_oauth_error(401, "invalid_client");
    let with_the_token = anonymous.header("authorization", format!("DPoP {token}"));
    with_the_token.send().await.is_oauth_error(401, "invalid_client");

    let call = |assertion: Jwt| {
        let call = app.client_request(PATH, "alice", &alice).param("token", &token);
        call.without_param("client_assertion").param("client_assertion", &assertion.sign())
    };
    let good = || app.assertion("alice", &alice);
    let endpoint = format!("{ISSUER}/oauth/token");
    for wrong in [
        good().forged_by(&bob),
        good().claim("sub", "bob").claim("iss", "bob"),
        good().claim("sub", "nobody").claim("iss", "nobody"),
        good().claim("aud", endpoint.clone()),
        good().claim("aud", format!("{ISSUER}{PATH}")),
        good().claim("aud", json!([ISSUER, endpoint])),
        good().claim("exp", app.now().as_secs() - 5),
        good().claim("exp", app.now().as_secs() + 316),
        good().without("jti"),
        good().header("typ", "dpop+jwt"),
        good().header("kid", bob.thumbprint()),
    ] {
        call(wrong).send().await.is_oauth_error(401, "invalid_client");
    }
    for right in [
        good().claim("aud", json!([ISSUER])),
        good().header("typ", "client-authentication+jwt"),
        good().header("typ", "JWT").header("kid", alice.thumbprint()),
    ] {
        call(right).send().await.is(200);
    }
}

#[tokio::test]
async fn the_client_id_must_name_the_caller() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    let id = Jwt::claims_of(&token)["sub"].as_str().unwrap().to_owned();
    let call = || app.client_request(PATH, "alice", &alice).param("token", &token);
    for name in ["alice", "ALICE", &id, &alice.thumbprint()] {
        call().param("client_id", name).send().await.is(200);
    }
    for name in ["bob", "nobody", &bob.thumbprint()] {
        call().param("client_id", name).send().await.is_oauth_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn a_caller_may_name_itself_by_the_client_id_of_its_tokens() {
    let (app, alice, bob, token) = with_alice_and_bob().await;
    let own = app.client_request(PATH, &alice.thumbprint(), &alice);
    own.param("token", &token).send().await.is(200);
    let foreign = app.client_request(PATH, &bob.thumbprint(), &alice);
    foreign.param("token", &token).send().await.is_oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_works_once_for_whatever_it_is_used() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let call = app.client_request(PATH, "alice", &alice).param("token", &token);
    call.clone().send().await.is(200);
    call.send().await.is_oauth_error(401, "invalid_client");

    let assertion = app.assertion("alice", &alice).sign();
    let login = || app.token_request(&assertion, &app.token_proof(&alice).sign());
    let introspection = || {
        let call = app.client_request(PATH, "alice", &alice).param("token", &token);
        call.without_param("client_assertion").param("client_assertion", &assertion)
    };
    login().send().await.is(200);
    introspection().send().await.is_oauth_error(401, "invalid_client");
    let assertion = app.assertion("alice", &alice).sign();
    let introspection = introspection().without_param("client_assertion");
    introspection.param("client_assertion", &assertion).send().await.is(200);
    let login = login().without_param("assertion").param("assertion", &assertion);
    login.send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_form_must_be_one() {
    let (app, alice, _, token) = with_alice_and_bob().await;
    let good = || app.client_request(PATH, "alice", &alice).param("token", &token);
    let bad = [
        good().without_param("token"),
        good().param("token", &token),
        good().without_param("client_assertion_type"),
        good().without_param("client_assertion_type").param("client_assertion_type", "x"),
        good().body("application/json", "{}"),
    ];
    for call in bad {
        call.send().await.is_oauth_error(400, "invalid_request");
    }
    good().param("token_type_hint", "refresh_token").send().await.is(200);
}
