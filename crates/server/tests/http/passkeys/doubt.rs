//! A script in the page of an account without passkeys can add one of its own. Its owner must not be shut out by
//! that.

use std::time::Duration;

use countersign_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, TestKey, synced};

const DAY: Duration = Duration::from_hours(24);

fn browser() -> TestKey {
    TestKey::number(11)
}

/// Alice, whose browser is remembered and who has no passkey.
async fn alice() -> TestApp {
    let app = TestApp::start().await;
    let remembered =
        json!({ "username": "alice", "public_key": browser().jwk(), "remember": "browser" });
    app.registration("alice", &browser()).json(&remembered).send().await.is(201);
    app.advance(Duration::from_secs(1));
    app
}

/// Adds a passkey by the browser's fresh login alone, and returns its key as in the list.
async fn add_unvouched(app: &TestApp, new: &mut Authenticator) -> Value {
    let token = app.login("alice", &browser()).await;
    let body = json!({ "passkey": new.create(&app.addition_options(&browser(), &token).await) });
    let add = app.covering_request((&browser(), &token), "POST", "/v1/passkeys", &body);
    add.send().await.is(201).json()
}

async fn remove(app: &TestApp, session: (&TestKey, &str), passkey: &Authenticator) -> Answer {
    let path = format!("/v1/keys/{}", passkey.thumbprint());
    app.resource_request(session.0, session.1, "DELETE", &path).send().await
}

fn lacks(answer: &Answer, what: &str) {
    let body = answer.is_problem(403, "step-up-needed").json();
    assert_eq!(body["lack"], what, "{body}");
}

#[tokio::test]
async fn a_browser_removes_a_passkey_that_none_vouched_for_with_a_fresh_login() {
    let app = alice().await;
    let mut strange = synced(1);
    let added = add_unvouched(&app, &mut strange).await;
    let until = added["created_at"].as_u64().unwrap() + 7 * 86_400;
    assert_eq!(added["passkey"]["in_doubt_until"], until);
    let token = app.login("alice", &browser()).await;
    app.advance(Duration::from_mins(6));
    lacks(&remove(&app, (&browser(), &token), &strange).await, "fresh-login");
    let token = app.login("alice", &browser()).await;
    remove(&app, (&browser(), &token), &strange).await.is(204);
    // What it had allowed itself ends with it, and the account is as it was.
    app.sign_in(&TestKey::number(2), &mut strange).await.is_oauth_error(400, "invalid_grant");
    app.key_addition(&browser(), &token, &TestKey::number(50)).send().await.is(201);
    app.write_trail().await;
    let events = app.resource_request(&browser(), &token, "GET", "/v1/events").send().await;
    let events = events.is(200).json();
    let mut events = events["events"].as_array().unwrap().iter();
    let revoked = events.find(|event| event["event"] == "key.revoked").unwrap();
    let detail = revoked["detail"].as_str().unwrap();
    assert!(detail.starts_with("a passkey in doubt"), "{detail}");
    assert!(detail.contains(&browser().thumbprint()), "{detail}");
}

#[tokio::test]
async fn nothing_else_goes_without_a_touch_while_a_passkey_is_in_doubt() {
    let app = alice().await;
    let token = app.login("alice", &browser()).await;
    app.key_addition(&browser(), &token, &TestKey::number(50)).send().await.is(201);
    add_unvouched(&app, &mut synced(1)).await;
    let token = app.login("alice", &browser()).await;
    let added = app.key_addition(&browser(), &token, &TestKey::number(51)).send().await;
    lacks(&added, "passkey");
    lacks(&app.revoke_key(&browser(), &token, &TestKey::number(50)).await, "passkey");
    let path = format!("/v1/keys/{}", synced(1).thumbprint());
    let label = json!({ "label": "renamed" });
    let renamed = app.covering_request((&browser(), &token), "PATCH", &path, &label).send().await;
    lacks(&renamed, "passkey");
    let options = app.addition_options(&browser(), &token).await;
    let body = json!({ "passkey": synced(2).create(&options) });
    let another = app.covering_request((&browser(), &token), "POST", "/v1/passkeys", &body);
    lacks(&another.send().await, "passkey");
}

#[tokio::test]
async fn a_browser_that_came_after_a_passkey_in_doubt_does_not_remove_it() {
    let app = alice().await;
    let mut passkey = synced(1);
    add_unvouched(&app, &mut passkey).await;
    app.advance(Duration::from_secs(1));
    let later = TestKey::number(12);
    let signed_in = app.sign_in_to_stay(&later, &mut passkey).await;
    lacks(&remove(&app, (&later, &signed_in), &passkey).await, "passkey");
    let token = app.login("alice", &later).await;
    lacks(&remove(&app, (&later, &token), &passkey).await, "passkey");
}

/// Or a thief would make a second one with the first.
#[tokio::test]
async fn what_a_passkey_in_doubt_vouches_for_is_in_doubt_as_long() {
    let app = alice().await;
    let (mut first, mut second) = (synced(1), synced(2));
    let added = add_unvouched(&app, &mut first).await;
    app.advance(DAY);
    let elsewhere = TestKey::number(12);
    let token = app.sign_in_to_stay(&elsewhere, &mut first).await;
    let made = json!({ "passkey": second.create(&app.addition_options(&elsewhere, &token).await) });
    let session = (&elsewhere, &*token);
    let add = app.stepped_up_request(session, &mut first, ("POST", "/v1/passkeys", &made)).await;
    let vouched = add.send().await.is(201).json();
    assert_eq!(vouched["passkey"]["in_doubt_until"], added["passkey"]["in_doubt_until"]);
    // The browser that came in between is younger than the doubt.
    let others = app.login("alice", &elsewhere).await;
    lacks(&remove(&app, (&elsewhere, &others), &second).await, "passkey");
    let token = app.login("alice", &browser()).await;
    for passkey in [&first, &second] {
        remove(&app, (&browser(), &token), passkey).await.is(204);
    }
}

#[tokio::test]
async fn after_seven_days_a_passkey_goes_by_the_word_of_one_alone() {
    let app = alice().await;
    let mut passkey = synced(1);
    add_unvouched(&app, &mut passkey).await;
    app.advance(DAY * 7);
    let token = app.login("alice", &browser()).await;
    lacks(&remove(&app, (&browser(), &token), &passkey).await, "passkey");
    // And what it vouches for from then on is in no doubt.
    let mut second = synced(2);
    let made = json!({ "passkey": second.create(&app.addition_options(&browser(), &token).await) });
    let session = (&browser(), &*token);
    let add = app.stepped_up_request(session, &mut passkey, ("POST", "/v1/passkeys", &made)).await;
    assert_eq!(add.send().await.is(201).json()["passkey"]["in_doubt_until"], Value::Null);
    lacks(&remove(&app, session, &second).await, "passkey");
}

#[tokio::test]
async fn the_passkey_of_a_registration_is_in_no_doubt() {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    app.advance(Duration::from_secs(1));
    let token = app.login("alice", &browser()).await;
    lacks(&remove(&app, (&browser(), &token), &passkey).await, "passkey");
    let keys = app.resource_request(&browser(), &token, "GET", "/v1/keys").send().await;
    let keys = keys.is(200).json();
    let mut keys = keys["keys"].as_array().unwrap().iter();
    let listed = keys.find(|key| key["kind"] == "passkey").unwrap();
    assert_eq!(listed["passkey"]["in_doubt_until"], Value::Null);
}
