//! Browsers that are remembered: `remember` at registration and with a new key, expiry, limits.

use std::time::Duration;

use countersign_authority::model::credential::BrowserLives;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Jwt, Setup, TestApp, TestKey};

const HOUR: Duration = Duration::from_hours(1);
const LIVES: BrowserLives = BrowserLives { idle: Duration::from_hours(48), visit: HOUR };
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";

async fn app() -> TestApp {
    let change = |setup: &mut Setup| {
        setup.policy.browser_lives = LIVES;
        setup.policy.max_browsers_per_account = 2;
        setup.policy.tokens.lifetime = Duration::from_mins(30);
    };
    TestApp::start_with(change).await
}

fn registration(app: &TestApp, key: &TestKey, remember: &str) -> Call {
    let body = json!({ "username": "alice", "public_key": key.jwk(), "remember": remember });
    app.registration("alice", key).header("user-agent", FIREFOX).json(&body)
}

/// Alice, whose one credential is a browser.
async fn alice_in_browser(remember: &str) -> (TestApp, TestKey) {
    let (app, key) = (app().await, TestKey::number(1));
    registration(&app, &key, remember).send().await.is(201);
    (app, key)
}

async fn keys(app: &TestApp, key: &TestKey, token: &str) -> Vec<Value> {
    let answer = app.resource_request(key, token, "GET", "/v1/keys").send().await;
    answer.is(200).json()["keys"].as_array().unwrap().clone()
}

/// Adds a browser with `key`.
async fn add_browser(app: &TestApp, key: &TestKey, token: &str, browser: &TestKey) -> Answer {
    let mut body = app.new_key("alice", browser);
    body["remember"] = "browser".into();
    app.key_addition_saying(key, token, &body).header("user-agent", FIREFOX).send().await
}

#[tokio::test]
async fn a_browser_registers_with_its_kind_program_and_end() {
    let (app, key) = alice_in_browser("browser").await;
    let token = app.login("alice", &key).await;
    let listed = &keys(&app, &key, &token).await[0];
    assert_eq!(listed["kind"], "browser");
    assert_eq!(listed["label"], "Firefox on Linux");
    assert_eq!(listed["user_agent"], FIREFOX);
    assert_eq!(listed["last_address"], "192.0.2.1");
    assert_eq!(listed["expires_at"], (app.now() + LIVES.idle).as_secs());
}

#[tokio::test]
async fn remember_is_one_of_two_words() {
    let (app, key) = (app().await, TestKey::number(1));
    for other in ["", "none", "Browser", "forever"] {
        registration(&app, &key, other).send().await.is_problem(400, "invalid-request");
    }
    registration(&app, &key, "visit").send().await.is(201);
}

#[tokio::test]
async fn a_visit_ends_and_logins_do_not_put_that_off() {
    let (app, key) = alice_in_browser("visit").await;
    app.advance(Duration::from_mins(50));
    let answer = app.login_request("alice", &key).send().await;
    let answer = answer.is(200).json();
    assert_eq!(answer["expires_in"], 600, "the token ends with its credential");
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(Jwt::claims_of(token)["exp"], app.now().as_secs() + 600);
    app.whoami(&key, token).await.is(200);
    app.advance(Duration::from_mins(10));
    app.whoami(&key, token).await.is(401);
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn each_login_puts_the_end_of_a_browser_off() {
    let (app, key) = alice_in_browser("browser").await;
    for _ in 0..3 {
        app.advance(Duration::from_hours(47));
        let token = app.login("alice", &key).await;
        app.whoami(&key, &token).await.is(200);
        let listed = &keys(&app, &key, &token).await[0];
        assert_eq!(listed["expires_at"], (app.now() + LIVES.idle).as_secs());
    }
    app.advance(LIVES.idle);
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn requests_are_uses_of_the_key_that_signs_them() {
    let (app, key) = alice_in_browser("browser").await;
    let token = app.login("alice", &key).await;
    let login_at = app.now().as_secs();
    let last_used_at = async || {
        app.whoami(&key, &token).await.is(200);
        app.write_key_uses().await;
        keys(&app, &key, &token).await[0]["last_used_at"].clone()
    };
    app.advance(Duration::from_mins(9));
    assert_eq!(last_used_at().await, login_at, "it is exact to ten minutes");
    app.advance(Duration::from_mins(1));
    assert_eq!(last_used_at().await, app.now().as_secs());
}

#[tokio::test]
async fn an_expired_key_is_refused_everywhere_before_housekeeping_as_after() {
    let (app, browser) = alice_in_browser("browser").await;
    let token = app.login("alice", &browser).await;
    let file = TestKey::number(2);
    app.key_addition(&browser, &token, &file).send().await.is(201);
    app.advance(LIVES.idle);
    let own = app.login("alice", &file).await;
    for is_tidy in [false, true] {
        app.login_request("alice", &browser).send().await.is_oauth_error(400, "invalid_grant");
        app.whoami(&browser, &token).await.is(401);
        let listed = keys(&app, &file, &own).await;
        assert_eq!(listed[0]["revoked_at"].is_u64(), is_tidy);
        let again = app.key_addition(&file, &own, &browser).send().await;
        again.is_problem(409, "key-taken");
        app.maintain().await;
    }
    let events = app.event_names(&file, &own).await;
    assert_eq!(events.iter().filter(|event| *event == "key.expired").count(), 1, "{events:?}");
}

#[tokio::test]
async fn the_browser_that_was_used_longest_ago_makes_room_and_its_tokens_end() {
    let app = app().await;
    let file = TestKey::number(1);
    let token = app.enrol("alice", &file).await;
    let browsers = [2, 3, 4].map(TestKey::number);
    let mut tokens = Vec::new();
    for browser in &browsers[..2] {
        add_browser(&app, &file, &token, browser).await.is(201);
        app.advance(Duration::from_secs(1));
        tokens.push(app.login("alice", browser).await);
    }
    app.whoami(&browsers[0], &tokens[0]).await.is(200);
    let added = add_browser(&app, &file, &token, &browsers[2]).await.is(201).json();
    assert_eq!((&added["kind"], &added["label"]), (&"browser".into(), &"Firefox on Linux".into()));
    app.whoami(&browsers[0], &tokens[0]).await.is(401);
    app.whoami(&browsers[1], &tokens[1]).await.is(200);
    app.write_trail().await;
    let events = app.resource_request(&file, &token, "GET", "/v1/events").send().await.json();
    let revoked = events["events"].as_array().unwrap().iter();
    let revoked = revoked.filter(|event| event["event"] == "key.revoked").collect::<Vec<_>>();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0]["thumbprint"], browsers[0].thumbprint());
    assert!(revoked[0]["detail"].as_str().unwrap().contains("longest ago"), "{revoked:?}");
}

#[tokio::test]
async fn a_token_ends_with_the_browser_that_it_is_bound_to() {
    let (app, file, browser) = (app().await, TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &file).await;
    let session = app.login_with_session_key("alice", &file, &browser).await;
    app.whoami(&browser, &session).await.is(200);
    add_browser(&app, &file, &token, &browser).await.is(201);
    app.whoami(&browser, &session).await.is(200);
    app.revoke_key(&file, &token, &browser).await.is(204);
    app.whoami(&browser, &session).await.is(401);
    app.whoami(&file, &token).await.is(200);
}

#[tokio::test]
async fn a_visit_signs_out_though_it_is_the_only_credential() {
    let (app, key) = alice_in_browser("visit").await;
    let token = app.login("alice", &key).await;
    app.revoke_key(&key, &token, &key).await.is(204);
    app.whoami(&key, &token).await.is(401);
}
