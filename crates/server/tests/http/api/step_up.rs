//! What a request must prove to change the keys of an account. Who may is in `who_may_do_what.rs`.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::AccountName,
        policy::{Limits, PasswordPolicy},
    },
    ports::RateLimit,
};
use countersign_protocol::{Scopes, proofs::body_hash::sha256_hex};
use serde_json::{Value, json};

use crate::support::{Answer, Call, ISSUER, Jwt, TestApp, TestKey};

const PATH: &str = "/v1/keys";

/// An application, an account and its token.
async fn with_token() -> (TestApp, TestKey, String) {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    (app, key, token)
}

#[track_caller]
fn lacks(answer: &Answer, lack: &str) {
    answer.is_problem(403, "step-up-needed");
    assert_eq!(answer.json()["lack"], lack);
}

/// An approval of `new` by `key`.
fn approval(app: &TestApp, key: &TestKey, new: &TestKey) -> Jwt {
    key.jwt()
        .header("typ", "key-approval+jwt")
        .header("kid", key.thumbprint())
        .claim("aud", ISSUER)
        .claim("new_key", new.thumbprint())
        .claim("exp", app.now().as_secs() + 60)
        .claim("jti", "approval 1")
}

/// A request to add `new` with an `approval`, by a proof that does not cover the body.
fn approved(app: &TestApp, (key, token): (&TestKey, &str), new: &TestKey, approval: &str) -> Call {
    let mut body = app.new_key("alice", new);
    body["approval"] = approval.into();
    app.resource_request(key, token, "POST", PATH).json(&body)
}

#[tokio::test]
async fn a_body_that_was_changed_on_its_way_adds_no_key() {
    let (app, key, token) = with_token().await;
    let (new, of_thief) = (TestKey::number(2), TestKey::number(3));
    let addition = app.key_addition(&key, &token, &new);
    let changed = addition.json(&app.new_key("alice", &of_thief)).send().await;
    lacks(&changed, "other-body");
    let uncovered =
        app.resource_request(&key, &token, "POST", PATH).json(&app.new_key("alice", &of_thief));
    lacks(&uncovered.send().await, "body-unsigned");
    app.login_request("alice", &of_thief).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_hash_of_the_body_that_is_none_is_refused() {
    let (app, key, token) = with_token().await;
    let hash = sha256_hex(b"");
    for wrong in [hash.to_uppercase(), hash[1..].to_owned(), "x".repeat(64), String::new()] {
        let proof = app.resource_proof(&key, &token, "GET", "/v1/whoami").claim("tha", wrong);
        let call = app.presenting(&token, &proof.sign(), "GET", "/v1/whoami");
        call.send().await.is_refusal(401, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_present_and_costs_nothing() {
    let app = TestApp::start_with(|setup| {
        let limits = Limits::default();
        let key = RateLimit { burst: 3, ..limits.key };
        setup.policy.limits = Some(Limits { key, ..limits });
    });
    let app = app.await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for _ in 0..10 {
        let body = app.new_key("alice", &TestKey::number(2));
        let answer = app.resource_request(&key, &token, "POST", PATH).json(&body).send().await;
        lacks(&answer, "body-unsigned");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
        assert!(answer.text("detail").contains("tha"), "{answer:?}");
    }
    app.key_addition(&key, &token, &TestKey::number(2)).send().await.is(201);
}

#[tokio::test]
async fn the_owner_sees_that_a_change_was_refused() {
    let (app, key, token) = with_token().await;
    let session = TestKey::number(2);
    let by_session = app.login_with_session_key("alice", &key, &session).await;
    let answer = app.revoke_key(&session, &by_session, &key).await;
    lacks(&answer, "session-key");
    assert_eq!(app.event_names(&key, &token).await[0], "key.change-refused");
}

#[tokio::test]
async fn a_token_stays_narrowed_when_the_scopes_of_the_account_change() {
    let (app, key, _) = with_token().await;
    let name: AccountName = "alice".parse().unwrap();
    let scopes = |text: &str| text.parse::<Scopes>().unwrap();
    app.admin().grant_scopes(&name, &scopes("read write")).await.unwrap();
    app.notice_changes().await;
    let login = app.login_request("alice", &key).param("scope", "read");
    let narrowed = login.send().await.is(200).text("access_token");
    assert_eq!(Jwt::claims_of(&narrowed)["narrowed"], true);
    let whole = app.login("alice", &key).await;
    assert_eq!(Jwt::claims_of(&whole).get("narrowed"), None);
    let add = || app.key_addition(&key, &narrowed, &TestKey::number(2)).send();
    lacks(&add().await, "narrowed-token");
    app.admin().withdraw_scopes(&name, &scopes("write")).await.unwrap();
    app.notice_changes().await;
    lacks(&add().await, "narrowed-token");
    app.admin().grant_scopes(&name, &scopes("more")).await.unwrap();
    app.notice_changes().await;
    app.key_addition(&key, &whole, &TestKey::number(2)).send().await.is(201);
}

#[tokio::test]
async fn all_scopes_by_name_do_not_narrow_a_token() {
    let app = TestApp::start_with(|setup| {
        setup.policy.default_scopes = "read write".parse().unwrap();
    });
    let (app, key) = (app.await, TestKey::number(1));
    app.register("alice", &key).await;
    let login = app.login_request("alice", &key).param("scope", "write read");
    let token = login.send().await.is(200).text("access_token");
    app.key_addition(&key, &token, &TestKey::number(2)).send().await.is(201);
}

#[tokio::test]
async fn an_approval_lets_one_key_in_once() {
    let (mut app, key, token) = with_token().await;
    let new = TestKey::number(2);
    let good = approval(&app, &key, &new).sign();
    // A request that is refused for another reason does not use it up.
    let mut body = app.new_key("alice", &TestKey::number(3));
    body["public_key"] = new.jwk();
    body["approval"] = good.as_str().into();
    let wrong = app.resource_request(&key, &token, "POST", PATH).json(&body);
    wrong.send().await.is_problem(400, "invalid-proof");

    let added = approved(&app, (&key, &token), &new, &good).send().await.is(201).json();
    assert_eq!(added["added_by"], key.thumbprint());
    for restart in [false, true] {
        if restart {
            app.restart().await;
        }
        let again = approved(&app, (&key, &token), &new, &good).send().await;
        again.is_problem(400, "invalid-proof");
        assert!(again.text("detail").contains("used before"), "{again:?}");
    }
}

#[tokio::test]
async fn an_approval_is_by_a_live_key_of_the_account_for_that_key_and_this_server() {
    let (app, key, token) = with_token().await;
    let (new, session, other, old) =
        (TestKey::number(2), TestKey::number(3), TestKey::number(4), TestKey::number(5));
    app.register("bob", &other).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    app.revoke_key(&key, &token, &old).await.is(204);
    let good = || approval(&app, &key, &new);
    let assertion = app.assertion("alice", &key).claim("cnf", json!({ "jkt": new.thumbprint() }));
    let wrong = [
        ("by a session key", approval(&app, &session, &new).sign()),
        ("by a key of another", approval(&app, &other, &new).sign()),
        ("by a revoked key", approval(&app, &old, &new).sign()),
        ("by the new key", approval(&app, &new, &new).sign()),
        ("forged", good().forged_by(&other).sign()),
        ("for another key", good().claim("new_key", other.thumbprint()).sign()),
        ("for another server", good().claim("aud", "https://evil.example").sign()),
        ("expired", good().claim("exp", app.now().as_secs() - 5).sign()),
        ("too long", good().claim("exp", app.now().as_secs() + 316).sign()),
        ("a login", assertion.header("kid", key.thumbprint()).sign()),
        ("nothing", String::new()),
    ];
    for (what, approval) in wrong {
        let answer = approved(&app, (&key, &token), &new, &approval).send().await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_problem(400, "invalid-proof");
    }
    approved(&app, (&key, &token), &new, &good().sign()).send().await.is(201);
}

#[tokio::test]
async fn an_approval_logs_nobody_in() {
    let (app, key, _) = with_token().await;
    let approval = approval(&app, &key, &key).claim("iss", "alice").claim("sub", "alice").sign();
    let request = app.token_request(&approval, &app.token_proof(&key).sign());
    request.send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_key_is_renamed() {
    let (app, key, token) = with_token().await;
    let path = format!("{PATH}/{}", key.thumbprint());
    let rename = |body: &Value| app.covering_request((&key, &token), "PATCH", &path, body).send();
    let renamed = rename(&json!({ "label": "old laptop" })).await.is(200).json();
    assert_eq!(renamed["label"], "old laptop");
    let listed = app.resource_request(&key, &token, "GET", PATH).send().await.is(200).json();
    assert_eq!(listed["keys"][0], renamed);
    assert_eq!(app.event_names(&key, &token).await[0], "key.renamed");

    rename(&json!({ "label": "" })).await.is_problem(400, "invalid-request");
    rename(&json!({ "name": "x" })).await.is_problem(400, "invalid-json");
    let path = format!("{PATH}/{}", TestKey::number(9).thumbprint());
    let unknown = json!({ "label": "x" });
    let unknown = app.covering_request((&key, &token), "PATCH", &path, &unknown).send().await;
    unknown.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_request_to_revoke_a_key_has_no_body() {
    let (app, key, token) = with_token().await;
    let new = TestKey::number(2);
    app.key_addition(&key, &token, &new).send().await.is(201);
    let path = format!("{PATH}/{}", new.thumbprint());
    let with_body = app.covering_request((&key, &token), "DELETE", &path, &json!({}));
    with_body.send().await.is_problem(400, "invalid-request");
    app.revoke_key(&key, &token, &new).await.is(204);
}

#[tokio::test]
async fn revoking_a_key_names_what_it_has_let_in() {
    let (app, key, token) = with_token().await;
    let (stolen, second, third) = (TestKey::number(2), TestKey::number(3), TestKey::number(4));
    app.key_addition(&key, &token, &stolen).send().await.is(201);
    let by_thief = app.login("alice", &stolen).await;
    app.key_addition(&stolen, &by_thief, &second).send().await.is(201);
    app.advance(Duration::from_secs(1));
    let by_second = app.login("alice", &second).await;
    app.key_addition(&second, &by_second, &third).send().await.is(201);

    let path = format!("{PATH}/{}", stolen.thumbprint());
    let call = app.resource_request(&key, &token, "DELETE", &path);
    let call = call.header("prefer", "respond-async, return=representation");
    let answer = call.send().await;
    assert_eq!(answer.header("preference-applied"), "return=representation");
    let answer = answer.is(200).json();
    let named = answer["added_keys"].as_array().unwrap().iter();
    let named: Vec<_> = named.map(|key| key["thumbprint"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, [second.thumbprint(), third.thumbprint()]);
    assert_eq!(answer["added_keys"][0]["added_by"], stolen.thumbprint());
    app.revoke_key(&key, &token, &third).await.is(204);
    app.revoke_key(&key, &token, &second).await.is(204);
}

#[tokio::test]
async fn a_password_adds_the_first_key_and_no_other() {
    let app = TestApp::start_with(|setup| {
        setup.settings.dialects.jwks_server = true;
        setup.policy.passwords = Some(PasswordPolicy::default());
    });
    let app = app.await;
    let body = json!({ "username": "alice", "email": "alice@example.com" });
    let password = app.call("POST", "/register").json(&body).send().await;
    let credentials = json!({ "username": "alice", "password": password.is(201).text("password") });
    let bound = TestKey::number(1);
    let log_in = async || {
        let proof = app.proof(&bound, "POST", "/auth").claim("nonce", app.token_nonce());
        let call = app.call("POST", "/auth").json(&credentials).dpop(&proof.sign());
        call.send().await.is(200).text("token")
    };
    let token = log_in().await;
    let first = app.key_addition(&bound, &token, &TestKey::number(2)).send().await;
    assert_eq!(first.is(201).json()["added_by"], Value::Null);
    let second = app.key_addition(&bound, &log_in().await, &TestKey::number(3)).send().await;
    lacks(&second, "password");
}
