//! An account with a passkey from the beginning: account, browser and passkey at once, or nothing.

use countersign_testkit::authenticator::Authenticator;
use serde_json::json;

use crate::support::{TestApp, TestKey, synced};

/// Makes an authenticator or a page say something else.
type Spoil = fn(&mut Authenticator);

fn browser() -> TestKey {
    TestKey::number(1)
}

#[tokio::test]
async fn account_browser_and_passkey_come_to_be_at_once() {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    let keys = app.resource_request(&browser(), &token, "GET", "/v1/keys").send().await.json();
    let kinds = keys["keys"].as_array().unwrap().iter().map(|key| key["kind"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["browser", "passkey"]);
    assert_eq!(keys["keys"][1]["label"], "passkey");
    let events = app.event_names(&browser(), &token).await;
    assert_eq!(events, ["login.succeeded", "key.added", "account.registered"]);
}

#[tokio::test]
async fn a_passkey_that_is_refused_leaves_no_account() {
    let app = TestApp::start().await;
    let cases: &[Spoil] = &[
        |passkey| passkey.origin = "https://evil.example".to_owned(),
        |passkey| passkey.rp_id = Some("evil.example".to_owned()),
        |passkey| passkey.flags.user_verified = false,
        |passkey| passkey.flags.user_present = false,
        |passkey| passkey.cross_origin = true,
    ];
    for spoil in cases {
        let mut passkey = synced(1);
        spoil(&mut passkey);
        let made = passkey.create(&app.registration_options(&browser(), "alice").await);
        let answer = app.registration_with_passkey("alice", &browser(), &made).send().await;
        answer.is_problem(400, "invalid-proof");
    }
    app.register_with_passkey("alice", &browser(), &mut synced(1)).await;
}

#[tokio::test]
async fn a_passkey_that_was_made_for_one_browser_registers_no_other() {
    let app = TestApp::start().await;
    let made = synced(1).create(&app.registration_options(&browser(), "alice").await);
    let other = TestKey::number(2);
    let answer = app.registration_with_passkey("alice", &other, &made).send().await;
    assert!(answer.is_problem(400, "invalid-proof").text("detail").contains("another key"));
    app.registration_with_passkey("alice", &browser(), &made).send().await.is(201);
}

#[tokio::test]
async fn a_passkey_registers_once_whatever_the_name_and_the_key() {
    let app = TestApp::start().await;
    let made = synced(1).create(&app.registration_options(&browser(), "alice").await);
    app.registration_with_passkey("alice", &browser(), &made).send().await.is(201);
    let again = app.registration_with_passkey("bob", &browser(), &made).send().await;
    again.is_problem(409, "key-taken");
    let other = TestKey::number(2);
    let made = synced(1).create(&app.registration_options(&other, "bob").await);
    app.registration_with_passkey("bob", &other, &made).send().await.is_problem(409, "key-taken");
    let mut same_id = synced(2);
    same_id.id = synced(1).id;
    let made = same_id.create(&app.registration_options(&other, "bob").await);
    app.registration_with_passkey("bob", &other, &made).send().await.is_problem(409, "key-taken");
    app.call("GET", "/v1/accounts/bob/jwks.json").send().await.is(404);
}

#[tokio::test]
async fn a_challenge_for_signing_in_or_adding_registers_nobody() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &browser()).await;
    let add = app.addition_options(&browser(), &token).await;
    let register = app.registration_options(&TestKey::number(2), "bob").await;
    let sign_in = app.sign_in_options(&TestKey::number(2)).await;
    for (key, challenge) in
        [(browser(), &add["challenge"]), (TestKey::number(2), &sign_in["challenge"])]
    {
        let mut options = register.clone();
        options["challenge"] = challenge.clone();
        let made = synced(3).create(&options);
        let answer = app.registration_with_passkey("bob", &key, &made).send().await;
        answer.is_problem(400, "invalid-proof");
    }
}

#[tokio::test]
async fn the_passkey_of_an_account_is_nobody_elses_signer() {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    // The authenticator's key, if somebody could sign with it at will.
    let key = TestKey::number(1_001);
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
    let set = app.call("GET", "/v1/accounts/alice/jwks.json").send().await.is(200).json();
    assert_eq!(set["keys"], json!([]));
}

/// Nobody signs at a registration, so Mallory can register the public key of somebody else. To its
/// owner that means nothing.
#[tokio::test]
async fn a_passkey_with_somebody_elses_key_takes_nothing_from_them() {
    let app = TestApp::start().await;
    // The key of that authenticator.
    let key = TestKey::number(1_001);
    app.register_with_passkey("mallory", &browser(), &mut synced(1)).await;
    app.register("alice", &key).await;
    let token = app.login("alice", &key).await;
    let keys = app.resource_request(&key, &token, "GET", "/v1/keys").send().await.is(200).json();
    assert_eq!(keys["keys"][0]["thumbprint"], key.thumbprint());
}
