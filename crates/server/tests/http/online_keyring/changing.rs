//! Changing the content, and going back.

use std::time::Duration;

use countersign_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::support::{
    PASSWORD, TestApp, TestKey, content, document, many_at_once, new_content, synced,
};

fn owner() -> TestKey {
    TestKey::number(1)
}

/// Alice with a keyring that says `entries`, and her token.
async fn alice() -> (TestApp, String) {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    (app, token)
}

/// Alice with a passkey in a browser, whose key comes second, with a keyring that says `entries`, and her token.
async fn alice_in_a_browser() -> (TestApp, TestKey, Authenticator, String) {
    let app = TestApp::start().await;
    let (browser, mut passkey) = (TestKey::number(11), synced(1));
    app.register_with_passkey("alice", &browser, &mut passkey).await;
    let token = app.login("alice", &browser).await;
    store_in_a_browser(&app, (&browser, &token), &mut passkey, "entries").await;
    (app, browser, passkey, token)
}

/// Stores a keyring that says `text`, where there is none.
async fn store_in_a_browser(
    app: &TestApp,
    session: (&TestKey, &str),
    passkey: &mut Authenticator,
    text: &str,
) {
    let body = app.password_keyring(session, text).await;
    let word = app.step_up_to_replace(session, passkey, ("/v1/keyring", &body), None).await;
    let store = app.storing(session, &body, None).header("passkey-assertion", &word);
    store.send().await.is(201);
}

/// What the keyring says now.
async fn said(app: &TestApp) -> String {
    let (answer, key) = app.open_keyring(&owner(), ("alice", "password"), PASSWORD).await;
    content(&answer.is(200).json()["document"], "password", &key)
}

async fn kept(app: &TestApp, token: &str) -> Vec<u64> {
    let request = app.resource_request(&owner(), token, "GET", "/v1/keyring/revisions");
    let kept = request.send().await.is(200).json();
    let kept = kept["revisions"].as_array().unwrap().iter();
    kept.map(|kept| kept["revision"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_change_needs_no_touch_and_keeps_slots_and_key() {
    let (app, token) = alice().await;
    let changed = app.content_change((&owner(), &token), "more", 1).send().await;
    assert_eq!(changed.is(200).json(), json!({ "revision": 2 }));
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(said(&app).await, "more");
    let events = app.event_names(&owner(), &token).await;
    assert!(events.contains(&"keyring.content-changed".to_owned()), "{events:?}");
}

#[tokio::test]
async fn who_does_not_know_what_is_there_changes_nothing() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    app.content_change(session, "more", 1).send().await.is(200);
    let late = app.content_change(session, "late", 1).send().await;
    assert_eq!(late.is_problem(412, "keyring-changed").header("etag"), "\"2\"");
    let blind = app.content_change(session, "blind", 2).without_header("if-match").send().await;
    blind.is_problem(428, "precondition-required");
    assert_eq!(said(&app).await, "more");
}

#[tokio::test]
async fn who_does_not_know_what_is_there_restores_and_deletes_nothing() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    app.content_change(session, "more", 1).send().await.is(200);
    let requests = |present| [app.restoration(session, 1, present), app.deletion(session, present)];
    for wrong in [1, 3] {
        for request in requests(wrong) {
            let late = request.send().await;
            assert_eq!(late.is_problem(412, "keyring-changed").header("etag"), "\"2\"");
        }
    }
    for request in requests(2).map(|request| request.without_header("if-match")) {
        let blind = request.send().await;
        let told = blind.is_problem(428, "precondition-required").text("detail");
        assert!(told.contains("If-Match"), "{told}");
    }
    for request in requests(2).map(|request| request.without_header("if-match")) {
        let any = request.header("if-match", "*").send().await;
        any.is_problem(400, "invalid-request");
    }
    assert_eq!(said(&app).await, "more");
    assert_eq!(kept(&app, &token).await, [1]);
}

#[tokio::test]
async fn of_two_writers_at_once_one_is_told_so() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let calls = (0..8).map(|number| app.content_change(session, &format!("by {number}"), 1));
    let answers = many_at_once(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(lost.is_problem(412, "keyring-changed").header("etag"), "\"2\"");
    }
}

/// Replaces the content 20 times, as fast as a script can: more than is kept cannot be pushed out.
async fn fill_history(app: &TestApp, session: (&TestKey, &str)) {
    for revision in 1..=20 {
        app.content_change(session, "nonsense", revision).send().await.is(200);
        app.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn each_content_that_is_replaced_is_kept_however_short_it_was_there() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    fill_history(&app, session).await;
    let all: Vec<u64> = (1..=20).rev().collect();
    assert_eq!(kept(&app, &token).await, all);
    // The good one, which was there for the shortest time, does not go: nothing has been proven.
    let refused = app.content_change(session, "nonsense", 21).send().await;
    let refused = refused.is_problem(403, "step-up-needed").json();
    assert_eq!(refused["lack"], "body-unsigned");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("limits.keyring_revisions") && detail.contains("20"), "{detail}");
    assert_eq!(kept(&app, &token).await, all);
    let restored = app.restoration(session, 1, 21).send().await;
    assert_eq!(restored.is(200).json(), json!({ "revision": 22 }));
    assert_eq!(restored.header("etag"), "\"22\"");
    assert_eq!(said(&app).await, "entries");
    let events = app.event_names(&owner(), &token).await;
    assert!(events.contains(&"keyring.restored".to_owned()), "{events:?}");
}

#[tokio::test]
async fn going_back_and_forth_loses_no_earlier_content() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    app.content_change(session, "good", 1).send().await.is(200);
    for revision in 2..=20 {
        app.content_change(session, "nonsense", revision).send().await.is(200);
        app.advance(Duration::from_secs(1));
    }
    let all: Vec<u64> = (1..=20).rev().collect();
    for (tried, present) in [(20, 21), (19, 22), (18, 23), (2, 24)] {
        app.restoration(session, tried, present).send().await.is(200);
        assert_eq!(kept(&app, &token).await, all, "what was there for the shortest time, too");
    }
    assert_eq!(said(&app).await, "good");
}

#[tokio::test]
async fn an_earlier_content_comes_back_with_a_step_up_alone() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    app.content_change(session, "seen", 1).send().await.is(200);
    app.content_change(session, "newer", 2).send().await.is(200);
    let seen = new_content("seen", 1);
    let path = "/v1/keyring/content";
    let again = app.resource_request(&owner(), &token, "PUT", path).json(&seen);
    let refused = again.header("if-match", "\"3\"").send().await;
    let refused = refused.is_problem(403, "step-up-needed").json();
    assert_eq!(refused["lack"], "body-unsigned");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("the nonce of revision 2"), "{detail}");
    assert_eq!(said(&app).await, "newer");
    let signed = app.covering_request(session, "PUT", path, &seen);
    signed.header("if-match", "\"3\"").send().await.is(200);
    assert_eq!(said(&app).await, "seen");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_for_a_moment_loses_no_earlier_content() {
    let (app, token) = alice().await;
    fill_history(&app, (&owner(), &token)).await;
    app.set_clock(app.now() + Duration::from_hours(24 * 31));
    let token = app.login("alice", &owner()).await;
    let refused = app.content_change((&owner(), &token), "nonsense", 21).send().await;
    refused.is_problem(403, "step-up-needed");
    assert_eq!(kept(&app, &token).await, (1..=20).rev().collect::<Vec<u64>>());
    // A clock that stays ahead is believed in the end.
    app.advance(Duration::from_hours(1));
    let token = app.login("alice", &owner()).await;
    app.content_change((&owner(), &token), "more", 21).send().await.is(200);
}

#[tokio::test]
async fn a_key_that_signs_the_body_makes_room_for_the_next_content() {
    let (app, token) = alice().await;
    app.advance(Duration::from_mins(1));
    let session = (&owner(), &*token);
    fill_history(&app, session).await;
    let body = new_content("more", 21);
    let change = app.covering_request(session, "PUT", "/v1/keyring/content", &body);
    let changed = change.header("if-match", "\"21\"").send().await;
    assert_eq!(changed.is(200).json(), json!({ "revision": 22 }));
    assert_eq!(said(&app).await, "more");
    // The first was there for a minute. Of those that were there for a second the newest went.
    let expected: Vec<u64> = (1..=20).rev().collect();
    assert_eq!(kept(&app, &token).await, expected);
}

#[tokio::test]
async fn in_a_browser_a_passkey_makes_room_for_the_next_content() {
    let (app, browser, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser, &*token);
    fill_history(&app, session).await;
    let body = new_content("more", 21);
    let path = "/v1/keyring/content";
    let change = || app.covering_request(session, "PUT", path, &body).header("if-match", "\"21\"");
    let refused = change().send().await;
    assert_eq!(refused.is_problem(403, "step-up-needed").json()["lack"], "passkey");
    let word = app.step_up_to_replace(session, &mut passkey, (path, &body), Some(21)).await;
    change().header("passkey-assertion", &word).send().await.is(200);
}

/// A script in the page withholds a touch, has the owner touch again, and sends the first one when there is
/// something else, which that request would push out.
#[tokio::test]
async fn a_held_touch_for_restoring_does_nothing_to_a_later_content() {
    let (app, browser, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser, &*token);
    fill_history(&app, session).await;
    let operation = ("POST", "/v1/keyring/revisions/1/restore");
    let held = app.step_up_on_revision(session, &mut passkey, operation, 21).await;
    let word = app.step_up_on_revision(session, &mut passkey, operation, 21).await;
    let restored = app.restoration(session, 1, 21).header("passkey-assertion", &word);
    restored.send().await.is(200);
    let (path, body) = ("/v1/keyring/content", new_content("a new key", 22));
    let word = app.step_up_to_replace(session, &mut passkey, (path, &body), Some(22)).await;
    let change = app.covering_request(session, "PUT", path, &body).header("if-match", "\"22\"");
    change.header("passkey-assertion", &word).send().await.is(200);

    // Neither for what is there now, nor for what was.
    let restoring = |present| app.restoration(session, 1, present);
    let other = restoring(23).header("passkey-assertion", &held).send().await;
    assert_eq!(other.is_problem(403, "step-up-needed").json()["lack"], "passkey");
    let late = restoring(21).header("passkey-assertion", &held).send().await;
    assert_eq!(late.is_problem(412, "keyring-changed").header("etag"), "\"23\"");
    let again = restoring(21).header("passkey-assertion", &held).send().await;
    assert!(again.is_problem(403, "step-up-needed").text("detail").contains("used before"));
    assert_eq!(said(&app).await, "a new key");
}

#[tokio::test]
async fn a_held_touch_for_deleting_does_nothing_to_a_later_keyring() {
    let (app, browser, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser, &*token);
    let operation = ("DELETE", "/v1/keyring");
    let held = app.step_up_on_revision(session, &mut passkey, operation, 1).await;
    let word = app.step_up_on_revision(session, &mut passkey, operation, 1).await;
    let deletion = app.deletion(session, 1).header("passkey-assertion", &word);
    deletion.send().await.is(204);
    store_in_a_browser(&app, session, &mut passkey, "a later one").await;

    let deleting = |present| app.deletion(session, present).header("passkey-assertion", &held);
    let other = deleting(2).send().await;
    assert_eq!(other.is_problem(403, "step-up-needed").json()["lack"], "passkey");
    let late = deleting(1).send().await;
    assert_eq!(late.is_problem(412, "keyring-changed").header("etag"), "\"2\"");
    let again = deleting(1).send().await;
    assert!(again.is_problem(403, "step-up-needed").text("detail").contains("used before"));
    assert_eq!(said(&app).await, "a later one");
}

#[tokio::test]
async fn after_thirty_days_the_oldest_makes_room() {
    let (app, token) = alice().await;
    fill_history(&app, (&owner(), &token)).await;
    app.advance(Duration::from_hours(24 * 30));
    let token = app.login("alice", &owner()).await;
    app.content_change((&owner(), &token), "more", 21).send().await.is(200);
    let expected: Vec<u64> = (2..=21).rev().collect();
    assert_eq!(kept(&app, &token).await, expected);
}

#[tokio::test]
async fn a_session_key_replaces_no_content() {
    let (app, _) = alice().await;
    let session = TestKey::number(3);
    let token = app.login_with_session_key("alice", &owner(), &session).await;
    let refused = app.content_change((&session, &token), "nonsense", 1).send().await;
    assert_eq!(refused.is_problem(403, "step-up-needed").json()["lack"], "session-key");
    assert_eq!(said(&app).await, "entries");
}

#[tokio::test]
async fn a_slot_that_is_added_leaves_earlier_contents_and_another_password_does_not() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    app.content_change(session, "more", 1).send().await.is(200);
    let (answer, _) = app.open_keyring(&owner(), ("alice", "password"), PASSWORD).await;
    let own = answer.is(200).json()["document"]["slots"][0].clone();
    let recovery = app.new_slot(session, "recovery", "CODE").await;
    let slots = [own, recovery.slot];
    let body = json!({ "document": document(&slots, "more"), "records": [recovery.record] });
    app.storing(session, &body, Some(2)).send().await.is(200);
    assert_eq!(kept(&app, &token).await, [2, 1]);
    let new = app.new_slot(session, "password", "another one").await;
    let body = json!({ "document": document(&[new.slot], "more"), "records": [new.record] });
    app.storing(session, &body, Some(3)).send().await.is(200);
    assert_eq!(kept(&app, &token).await, [] as [u64; 0]);
}

#[tokio::test]
async fn an_earlier_content_is_listed_with_its_time_and_size() {
    let (app, token) = alice().await;
    let stored = app.now().as_secs();
    app.advance(Duration::from_secs(90));
    app.content_change((&owner(), &token), "more", 1).send().await.is(200);
    let request = app.resource_request(&owner(), &token, "GET", "/v1/keyring/revisions");
    let listed = request.send().await.is(200).json();
    let size = "entries".len() + 16;
    let first =
        json!({ "revision": 1, "updated_at": stored, "replaced_at": stored + 90, "size": size });
    assert_eq!(listed, json!({ "revisions": [first] }));
}

#[tokio::test]
async fn a_revision_that_is_not_kept_cannot_be_restored() {
    let (app, token) = alice().await;
    for path in ["/v1/keyring/revisions/1/restore", "/v1/keyring/revisions/x/restore"] {
        let request = app.resource_request(&owner(), &token, "POST", path);
        let answer = request.header("if-match", "\"1\"").send().await;
        answer.is_problem(404, "not-found");
    }
    let bob = TestKey::number(2);
    let others = app.enrol("bob", &bob).await;
    for (method, path) in [
        ("GET", "/v1/keyring"),
        ("GET", "/v1/keyring/revisions"),
        ("POST", "/v1/keyring/revisions/1/restore"),
        ("DELETE", "/v1/keyring"),
    ] {
        let request = app.resource_request(&bob, &others, method, path);
        let answer = request.header("if-match", "\"1\"").send().await;
        answer.is_problem(404, "no-keyring");
    }
    app.content_change((&bob, &others), "x", 1).send().await.is_problem(404, "no-keyring");
}

#[tokio::test]
async fn a_deleted_keyring_is_gone_with_all_that_was_kept_and_its_numbers_do_not_come_back() {
    let (app, _) = alice().await;
    app.advance(Duration::from_hours(1));
    let token = app.login("alice", &owner()).await;
    let session = (&owner(), &*token);
    app.content_change(session, "more", 1).send().await.is(200);
    app.deletion(session, 2).send().await.is(204);
    let listed = app.resource_request(&owner(), &token, "GET", "/v1/keyring").send().await;
    listed.is_problem(404, "no-keyring");
    assert_eq!(app.store_keyring(session, "new").await, 3);
    assert_eq!(kept(&app, &token).await, [] as [u64; 0]);
    let late = app.content_change(session, "late", 2).send().await;
    late.is_problem(412, "keyring-changed");
    let events = app.event_names(&owner(), &token).await;
    assert!(events.contains(&"keyring.deleted".to_owned()), "{events:?}");
}

#[tokio::test]
async fn the_list_tells_slots_and_size_and_no_more() {
    let (app, token) = alice().await;
    let listed = app.resource_request(&owner(), &token, "GET", "/v1/keyring").send().await;
    assert_eq!(listed.is(200).header("etag"), "\"1\"");
    let body = listed.json();
    let slot = &body["slots"][0];
    assert_eq!(
        body,
        json!({
            "revision": 1,
            "updated_at": app.now().as_secs(),
            "size": "entries".len() + 16,
            "slots": [{ "id": slot["id"], "kind": "password", "created_at": app.now().as_secs() }],
        })
    );
    assert_ne!(slot["id"], Value::Null);
}
