//! Another passkey for an account.

use std::time::Duration;

use countersign_testkit::{authenticator::Authenticator, keys};
use serde_json::{Value, json};

use crate::support::{ISSUER, TestApp, TestKey, synced};

fn browser() -> TestKey {
    TestKey::number(11)
}

/// Alice, with the synced passkey 1 and a token of the remembered browser's own key.
async fn alice() -> (TestApp, Authenticator, String) {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    (app, passkey, token)
}

async fn made(app: &TestApp, token: &str, new: &mut Authenticator) -> Value {
    json!({ "passkey": new.create(&app.addition_options(&browser(), token).await) })
}

#[tokio::test]
async fn a_browser_adds_a_passkey_with_the_word_of_one_that_there_is() {
    let (app, mut passkey, token) = alice().await;
    let mut new = Authenticator::with_key(keys::from_pem(keys::EC_P256_PEM), ISSUER);
    let mut body = made(&app, &token, &mut new).await;
    body["label"] = "YubiKey".into();
    let session = (&browser(), &*token);
    let without = app.covering_request(session, "POST", "/v1/passkeys", &body).send().await;
    assert_eq!(without.is_problem(403, "step-up-needed").json()["lack"], "passkey");
    let request = app.stepped_up_request(session, &mut passkey, ("POST", "/v1/passkeys", &body));
    let added = request.await.send().await.is(201).json();
    assert_eq!(added["kind"], "passkey");
    assert_eq!(added["label"], "YubiKey");
    assert_eq!(added["added_by"], browser().thumbprint());
    assert_eq!(added["passkey"]["sign_count"], 1);
    app.sign_in(&TestKey::number(2), &mut new).await.is(200);
}

#[tokio::test]
async fn the_options_name_the_passkeys_that_there_are_and_keep_the_user_handle() {
    let (app, passkey, token) = alice().await;
    let options = app.addition_options(&browser(), &token).await;
    let excluded = options["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.len(), 1);
    assert_eq!(excluded[0]["transports"], json!(["hybrid", "internal"]));
    let handle = countersign_protocol::strict::base64url::encode(&passkey.user_handle.unwrap());
    assert_eq!(options["user"]["id"], handle);
}

#[tokio::test]
async fn the_first_passkey_takes_a_fresh_login_of_the_browser() {
    let app = TestApp::start().await;
    let remembered = json!({
        "username": "alice", "public_key": browser().jwk(), "remember": "browser",
    });
    app.registration("alice", &browser()).json(&remembered).send().await.is(201);
    let token = app.login("alice", &browser()).await;
    app.advance(Duration::from_secs(301));
    let mut new = synced(1);
    let body = made(&app, &token, &mut new).await;
    let session = (&browser(), &*token);
    let stale = app.covering_request(session, "POST", "/v1/passkeys", &body).send().await;
    assert_eq!(stale.is_problem(403, "step-up-needed").json()["lack"], "fresh-login");
    let challenge = stale.header("www-authenticate");
    assert!(challenge.contains("max_age=\"300\"") && !challenge.contains("acr"), "{challenge}");
    let token = app.login("alice", &browser()).await;
    let session = (&browser(), &*token);
    app.covering_request(session, "POST", "/v1/passkeys", &body).send().await.is(201);
    app.sign_in(&TestKey::number(2), &mut new).await.is(200);
}

#[tokio::test]
async fn a_passkey_that_was_made_for_one_account_or_browser_serves_no_other() {
    let (app, mut passkey, token) = alice().await;
    let program = TestKey::number(12);
    let bobs = app.enrol("bob", &program).await;
    let body = made(&app, &token, &mut synced(2)).await;
    let answer = app.covering_request((&program, &bobs), "POST", "/v1/passkeys", &body);
    answer.send().await.is_problem(400, "invalid-proof");
    let other = TestKey::number(13);
    let others = app.sign_in(&other, &mut passkey).await.is(200).text("access_token");
    let session = (&other, &*others);
    let request = app.stepped_up_request(session, &mut passkey, ("POST", "/v1/passkeys", &body));
    let answer = request.await.send().await;
    assert!(answer.is_problem(400, "invalid-proof").text("detail").contains("another key"));
}

#[tokio::test]
async fn a_challenge_makes_one_passkey_and_no_second() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &browser()).await;
    let options = app.addition_options(&browser(), &token).await;
    let session = (&browser(), &*token);
    let add = |mut new: Authenticator| {
        let body = json!({ "passkey": new.create(&options) });
        app.covering_request(session, "POST", "/v1/passkeys", &body).send()
    };
    add(synced(1)).await.is(201);
    let detail = add(synced(2)).await.is_problem(400, "invalid-proof").text("detail");
    assert!(detail.contains("answered before"), "{detail}");
}

#[tokio::test]
async fn a_key_in_a_file_adds_a_passkey_by_its_signature_alone() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &browser()).await;
    let body = made(&app, &token, &mut synced(1)).await;
    let session = (&browser(), &*token);
    app.covering_request(session, "POST", "/v1/passkeys", &body).send().await.is(201);
}

#[tokio::test]
async fn the_number_of_passkeys_has_a_limit_of_its_own() {
    let app = TestApp::start_with(|setup| setup.policy.max_passkeys_per_account = 1).await;
    let token = app.enrol("alice", &browser()).await;
    for (number, status) in [(1, 201), (2, 409)] {
        let body = made(&app, &token, &mut synced(number)).await;
        let session = (&browser(), &*token);
        app.covering_request(session, "POST", "/v1/passkeys", &body).send().await.is(status);
    }
}

#[tokio::test]
async fn a_passkey_is_renamed_like_every_key() {
    let (app, mut passkey, token) = alice().await;
    let path = format!("/v1/keys/{}", passkey.thumbprint());
    let body = json!({ "label": "phone" });
    let session = (&browser(), &*token);
    let request = app.stepped_up_request(session, &mut passkey, ("PATCH", &path, &body)).await;
    let renamed = request.send().await.is(200).json();
    assert_eq!(renamed["label"], "phone");
    assert_eq!(renamed["passkey"]["backed_up"], true);
}
