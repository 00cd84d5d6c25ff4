//! `/v1/whoami`: a protected resource, which stands for all of them.

use std::time::Duration;

use countersign_protocol::{digest::sha256, strict::base64url};
use countersign_testkit::{keys, samples::scopes};
use serde_json::{Value, json};

use crate::support::{Call, ISSUER, Jwt, TestApp, TestKey, many_at_once};

const PATH: &str = "/v1/whoami";

/// An application, an account and its token.
async fn with_token() -> (TestApp, TestKey, String) {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    (app, key, token)
}

#[tokio::test]
async fn the_answer_is_the_principal() {
    let app = TestApp::start_with(|setup| setup.policy.default_scopes = scopes("read write")).await;
    let key = TestKey::number(1);
    let id = app.register("Alice", &key).await;
    let token = app.login("alice", &key).await;
    let answer = app.whoami(&key, &token).await;
    answer.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let expected = json!({
        "account_id": id,
        "username": "Alice",
        "credential": key.thumbprint(),
        "thumbprint": key.thumbprint(),
        "proof": "dpop",
        "token_id": Jwt::claims_of(&token)["jti"],
        "scopes": ["read", "write"],
        "expires_at": app.now().as_secs() + 900,
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn every_method_is_answered() {
    let (app, key, token) = with_token().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = app.resource_request(&key, &token, method, PATH).send().await;
        assert_eq!(answer.is(200).text("username"), "alice");
    }
    let head = app.resource_request(&key, &token, "HEAD", PATH).send().await;
    assert_eq!(head.is(200).body, "");
}

#[tokio::test]
async fn every_answer_carries_the_nonce_for_the_next_proof() {
    let (app, key, token) = with_token().await;
    let refused = app.call("GET", PATH).send().await;
    let mut nonce = refused.is(401).header("dpop-nonce").to_owned();
    for _ in 0..3 {
        let proof = app.resource_proof(&key, &token, "GET", PATH).claim("nonce", nonce);
        let answer = app.presenting(&token, &proof.sign(), "GET", PATH).send().await;
        nonce = answer.is(200).header("dpop-nonce").to_owned();
        app.advance(Duration::from_mins(4));
    }
}

#[tokio::test]
async fn without_credentials_the_challenge_names_no_error() {
    let app = TestApp::start().await;
    for call in [
        app.call("GET", PATH),
        app.call("GET", PATH).header("authorization", "Basic YWxpY2U6c2VjcmV0"),
        app.call("GET", PATH).dpop("a.b.c"),
    ] {
        let answer = call.send().await;
        assert_eq!(
            answer.is(401).header("www-authenticate"),
            "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\""
        );
        answer.is_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_malformed_authorization_is_a_bad_request() {
    let (app, key, token) = with_token().await;
    let good = || app.resource_request(&key, &token, "GET", PATH);
    let bare = || good().without_header("authorization");
    for call in [
        good().header("authorization", format!("DPoP {token}")),
        good().header("authorization", format!("Bearer {token}")),
        bare().header("authorization", "DPoP"),
        bare().header("authorization", "DPoP "),
        bare().header("authorization", format!("DPoP {token} {token}")),
        bare().header("authorization", format!("DPoP {token}, DPoP {token}")),
        bare().header("authorization", "DPoP \u{e9}"),
    ] {
        call.send().await.is_refusal(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    let (app, key, token) = with_token().await;
    let bearer = |call: Call| call.header("authorization", format!("Bearer {token}"));
    bearer(app.call("GET", PATH)).send().await.is_refusal(401, "invalid_token");
    let with_proof = app.resource_request(&key, &token, "GET", PATH);
    let with_proof = bearer(with_proof.without_header("authorization"));
    with_proof.send().await.is_refusal(401, "invalid_token");

    // RFC 6750 §2.2 and §2.3: in a form or in the query it is no credential at all.
    let form = app.call("POST", PATH).param("access_token", &token);
    let query = app.call("GET", &format!("{PATH}?access_token={token}"));
    for call in [form, query] {
        let answer = call.send().await;
        answer.is_problem(401, "unauthenticated");
        assert!(!answer.header("www-authenticate").contains("error"));
    }
}

#[tokio::test]
async fn spellings_that_mean_the_same_are_accepted() {
    let (app, key, token) = with_token().await;
    let proof = || app.resource_proof(&key, &token, "GET", PATH);
    let now = app.now().as_secs();
    let good = [
        proof(),
        proof().claim("htu", format!("{ISSUER}{PATH}?query=1#fragment")),
        proof().claim("htu", format!("{ISSUER}:443{PATH}")),
        proof().claim("htu", "HTTPS://AUTH.example/v1/./x/../%77hoami"),
        proof().header("typ", "DPOP+JWT"),
        proof().header("typ", "application/dpop+jwt"),
        proof().header("extra", json!({ "ignored": true })).claim("extra", json!([1])),
        proof().claim("iat", now - 60),
        proof().claim("iat", now + 15),
        proof().claim("iat", json!(1_700_000_000.25)),
        proof().claim("exp", now + 1).claim("nbf", now),
    ];
    for proof in good {
        app.presenting(&token, &proof.sign(), "GET", PATH).send().await.is(200);
    }
    let with_query = app.presenting(&token, &proof().sign(), "GET", "/v1/whoami?a=b");
    with_query.send().await.is(200);
    for scheme in ["dpop", "DPOP", "DPoP "] {
        let call = app.resource_request(&key, &token, "GET", PATH).without_header("authorization");
        call.header("authorization", format!("{scheme} {token}")).send().await.is(200);
    }
}

#[tokio::test]
async fn a_proof_that_breaks_a_rule_is_refused() {
    let (app, key, token) = with_token().await;
    let (other, ec) = (TestKey::number(2), TestKey::from_pem(keys::EC_P256_PEM));
    let now = app.now().as_secs();
    let good = || app.resource_proof(&key, &token, "GET", PATH);
    let ath = |text: &str| base64url::encode(&sha256(&[text.as_bytes()]));
    let wrong: [(&str, Jwt); 34] = [
        ("no typ", good().without_header("typ")),
        ("typ JWT", good().header("typ", "JWT")),
        ("typ at+jwt", good().header("typ", "at+jwt")),
        ("no alg", good().without_header("alg")),
        ("alg of a MAC", good().header("alg", "HS256")),
        ("alg of another key", good().header("alg", "ES256")),
        ("crit", good().header("crit", json!(["exp"]))),
        ("no jwk", good().without_header("jwk")),
        ("jwk is a text", good().header("jwk", key.jwk().to_string())),
        ("jwk is private", good().header("jwk", with_member(key.jwk(), "d", "AAAA"))),
        ("jwk is symmetric", good().header("jwk", json!({ "kty": "oct", "k": "AAAA" }))),
        ("jwk is for encryption", good().header("jwk", with_member(key.jwk(), "use", "enc"))),
        ("signed by another", good().forged_by(&other)),
        ("signed by another kind", good().forged_by(&ec)),
        ("no htm", good().without("htm")),
        ("htm of another method", good().claim("htm", "POST")),
        ("htm in lower case", good().claim("htm", "get")),
        ("htm is a list", good().claim("htm", json!(["GET"]))),
        ("no htu", good().without("htu")),
        ("htu of another path", good().claim("htu", format!("{ISSUER}/v1/keys"))),
        ("htu with a slash", good().claim("htu", format!("{ISSUER}{PATH}/"))),
        ("htu of another origin", good().claim("htu", format!("https://evil.example{PATH}"))),
        ("htu of another port", good().claim("htu", format!("{ISSUER}:8443{PATH}"))),
        ("htu without TLS", good().claim("htu", format!("http://auth.example{PATH}"))),
        ("htu is relative", good().claim("htu", PATH)),
        ("no iat", good().without("iat")),
        ("iat an hour ago", good().claim("iat", now - 3600)),
        ("iat in an hour", good().claim("iat", now + 3600)),
        ("iat is a text", good().claim("iat", now.to_string())),
        ("exp has passed", good().claim("exp", now)),
        ("no jti", good().without("jti")),
        ("jti is huge", good().claim("jti", "x".repeat(129))),
        ("no ath", good().without("ath")),
        ("ath of another token", good().claim("ath", ath("another"))),
    ];
    // Once before the key is known to the guard, and once after.
    for _ in 0..2 {
        for (what, proof) in &wrong {
            let answer = app.presenting(&token, &proof.sign(), "GET", PATH).send().await;
            assert_eq!(answer.status, 401, "{what}: {answer:?}");
            answer.is_refusal(401, "invalid_dpop_proof");
            assert!(!answer.header("dpop-nonce").is_empty());
        }
        app.presenting(&token, &good().sign(), "GET", PATH).send().await.is(200);
    }
}

#[tokio::test]
async fn a_proof_is_signed_with_the_algorithm_that_its_key_names() {
    let app = TestApp::start().await;
    let key = TestKey::from_pem(keys::RSA_2048_PEM);
    let token = app.enrol("alice", &key).await;
    let call = async |alg: &str| {
        let jwk = with_member(key.jwk(), "alg", alg);
        let proof = app.resource_proof(&key, &token, "GET", PATH).header("jwk", jwk).sign();
        app.presenting(&token, &proof, "GET", PATH).send().await
    };
    for _ in 0..2 {
        for alg in ["PS256", "ES256", "none", "RS384"] {
            call(alg).await.is_refusal(401, "invalid_dpop_proof");
        }
        call("RS256").await.is(200);
        app.whoami(&key, &token).await.is(200);
    }
}

#[tokio::test]
async fn what_is_no_single_proof_is_refused() {
    let (app, key, token) = with_token().await;
    let proof = || app.resource_proof(&key, &token, "GET", PATH).sign();
    let bare = || app.resource_request(&key, &token, "GET", PATH).without_header("dpop");
    let unsigned = app.resource_proof(&key, &token, "GET", PATH).header("alg", "none").unsigned();
    for call in [
        bare(),
        bare().dpop(""),
        bare().dpop("a.b.c"),
        bare().dpop(&unsigned),
        bare().dpop(&token),
        bare().dpop(&format!("{}, {}", proof(), proof())),
        bare().dpop(&proof()).dpop(&proof()),
        bare().dpop(&proof()).header("DPOP", proof()),
        bare().header("dpop", b"\xff\xfe"),
        bare().dpop(&"x".repeat(9000)),
    ] {
        call.send().await.is_refusal(401, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn a_proof_needs_a_fresh_nonce_of_the_resources() {
    let (app, key, token) = with_token().await;
    let stale = app.resource_nonce();
    app.advance(Duration::from_mins(5));
    let proof = || app.resource_proof(&key, &token, "GET", PATH);
    for proof in [
        proof().without("nonce"),
        proof().claim("nonce", stale),
        proof().claim("nonce", app.token_nonce()),
        proof().claim("nonce", "made-up"),
    ] {
        let answer = app.presenting(&token, &proof.sign(), "GET", PATH).send().await;
        answer.is_refusal(401, "use_dpop_nonce");
        // The proof was not used up: with the nonce, the same jti works.
        let fresh = answer.header("dpop-nonce").to_owned();
        let again = app.presenting(&token, &proof.claim("nonce", fresh).sign(), "GET", PATH);
        again.send().await.is(200);
    }
}

#[tokio::test]
async fn a_thief_cannot_use_the_token() {
    let (app, key, token) = with_token().await;
    let thief = TestKey::number(2);
    app.whoami(&thief, &token).await.is_refusal(401, "invalid_token");
    let own = app.enrol("thief", &thief).await;
    app.whoami(&thief, &token).await.is_refusal(401, "invalid_token");
    app.whoami(&key, &own).await.is_refusal(401, "invalid_token");

    let seen = app.resource_proof(&key, &token, "GET", PATH).sign();
    app.presenting(&token, &seen, "GET", PATH).send().await.is(200);
    for (method, path) in [("GET", PATH), ("DELETE", PATH), ("GET", "/v1/keys")] {
        let stolen = app.presenting(&token, &seen, method, path).send().await;
        stolen.is_refusal(401, "invalid_dpop_proof");
    }
    let another = app.login("alice", &key).await;
    let stolen = app.presenting(&another, &seen, "GET", PATH).send().await;
    stolen.is_refusal(401, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_proof_works_once_for_as_long_as_it_is_young() {
    let (app, key, token) = with_token().await;
    let ahead = app.now().as_secs() + 15;
    let proof = app.resource_proof(&key, &token, "GET", PATH).claim("iat", ahead).sign();
    let call = async || app.presenting(&token, &proof, "GET", PATH).send().await;
    call().await.is(200);
    for _ in 0..80 {
        app.advance(Duration::from_secs(1));
        call().await.is_refusal(401, "invalid_dpop_proof");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_works_for_one_of_many_at_once() {
    let (app, key, token) = with_token().await;
    let call = app.resource_request(&key, &token, "GET", PATH);
    let answers = many_at_once(vec![call; 20]).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{answers:?}");
    for answer in lost {
        answer.is_refusal(401, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn one_jti_serves_different_requests() {
    let (app, key, token) = with_token().await;
    for (method, path) in [("GET", PATH), ("POST", PATH), ("GET", "/v1/keys")] {
        let proof = app.resource_proof(&key, &token, method, path).claim("jti", "same").sign();
        app.presenting(&token, &proof, method, path).send().await.is(200);
    }
    let other = TestKey::number(2);
    let others = app.enrol("bob", &other).await;
    let proof = app.resource_proof(&other, &others, "GET", PATH).claim("jti", "same").sign();
    app.presenting(&others, &proof, "GET", PATH).send().await.is(200);
}

fn with_member(mut jwk: Value, name: &str, value: &str) -> Value {
    jwk[name] = value.into();
    jwk
}
