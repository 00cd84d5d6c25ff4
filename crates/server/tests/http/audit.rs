//! What the audit trail says of what happened, and what not.

use std::time::Duration;

use countersign_authority::model::audit::{AuditFilter, RecordedEvent};
use countersign_authority::{model::policy::Enrolment, ports::Retention};
use countersign_testkit::samples::address;
use serde_json::json;

use crate::support::{Call, TestApp, TestKey};

/// The newest event, after everything that waits was written down.
async fn newest(app: &TestApp) -> RecordedEvent {
    app.write_trail().await;
    app.admin().events(&AuditFilter::default(), 1).await.unwrap().remove(0)
}

/// Sends `call` from 192.0.2.9, and returns what was recorded: event, key and detail.
async fn recorded(app: &TestApp, call: Call, status: u16) -> (String, Option<String>, String) {
    let before = newest(app).await.id;
    let answer = call.peer("192.0.2.9").send().await;
    assert_eq!(answer.status, status, "{answer:?}");
    let RecordedEvent { id, event, .. } = newest(app).await;
    assert_eq!(id, before + 1, "one event: {event:?}");
    assert_eq!(event.address, Some(address(9)), "{event:?}");
    assert_eq!(event.at, app.now());
    let thumbprint = event.thumbprint.map(|thumbprint| thumbprint.to_string());
    (event.kind.name().to_owned(), thumbprint, event.detail.unwrap_or_default())
}

/// Sends `call`, which must leave no trace.
async fn not_recorded(app: &TestApp, call: Call, status: u16) {
    let before = newest(app).await.id;
    let answer = call.send().await;
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(newest(app).await.id, before, "{answer:?}");
}

fn event(name: &str, key: &TestKey, detail: &str) -> (String, Option<String>, String) {
    (name.to_owned(), Some(key.thumbprint()), detail.to_owned())
}

#[tokio::test]
async fn a_life_of_keys_and_tokens_is_recorded() {
    let app = TestApp::start().await;
    let (key, new) = (TestKey::number(1), TestKey::number(2));
    let registration = app.registration("alice", &key);
    assert_eq!(recorded(&app, registration, 201).await, event("account.registered", &key, ""));
    let login = app.login_request("alice", &key);
    assert_eq!(recorded(&app, login, 200).await, event("login.succeeded", &key, ""));
    let token = app.login("alice", &key).await;

    let by = format!("by {}", key.thumbprint());
    let addition = app.key_addition(&key, &token, &new);
    assert_eq!(recorded(&app, addition, 201).await, event("key.added", &new, &by));
    let path = format!("/v1/keys/{}", new.thumbprint());
    let revocation = app.resource_request(&key, &token, "DELETE", &path);
    assert_eq!(recorded(&app, revocation, 204).await, event("key.revoked", &new, &by));
    let end = app.call("POST", "/oauth/revoke").param("token", &token);
    assert_eq!(recorded(&app, end, 200).await, event("token.revoked", &key, ""));
}

#[tokio::test]
async fn a_login_with_a_revoked_key_is_recorded() {
    let app = TestApp::start().await;
    let (key, old) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    app.revoke_key(&key, &token, &old).await.is(204);
    let login = app.login_request("alice", &old);
    let expected = event("login.refused", &old, "the key is revoked");
    assert_eq!(recorded(&app, login, 400).await, expected);
    let own = app.event_names(&key, &token).await;
    assert_eq!(own[0], "login.refused", "its owner can read it");
}

#[tokio::test]
async fn what_comes_twice_is_recorded() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let call = app.resource_request(&key, &token, "GET", "/v1/whoami");
    call.clone().send().await.is(200);
    let expected = event("proof.replayed", &key, "the proof was used before");
    assert_eq!(recorded(&app, call, 401).await, expected);

    let assertion = app.assertion("alice", &key).sign();
    let login = || app.token_request(&assertion, &app.token_proof(&key).sign());
    login().send().await.is(200);
    let expected = event("proof.replayed", &key, "the assertion was used before");
    assert_eq!(recorded(&app, login(), 400).await, expected);

    // In another hour, or the first of these entries would count it.
    app.advance(Duration::from_hours(1));
    let proof = app.token_proof(&key).sign();
    let login = || app.token_request(&app.assertion("alice", &key).sign(), &proof);
    login().send().await.is(200);
    let expected = event("proof.replayed", &key, "the proof was used before");
    assert_eq!(recorded(&app, login(), 400).await, expected);
}

#[tokio::test]
async fn a_token_in_the_wrong_hands_is_recorded_for_its_owner() {
    let app = TestApp::start().await;
    let (key, thief) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    let alone = app.resource_request(&key, &token, "GET", "/v1/whoami").without_header("dpop");
    let with_his_key = app.resource_request(&thief, &token, "GET", "/v1/whoami");
    let elsewhere = app.resource_proof(&key, &token, "GET", "/v1/whoami").sign();
    let elsewhere = app.presenting(&token, &elsewhere, "GET", "/v1/keys");
    for (call, reason) in [
        (alone, "a DPoP proof is needed: the DPoP header is missing"),
        (with_his_key, "the token is bound to another key"),
        (elsewhere, "htu does not match the request's URI"),
    ] {
        let expected = event("token.refused", &key, reason);
        assert_eq!(recorded(&app, call, 401).await, expected);
    }
    app.revoke_token(&token).await.is(200);
    let revoked = app.resource_request(&key, &token, "GET", "/v1/whoami");
    let expected = event("token.refused", &key, "the token has been revoked");
    assert_eq!(recorded(&app, revoked, 401).await, expected);
    let token = app.login("alice", &key).await;
    let own = app.event_names(&key, &token).await;
    assert_eq!(own.iter().filter(|name| *name == "token.refused").count(), 4);
}

#[tokio::test]
async fn an_asserting_key_that_asks_for_too_much_is_recorded() {
    let app = TestApp::start().await;
    let (key, other) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &key).await;
    let scope = app.login_request("alice", &key).param("scope", "admin");
    assert_eq!(recorded(&app, scope, 400).await.0, "login.refused");
    let target = app.login_request("alice", &key).param("resource", "x");
    assert_eq!(recorded(&app, target, 400).await.0, "login.refused");
    let vouching = app.assertion("alice", &key).claim("cnf", json!({ "jkt": key.thumbprint() }));
    let vouching = vouching.header("kid", key.thumbprint()).sign();
    let binding = app.token_request(&vouching, &app.token_proof(&other).sign());
    assert_eq!(recorded(&app, binding, 400).await.0, "login.refused");
    let late = app.assertion("alice", &key).claim("exp", app.now().as_secs() - 10).sign();
    let late = app.token_request(&late, &app.token_proof(&key).sign());
    assert_eq!(
        recorded(&app, late, 400).await.2,
        "the assertion has expired by the clock here, which the Date header tells; check the clock"
    );
}

#[tokio::test]
async fn a_stolen_token_that_is_sent_as_a_bearer_token_is_recorded() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let thief = app.call("GET", "/v1/whoami").header("authorization", format!("Bearer {token}"));
    let (kind, thumbprint, _) = recorded(&app, thief, 401).await;
    assert_eq!((kind.as_str(), thumbprint), ("token.refused", Some(key.thumbprint())));
}

#[tokio::test]
async fn a_registration_with_a_wrong_code_is_recorded() {
    let app = TestApp::start_with(|setup| setup.policy.enrolment = Enrolment::Invited).await;
    let key = TestKey::number(1);
    let wrong = app.registration_with_code("alice", &key, "csi_wrong");
    let (name, _, detail) = recorded(&app, wrong, 403).await;
    assert_eq!(
        (name.as_str(), detail.as_str()),
        ("registration.refused", "the enrolment code does not work")
    );
    let without = app.registration("alice", &key);
    assert_eq!(recorded(&app, without, 403).await.0, "registration.refused");
}

#[tokio::test]
async fn noise_is_not_recorded() {
    let app = TestApp::start().await;
    let (key, stranger) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    not_recorded(&app, app.call("GET", "/v1/whoami"), 401).await;
    not_recorded(&app, app.login_request("nobody", &stranger), 400).await;
    not_recorded(&app, app.login_request("alice", &stranger), 400).await;
    not_recorded(&app, app.registration("alice", &stranger), 409).await;
    not_recorded(&app, app.registration("not a name", &stranger), 400).await;
    let call = |jwt: crate::support::Jwt| app.presenting(&token, &jwt.sign(), "GET", "/v1/whoami");
    let proof = || app.resource_proof(&key, &token, "GET", "/v1/whoami");
    not_recorded(&app, call(proof().without("nonce")), 401).await;
    not_recorded(&app, call(proof().claim("iat", 1)), 401).await;
    not_recorded(&app, app.call("POST", "/oauth/revoke").param("token", "x"), 200).await;
    let own = app.resource_request(&key, &token, "GET", "/v1/keys");
    not_recorded(&app, own, 200).await;
}

#[tokio::test]
async fn a_flood_of_refusals_is_one_entry_that_says_how_many() {
    let app = TestApp::start_with(|setup| {
        setup.policy.enrolment = Enrolment::Closed;
        setup.policy.limits = None;
        setup.settings.metrics_readers = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let call = app.registration("alice", &TestKey::number(1));
    for _ in 0..4100 {
        call.clone().send().await.is(403);
    }
    app.write_trail().await;
    let metrics = app.call("GET", "/metrics").send().await;
    assert!(metrics.is(200).body.contains("countersign_audit_events_dropped_total 0\n"));
    let all = app.admin().events(&AuditFilter::default(), 10).await.unwrap();
    let refused: Vec<_> = all.iter().map(|recorded| recorded.event.times()).collect();
    assert_eq!(refused[0], 4100);
    assert!(refused[1..].iter().all(|times| *times == 1), "{refused:?}");
}

#[tokio::test]
async fn replays_without_number_push_out_nothing_that_happened_to_the_account() {
    let app = TestApp::start_with(|setup| setup.policy.limits = None).await;
    let (key, other) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("victim", &key).await;
    let stolen = app.enrol("mallory", &other).await;
    let replayed = app.resource_proof(&other, &stolen, "GET", "/v1/whoami").sign();
    let replay = app.presenting(&stolen, &replayed, "GET", "/v1/whoami");
    for _ in 0..500 {
        replay.clone().send().await;
    }
    app.write_trail().await;
    let policy = app.authority().core.policy().retention;
    let retention = Retention { max_refusals: 10, max_events: 10, max_uses: 10, ..policy };
    app.ports().store.prune(app.now(), &retention).await.unwrap();
    let names = app.event_names(&key, &token).await;
    assert_eq!(names, ["login.succeeded", "account.registered"]);
    let events = app.resource_request(&other, &stolen, "GET", "/v1/events").send().await;
    let newest = events.is(200).json()["events"][0].clone();
    assert_eq!((&newest["event"], &newest["times"]), (&json!("proof.replayed"), &json!(499)));
    assert_eq!(newest["last_at"], app.now().as_secs());
}
