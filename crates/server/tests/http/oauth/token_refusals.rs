//! `POST /oauth/token`: who is refused, and how little they learn.

use std::time::Duration;

use countersign_authority::model::account::AccountStatus;
use serde_json::{Value, json};

use crate::support::{Answer, Call, ISSUER, JWT_BEARER, Jwt, TestApp, TestKey, many_at_once};

/// An application with the account alice.
async fn with_alice() -> (TestApp, TestKey) {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    (app, key)
}

#[tokio::test]
async fn nobody_learns_which_accounts_exist() {
    let (app, alice) = with_alice().await;
    let (mallory, old, disabled) = (TestKey::number(2), TestKey::number(3), TestKey::number(4));
    app.register("mallory", &mallory).await;
    let token = app.login("alice", &alice).await;
    app.key_addition(&alice, &token, &old).send().await.is(201);
    app.revoke_key(&alice, &token, &old).await.is(204);
    app.register("dora", &disabled).await;
    app.admin().set_status(&"dora".parse().unwrap(), AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;

    let unknown_key = TestKey::number(9);
    let attempt = async |account: &str, key: &TestKey, kid: Option<&TestKey>| {
        let mut assertion = app.assertion(account, key);
        if let Some(kid) = kid {
            assertion = assertion.header("kid", kid.thumbprint());
        }
        app.token_request(&assertion.sign(), &app.token_proof(key).sign()).send().await
    };
    let answers = [
        ("an unknown account", attempt("nobody", &unknown_key, None).await),
        ("no account at all", attempt("not an account", &unknown_key, None).await),
        ("an unknown account with kid", attempt("nobody", &unknown_key, Some(&unknown_key)).await),
        ("a known key of another", attempt("nobody", &mallory, None).await),
        ("a foreign key", attempt("alice", &unknown_key, None).await),
        ("a foreign key with kid", attempt("alice", &unknown_key, Some(&unknown_key)).await),
        ("a key of another account", attempt("alice", &mallory, None).await),
        ("a key of another account with kid", attempt("alice", &mallory, Some(&mallory)).await),
        ("another's kid", attempt("mallory", &mallory, Some(&alice)).await),
        ("the victim's kid", attempt("alice", &mallory, Some(&alice)).await),
        ("a revoked key", attempt("alice", &old, None).await),
        ("a revoked key with kid", attempt("alice", &old, Some(&old)).await),
        ("a disabled account", attempt("dora", &disabled, None).await),
        ("a disabled account with kid", attempt("dora", &disabled, Some(&disabled)).await),
    ];
    let told = |answer: &Answer| {
        let names = answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        (answer.status, answer.body.clone(), names)
    };
    for (what, answer) in &answers {
        answer.is_oauth_error(400, "invalid_grant");
        assert_eq!(told(answer), told(&answers[0].1), "{what}");
    }
}

#[tokio::test]
async fn an_assertion_must_keep_every_rule() {
    let (app, key) = with_alice().await;
    let other = TestKey::number(2);
    let now = app.now().as_secs();
    let good = || app.assertion("alice", &key);
    let wrong: [(&str, Jwt); 27] = [
        ("no iss", good().without("iss")),
        ("iss is another", good().claim("iss", "bob")),
        ("iss is a list", good().claim("iss", json!(["alice"]))),
        ("no sub", good().without("sub")),
        ("sub is another", good().claim("sub", "bob")),
        ("sub is a number", good().claim("sub", 7).claim("iss", 7)),
        ("no aud", good().without("aud")),
        ("aud is another", good().claim("aud", "https://elsewhere.example")),
        ("aud with a slash", good().claim("aud", format!("{ISSUER}/"))),
        ("aud is an object", good().claim("aud", json!({ "0": ISSUER }))),
        ("aud is empty", good().claim("aud", json!([]))),
        ("no exp", good().without("exp")),
        ("exp is a string", good().claim("exp", "9999999999")),
        ("exp is huge", good().claim("exp", 1e300)),
        ("expired", good().claim("exp", now - 5)),
        ("lives too long", good().claim("exp", now + 316)),
        ("iat in the future", good().claim("iat", now + 16)),
        ("nbf in the future", good().claim("nbf", now + 16)),
        ("nbf is a string", good().claim("nbf", "0")),
        ("no jti", good().without("jti")),
        ("jti is empty", good().claim("jti", "")),
        ("jti is long", good().claim("jti", "x".repeat(129))),
        ("cnf is not understood", good().claim("cnf", json!({ "x5t#S256": "abc" }))),
        ("typ is a proof's", good().header("typ", "dpop+jwt")),
        ("typ is a token's", good().header("typ", "at+jwt")),
        ("kid is a path", good().header("kid", "../../dev/null")),
        ("signed by another", good().forged_by(&other)),
    ];
    for (what, assertion) in wrong {
        let request = app.token_request(&assertion.sign(), &app.token_proof(&key).sign());
        let answer = request.send().await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_oauth_error(400, "invalid_grant");
    }
    let edges = [
        good().claim("exp", now - 4),
        good().claim("exp", now + 315),
        good().claim("iat", now + 5).claim("nbf", now + 5),
        good().claim("jti", "y".repeat(128)),
        good().claim("extra", json!({ "nested": [1, 2, 3] })),
    ];
    for assertion in edges {
        let request = app.token_request(&assertion.sign(), &app.token_proof(&key).sign());
        request.send().await.is(200);
    }
}

#[tokio::test]
async fn what_is_no_signed_jwt_is_no_assertion() {
    let (app, key) = with_alice().await;
    let good = app.assertion("alice", &key);
    let signed = good.sign();
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let mac = good.clone().header("alg", "HS256");
    let texts = [
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c.d.e".to_owned(),
        format!("{signed}="),
        format!(" {signed}"),
        format!("{signed}\n"),
        head.to_owned(),
        format!("{head}."),
        format!("{head}.{}", &signature[1..]),
        json!({ "payload": "x", "signatures": [] }).to_string(),
        good.clone().header("alg", "none").unsigned(),
        good.clone().header("alg", "NoNe").unsigned(),
        mac.sign(),
        good.clone().without_header("alg").sign(),
        good.clone().header("alg", "ES256").sign(),
        good.clone().header("crit", json!(["exp"])).sign(),
        good.clone().header("b64", false).sign(),
        good.claim("padding", "x".repeat(9000)).sign(),
        "\u{fffd}".to_owned(),
    ];
    for text in texts {
        let answer = app.token_request(&text, &app.token_proof(&key).sign()).send().await;
        answer.is_oauth_error(400, "invalid_grant");
        assert!(!answer.body.contains(&signed[..20]), "the answer repeats the token");
    }
}

#[tokio::test]
async fn a_proof_must_keep_every_rule() {
    let (app, key) = with_alice().await;
    let other = TestKey::number(2);
    let now = app.now().as_secs();
    let good = || app.token_proof(&key);
    let wrong: [(&str, Jwt); 14] = [
        ("no typ", good().without_header("typ")),
        ("typ JWT", good().header("typ", "JWT")),
        ("no jwk", good().without_header("jwk")),
        ("jwk of another", good().header("jwk", other.jwk())),
        ("signed by another", good().forged_by(&other)),
        ("no htm", good().without("htm")),
        ("htm in lower case", good().claim("htm", "post")),
        ("no htu", good().without("htu")),
        ("htu of another endpoint", good().claim("htu", format!("{ISSUER}/v1/accounts"))),
        ("no iat", good().without("iat")),
        ("iat long ago", good().claim("iat", now - 61)),
        ("iat far ahead", good().claim("iat", now + 16)),
        ("no jti", good().without("jti")),
        ("by a key that the assertion does not name", app.token_proof(&other)),
    ];
    for (what, proof) in wrong {
        let request = app.token_request(&app.assertion("alice", &key).sign(), &proof.sign());
        let answer = request.send().await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_oauth_error(400, "invalid_dpop_proof");
    }
    let without = app.login_request("alice", &key).without_header("dpop");
    without.clone().send().await.is_oauth_error(400, "invalid_dpop_proof");
    let two = without.dpop(&good().sign()).dpop(&good().sign());
    two.send().await.is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn an_assertion_works_once() {
    let (app, key) = with_alice().await;
    let assertion = app.assertion("alice", &key).sign();
    let login = async || app.token_request(&assertion, &app.token_proof(&key).sign()).send().await;
    login().await.is(200);
    login().await.is_oauth_error(400, "invalid_grant");
    app.advance(Duration::from_secs(64));
    login().await.is_oauth_error(400, "invalid_grant");
    app.maintain().await;
    app.advance(Duration::from_secs(2));
    login().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_proof_works_once() {
    let (app, key) = with_alice().await;
    let proof = app.token_proof(&key).sign();
    let login =
        async || app.token_request(&app.assertion("alice", &key).sign(), &proof).send().await;
    login().await.is(200);
    login().await.is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_works_for_one_of_many_at_once() {
    let (app, key) = with_alice().await;
    let assertion = app.assertion("alice", &key).sign();
    let calls: Vec<Call> =
        (0..20).map(|_| app.token_request(&assertion, &app.token_proof(&key).sign())).collect();
    assert_one_token(&many_at_once(calls).await, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_works_for_one_of_many_at_once() {
    let (app, key) = with_alice().await;
    let proof = app.token_proof(&key).sign();
    let calls: Vec<Call> =
        (0..20).map(|_| app.token_request(&app.assertion("alice", &key).sign(), &proof)).collect();
    assert_one_token(&many_at_once(calls).await, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_refused_request_uses_up_neither_proof_nor_assertion() {
    let (app, key) = with_alice().await;
    let (assertion, proof) = (app.assertion("alice", &key).sign(), app.token_proof(&key).sign());
    let request = || app.token_request(&assertion, &proof);
    request().param("scope", "admin").send().await.is_oauth_error(400, "invalid_scope");
    request().param("resource", "x").send().await.is_oauth_error(400, "invalid_target");
    let other = app.token_proof(&TestKey::number(2)).sign();
    let by_another = app.token_request(&assertion, &other).send().await;
    by_another.is_oauth_error(400, "invalid_dpop_proof");
    request().send().await.is(200);
}

#[tokio::test]
async fn the_form_must_be_one() {
    let (app, key) = with_alice().await;
    let refuse = async |request: Call, code: &str| {
        request.send().await.is_oauth_error(400, code);
    };
    let good = || app.login_request("alice", &key);
    refuse(good().without_param("grant_type"), "invalid_request").await;
    refuse(good().without_param("assertion"), "invalid_request").await;
    refuse(good().without_param("assertion").param("assertion", ""), "invalid_request").await;
    refuse(good().param("assertion", "another"), "invalid_request").await;
    refuse(good().param("grant_type", JWT_BEARER), "invalid_request").await;
    refuse(good().param("scope", "a").param("scope", "b"), "invalid_request").await;
    for grant in ["password", "client_credentials", "authorization_code", "JWT-BEARER", "\u{0}"] {
        let request = good().without_param("grant_type").param("grant_type", grant);
        refuse(request, "unsupported_grant_type").await;
    }
    let many = (0..40).fold(good(), |call, number| call.param(&format!("p{number}"), "x"));
    refuse(many, "invalid_request").await;
    refuse(good().body("application/json", "{}"), "invalid_request").await;
    refuse(good().body("text/plain", "grant_type=x"), "invalid_request").await;
    refuse(good().body("multipart/form-data; boundary=x", "--x--"), "invalid_request").await;
    refuse(app.call("POST", "/oauth/token"), "invalid_request").await;
    let bad_utf8 = b"grant_type=%FF%FE&assertion=\xff".to_vec();
    let form = "application/x-www-form-urlencoded";
    refuse(good().body(form, bad_utf8), "unsupported_grant_type").await;
    let unknown = good().param("client_id", "alice").param("unheard_of", "x").param("scope", "");
    unknown.send().await.is(200);
}

#[track_caller]
fn assert_one_token(answers: &[Answer], otherwise: &str) {
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{answers:?}");
    for answer in lost {
        assert_eq!(answer.json()["error"], Value::from(otherwise));
    }
}
