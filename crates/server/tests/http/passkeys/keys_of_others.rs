//! A passkey's registration signs nothing, so anybody can make one for a public key of somebody else: of a
//! session, of a password's token, of an account that has not proven its key. It takes nothing from them, neither
//! while it is there nor when it is revoked.

use countersign_authority::model::policy::PasswordPolicy;
use countersign_protocol::strict::base64;
use countersign_server::Dialects;
use serde_json::{Value, json};

use crate::support::{Answer, Setup, TestApp, TestKey, synced};

/// The key of somebody else, and of the authenticator of [`synced`] number 1.
fn theirs() -> TestKey {
    TestKey::number(1_001)
}

fn mallory() -> TestKey {
    TestKey::number(7)
}

async fn with_dialects() -> TestApp {
    let all = |setup: &mut Setup| {
        setup.settings.dialects = Dialects::default();
        setup.policy.passwords = Some(PasswordPolicy::default());
    };
    TestApp::start_with(all).await
}

/// Mallory adds a passkey with their key to an account of her own.
async fn take(app: &TestApp) -> String {
    let token = app.enrol("mallory", &mallory()).await;
    let options = app.addition_options(&mallory(), &token).await;
    let body = json!({ "passkey": synced(1).create(&options) });
    let added = app.covering_request((&mallory(), &token), "POST", "/v1/passkeys", &body);
    added.send().await.is(201);
    token
}

/// And revokes it again.
async fn give_up(app: &TestApp, token: &str) {
    let path = format!("/v1/keys/{}", synced(1).thumbprint());
    app.resource_request(&mallory(), token, "DELETE", &path).send().await.is(204);
    // It is not known under the thumbprint of the key itself.
    app.revoke_key(&mallory(), token, &theirs()).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_passkey_with_the_key_of_a_session_ends_no_session() {
    let app = TestApp::start().await;
    let alice = TestKey::number(1);
    app.register("alice", &alice).await;
    let session = app.login_with_session_key("alice", &alice, &theirs()).await;
    let token = take(&app).await;
    app.whoami(&theirs(), &session).await.is(200);
    give_up(&app, &token).await;
    app.whoami(&theirs(), &session).await.is(200);
    app.login_with_session_key("alice", &alice, &theirs()).await;
}

#[tokio::test]
async fn a_passkey_with_the_key_of_a_passwords_token_ends_no_token() {
    let app = with_dialects().await;
    let body = json!({ "username": "carol", "email": "carol@example.com" });
    let password =
        app.call("POST", "/register").json(&body).send().await.json()["password"].clone();
    let log_in = async || -> Answer {
        let proof = app.proof(&theirs(), "POST", "/auth").claim("nonce", app.token_nonce()).sign();
        let credentials = json!({ "username": "carol", "password": password });
        app.call("POST", "/auth").json(&credentials).dpop(&proof).send().await
    };
    let session = log_in().await.is(200).text("token");
    let token = take(&app).await;
    app.whoami(&theirs(), &session).await.is(200);
    give_up(&app, &token).await;
    app.whoami(&theirs(), &session).await.is(200);
    log_in().await.is(200);
}

#[tokio::test]
async fn a_passkey_with_a_key_that_an_account_claims_takes_no_claim() {
    let app = with_dialects().await;
    let theirs = theirs();
    let body = json!({ "user_id": "alice", "public_key": theirs.spki_base64() });
    app.call("POST", "/register").json(&body).send().await.is(200);
    let token = take(&app).await;
    signs_a_message(&app, &theirs).await;
    give_up(&app, &token).await;
    signs_a_message(&app, &theirs).await;
    app.login("alice", &theirs).await;
    let set: Value = app.call("GET", "/v1/accounts/alice/jwks.json").send().await.is(200).json();
    assert_eq!(set["keys"][0]["kid"], theirs.thumbprint());
}

/// Alice enters by *signjwt*.
async fn signs_a_message(app: &TestApp, key: &TestKey) {
    let login = app.call("POST", "/login").json(&json!({ "user_id": "alice" }));
    let session = login.send().await.is(200).json();
    let text = |name: &str| session[name].as_str().unwrap();
    let signature = key.sign([text("nonce"), text("jwt")].concat().as_bytes());
    let message = json!({ "jwt": text("jwt"), "signed_message": base64::encode(&signature) });
    app.call("POST", "/protected").json(&message).send().await.is(200);
}

#[tokio::test]
async fn the_largest_passkey_is_taken_and_a_larger_id_is_not() {
    let app = TestApp::start().await;
    for (length, status) in [(1023, 201), (1024, 400), (0, 400)] {
        let mut passkey = synced(u64::try_from(length).unwrap());
        passkey.id = vec![7; length];
        let browser = TestKey::number(10 + u64::try_from(length).unwrap());
        let name = format!("with-{length}");
        let made = passkey.create(&app.registration_options(&browser, &name).await);
        let answer = app.registration_with_passkey(&name, &browser, &made).send().await;
        assert_eq!(answer.status, status, "{length}: {}", answer.body);
    }
}
