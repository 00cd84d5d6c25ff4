//! What a page gets before it makes or uses a passkey.

use std::time::Duration;

use countersign_authority::{
    accounts::administration::NewInvitation,
    model::{
        limits::RateLimit,
        policy::{Enrolment, Limits},
    },
};
use countersign_testkit::samples::scopes;
use serde_json::{Value, json};

use crate::support::{TestApp, TestKey, synced};

#[tokio::test]
async fn to_sign_in_any_passkey_will_do_and_nobody_is_named() {
    let app = TestApp::start().await;
    let (browser, mut passkey) = (TestKey::number(1), synced(1));
    app.register_with_passkey("alice", &browser, &mut passkey).await;
    let options = app.sign_in_options(&TestKey::number(2)).await;
    assert_eq!(options["allowCredentials"], json!([]));
    assert_eq!(options["userVerification"], "required");
    assert_eq!(options["rpId"], "auth.example");
    assert_eq!(options["timeout"], 300_000);
    let again = app.sign_in_options(&TestKey::number(2)).await;
    assert_ne!(options["challenge"], again["challenge"]);
}

#[tokio::test]
async fn to_register_the_authenticator_must_keep_the_passkey_and_verify_its_user() {
    let app = TestApp::start().await;
    let options = app.registration_options(&TestKey::number(1), "alice").await;
    assert_eq!(options["rp"], json!({ "id": "auth.example", "name": "auth.example" }));
    assert_eq!(options["user"]["name"], "alice");
    assert_eq!(options["user"]["id"].as_str().unwrap().len(), 43, "32 bytes");
    let selection = json!({
        "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
    });
    assert_eq!(options["authenticatorSelection"], selection);
    assert_eq!(options["attestation"], "none");
    let algorithms: Vec<_> = options["pubKeyCredParams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameters| parameters["alg"].as_i64().unwrap())
        .collect();
    assert_eq!(algorithms, [-8, -7, -257]);
    assert_eq!(options["excludeCredentials"], json!([]));
}

#[tokio::test]
async fn a_name_that_is_not_to_be_had_is_told_before_a_passkey_is_made_for_it() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let ask = |name: &str| {
        let body = json!({ "purpose": "register", "username": name });
        app.options_request(&TestKey::number(2), &body).send()
    };
    ask("Alice").await.is_problem(409, "username-taken");
    for none in ["no name", &"a".repeat(65), "admin", "alice@victim.example"] {
        ask(none).await.is_problem(400, "invalid-username");
    }
    let closed = TestApp::start_with(|setup| setup.policy.enrolment = Enrolment::Closed).await;
    let body = json!({ "purpose": "register", "username": "bob" });
    let answer = closed.options_request(&key, &body).send().await;
    answer.is_problem(403, "enrolment-closed");
}

#[tokio::test]
async fn by_invitation_there_are_options_for_a_working_code_and_nobody_else_learns_who_is_there() {
    let mut app = TestApp::start().await;
    app.register("alice", &TestKey::number(1)).await;
    app.restart_with(|setup| setup.policy.enrolment = Enrolment::Invited).await;
    let ask = |name: &str, code: Option<&str>| {
        let mut body = json!({ "purpose": "register", "username": name });
        if let Some(code) = code {
            body["enrolment_code"] = code.into();
        }
        app.options_request(&TestKey::number(2), &body).send()
    };
    for name in ["alice", "bob"] {
        let refused = ask(name, None).await;
        refused.is_problem(403, "enrolment-closed");
        assert_eq!(refused.json()["lack"], "enrolment-code");
        ask(name, Some("csi_nonsense")).await.is_problem(403, "enrolment-code");
    }
    let expires_at = app.now() + Duration::from_hours(1);
    let invitation = NewInvitation { username: None, scopes: scopes(""), expires_at };
    let code = app.admin().invite(invitation).await.unwrap().reveal().to_owned();
    ask("alice", Some(&code)).await.is_problem(409, "username-taken");
    ask("bob", Some(&code)).await.is(200);
    ask("bob", Some(&code)).await.is(200);
}

#[tokio::test]
async fn options_are_for_a_key_and_come_with_a_nonce_for_its_proof() {
    let app = TestApp::start().await;
    let ask = |body: Value| app.call("POST", "/v1/passkeys/options").json(&body).send();
    ask(json!({ "purpose": "sign-in" })).await.is_problem(400, "invalid-json");
    let of_nothing = ask(json!({ "purpose": "sign-in", "dpop_jkt": "x" })).await;
    let detail = of_nothing.is_problem(400, "invalid-request").text("detail");
    assert!(detail.contains("dpop_jkt"), "{detail}");
    let body = json!({ "purpose": "sign-in" });
    let options = app.options_request(&TestKey::number(1), &body).send().await;
    assert!(!options.is(200).header("dpop-nonce").is_empty());
}

#[tokio::test]
async fn who_asks_for_names_is_counted_like_who_registers_them() {
    let app = TestApp::start_with(|setup| {
        let registrations = RateLimit { burst: 1, ..Limits::default().registrations };
        setup.policy.limits = Some(Limits { registrations, ..Limits::default() });
    })
    .await;
    app.registration_options(&TestKey::number(1), "alice").await;
    let body = json!({ "purpose": "register", "username": "bob" });
    let answer = app.options_request(&TestKey::number(1), &body).send().await;
    answer.is_problem(429, "rate-limited");
    app.sign_in_options(&TestKey::number(1)).await;
}

#[tokio::test]
async fn ten_thousand_requests_for_options_leave_nothing_behind() {
    let app = TestApp::start_with(|setup| setup.policy.limits = None).await;
    let key = TestKey::number(1);
    let entries = || app.ports().state.replay_log.entries();
    let before = entries();
    let body = json!({ "purpose": "sign-in" });
    let request = app.options_request(&key, &body);
    for _ in 0..10_000 {
        request.clone().send().await.is(200);
    }
    assert_eq!(entries(), before);
}

#[tokio::test]
async fn where_there_are_no_passkeys_there_are_no_options() {
    let app = TestApp::start_with(|setup| setup.policy.passkeys = None).await;
    let body = json!({ "purpose": "sign-in" });
    let answer = app.options_request(&TestKey::number(1), &body).send().await;
    answer.is_problem(404, "not-found");
    app.call("GET", "/.well-known/webauthn").send().await.is_problem(404, "not-found");
}

#[tokio::test]
async fn the_origins_whose_pages_may_use_passkeys_are_published() {
    let app = TestApp::start_with(|setup| {
        let policy = setup.policy.passkeys.as_mut().unwrap();
        policy.origins.push("https://shop.example".parse().unwrap());
    })
    .await;
    let answer = app.call("GET", "/.well-known/webauthn").send().await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    let origins = json!({ "origins": ["https://auth.example", "https://shop.example"] });
    assert_eq!(answer.json(), origins);
}
