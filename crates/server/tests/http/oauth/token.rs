//! `POST /oauth/token`: what a login gives, and its nonces.

use std::time::Duration;

use countersign_protocol::keys::Algorithm;
use countersign_testkit::samples::scopes;

use crate::support::{ISSUER, Jwt, TestApp, TestKey};

#[tokio::test]
async fn a_login_gives_a_dpop_token_that_no_cache_keeps() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let answer = app.login_request("alice", &key).send().await;
    let body = answer.is(200).json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"DPoP".into(), &900.into()));
    assert_eq!(body.as_object().unwrap().len(), 3, "no scope and no refresh token: {body}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert!(!answer.header("dpop-nonce").is_empty());
}

#[tokio::test]
async fn a_token_says_what_rfc_9068_demands() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let id = app.register("alice", &key).await;
    let token = app.login("alice", &key).await;

    let header = Jwt::header_of(&token);
    assert_eq!((&header["typ"], &header["alg"]), (&"at+jwt".into(), &"ES256".into()));
    let jwks = app.call("GET", "/.well-known/jwks.json").send().await.json();
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);

    let mut claims = Jwt::claims_of(&token);
    let jti = claims["jti"].take();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    let now = app.now().as_secs();
    let expected = serde_json::json!({
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": id,
        "client_id": key.thumbprint(),
        "cnf": { "jkt": key.thumbprint() },
        "iat": now,
        "auth_time": now,
        "amr": ["pop"],
        "exp": now + 900,
        "jti": null,
        "preferred_username": "alice",
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn two_tokens_never_share_their_id() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let tokens = [app.enrol("alice", &key).await, app.login("alice", &key).await];
    let ids = tokens.map(|token| Jwt::claims_of(&token)["jti"].clone());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn every_algorithm_logs_in_and_calls() {
    let app = TestApp::start().await;
    for key in TestKey::one_per_algorithm() {
        let name = format!("with-{}", key.algorithm);
        if key.algorithm != Algorithm::Ps256 {
            app.register(&name, &key).await;
        }
        // PS256 is the RSA key of RS256, so it is that account's.
        let name = name.replace("PS256", "RS256");
        let token = app.login(&name, &key).await;
        app.whoami(&key, &token).await.is(200);
    }
}

#[tokio::test]
async fn tokens_are_signed_with_the_algorithm_of_the_installation() {
    for algorithm in Algorithm::ALL {
        let app =
            TestApp::start_with(|setup| setup.policy.signing_keys.algorithm = algorithm).await;
        let key = TestKey::number(1);
        let token = app.enrol("alice", &key).await;
        assert_eq!(Jwt::header_of(&token)["alg"], algorithm.name());
        app.whoami(&key, &token).await.is(200);
    }
}

#[tokio::test]
async fn an_account_is_named_by_id_or_by_name_in_any_case() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let id = app.register("Alice", &key).await;
    for name in [id.as_str(), "Alice", "alice", "ALICE"] {
        let token = app.login(name, &key).await;
        assert_eq!(Jwt::claims_of(&token)["sub"], id);
    }
}

#[tokio::test]
async fn the_assertion_may_name_the_token_endpoint_and_its_key() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let endpoint = format!("{ISSUER}/oauth/token");
    let several = serde_json::json!(["https://other.example", ISSUER]);
    for audience in [endpoint.into(), several] {
        let assertion = app.assertion("alice", &key).claim("aud", audience);
        let assertion = assertion.header("kid", key.thumbprint()).header("typ", "JWT").sign();
        let proof = app.token_proof(&key).sign();
        app.token_request(&assertion, &proof).send().await.is(200);
    }
}

#[tokio::test]
async fn a_client_without_a_nonce_is_given_one_and_nothing_is_used_up() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let assertion = app.assertion("alice", &key).sign();
    let proof = app.proof(&key, "POST", "/oauth/token");

    let first = app.token_request(&assertion, &proof.sign()).send().await;
    let nonce = first.is_oauth_error(400, "use_dpop_nonce").header("dpop-nonce").to_owned();
    let with_nonce = proof.claim("nonce", nonce).sign();
    let second = app.token_request(&assertion, &with_nonce).send().await;
    second.is(200);
    assert!(second.headers.contains_key("dpop-nonce"));
}

#[tokio::test]
async fn a_nonce_serves_several_proofs_until_it_is_stale() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let nonce = app.token_nonce();
    let login = async || {
        let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", nonce.clone()).sign();
        app.token_request(&app.assertion("alice", &key).sign(), &proof).send().await
    };
    login().await.is(200);
    app.advance(Duration::from_mins(5) - Duration::from_millis(1));
    login().await.is(200);
    app.advance(Duration::from_millis(1));
    login().await.is_oauth_error(400, "use_dpop_nonce");
}

#[tokio::test]
async fn a_nonce_of_the_resources_is_none_here() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    for nonce in [app.resource_nonce(), "made-up".to_owned()] {
        let proof = app.proof(&key, "POST", "/oauth/token").claim("nonce", nonce).sign();
        let request = app.token_request(&app.assertion("alice", &key).sign(), &proof);
        request.send().await.is_oauth_error(400, "use_dpop_nonce");
    }
}

#[tokio::test]
async fn a_client_that_had_a_nonce_cannot_go_back_to_none() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.enrol("alice", &key).await;
    let proof = app.proof(&key, "POST", "/oauth/token").sign();
    let request = app.token_request(&app.assertion("alice", &key).sign(), &proof);
    request.send().await.is_oauth_error(400, "use_dpop_nonce");
}

#[tokio::test]
async fn a_nonce_does_not_stretch_the_age_of_a_proof() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let proof = app.token_proof(&key).sign();
    app.advance(Duration::from_secs(61));
    let request = app.token_request(&app.assertion("alice", &key).sign(), &proof);
    request.send().await.is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_scope_that_was_granted_a_moment_ago_is_given() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.enrol("alice", &key).await;
    let asked = || app.login_request("alice", &key).param("scope", "read");
    asked().send().await.is_oauth_error(400, "invalid_scope");
    app.admin().grant_scopes(&"alice".parse().unwrap(), &scopes("read write")).await.unwrap();
    assert_eq!(asked().send().await.is(200).text("scope"), "read");
}

#[tokio::test]
async fn all_scopes_are_those_of_the_moment_of_the_login() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.enrol("alice", &key).await;
    app.login_request("alice", &key).send().await.is(200);
    let login = async || app.login_request("alice", &key).send().await.is(200).text("access_token");
    app.admin().grant_scopes(&"alice".parse().unwrap(), &scopes("read write")).await.unwrap();
    let all = Jwt::claims_of(&login().await);
    assert_eq!(all["scope"], "read write");
    assert!(all.get("narrowed").is_none());
    app.admin().withdraw_scopes(&"alice".parse().unwrap(), &scopes("write")).await.unwrap();
    assert_eq!(Jwt::claims_of(&login().await)["scope"], "read");
}

#[tokio::test]
async fn the_scopes_are_those_of_the_account_or_fewer() {
    let app = TestApp::start_with(|setup| {
        setup.policy.default_scopes = scopes("read write");
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let all = app.login_request("alice", &key).send().await;
    assert_eq!(all.is(200).text("scope"), "read write");
    let fewer = app.login_request("alice", &key).param("scope", "read").send().await;
    assert_eq!(fewer.is(200).text("scope"), "read");
    assert_eq!(Jwt::claims_of(&fewer.text("access_token"))["scope"], "read");
    for wrong in ["read admin", "admin", "READ", "read  write", "re\"ad"] {
        let refused = app.login_request("alice", &key).param("scope", wrong).send().await;
        refused.is_oauth_error(400, "invalid_scope");
    }
}

#[tokio::test]
async fn a_token_for_another_resource_is_not_for_this_one() {
    let app = TestApp::start_with(|setup| {
        setup.policy.tokens.resources = vec!["https://api.example".to_owned()];
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let login = |resources: &[&str]| {
        let request = app.login_request("alice", &key);
        resources.iter().fold(request, |request, name| request.param("resource", name))
    };
    let foreign = login(&["https://api.example"]).send().await.is(200).text("access_token");
    assert_eq!(Jwt::claims_of(&foreign)["aud"], "https://api.example");
    app.whoami(&key, &foreign).await.is_refusal(401, "invalid_token");

    let both = login(&["https://api.example", ISSUER, ISSUER]).send().await;
    let both = both.is(200).text("access_token");
    let audience = serde_json::json!(["https://api.example", ISSUER]);
    assert_eq!(Jwt::claims_of(&both)["aud"], audience);
    app.whoami(&key, &both).await.is(200);

    for unknown in ["https://evil.example", "https://api.example/", "x"] {
        let refused = login(&[ISSUER, unknown]).send().await;
        refused.is_oauth_error(400, "invalid_target");
    }
}
