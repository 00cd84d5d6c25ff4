//! Opening a keyring with a password or a recovery code.

use countersign_opaque::client::NotOpened;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, TestKey, content, document};

fn owner() -> TestKey {
    TestKey::number(1)
}

/// A key that belongs to nobody.
fn anybody() -> TestKey {
    TestKey::number(70)
}

#[tokio::test]
async fn what_a_password_has_sealed_it_opens_again() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let password = app.new_slot(session, "password", PASSWORD).await;
    let recovery = app.new_slot(session, "recovery", "ABCD").await;
    let slots = [password.slot, recovery.slot];
    let body = json!({
        "document": document(&slots, "entries"),
        "records": [recovery.record, password.record],
    });
    let stored = app.storing(session, &body, None).send().await;
    assert_eq!(stored.is(201).json(), json!({ "revision": 1 }));
    assert_eq!(stored.header("etag"), "\"1\"");
    for (kind, password, key) in
        [("password", PASSWORD, password.key), ("recovery", "ABCD", recovery.key)]
    {
        // In any case of letters, as names are.
        let (answer, again) = app.open_keyring(&anybody(), ("Alice", kind), password).await;
        assert_eq!(answer.is(200).header("etag"), "\"1\"");
        let opened = answer.json();
        assert_eq!(opened["document"], body["document"]);
        assert_eq!(*again, *key);
        assert_eq!(content(&opened["document"], kind, &again), "entries");
    }
    let events = app.event_names(&owner(), &token).await;
    assert_eq!(events.iter().filter(|name| *name == "keyring.opened").count(), 2, "{events:?}");
    assert!(events.contains(&"keyring.stored".to_owned()), "{events:?}");
    assert!(events.contains(&"keyring.open-begun".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_wrong_password_shows_at_the_client_and_opens_nothing() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    let opening = app.begin_to_open(&anybody(), ("alice", "password"), "wrong").await;
    let state = opening.state.clone();
    assert_eq!(opening.finish(&app).err(), Some(NotOpened::WrongPassword));
    let made_up = countersign_protocol::strict::base64url::encode(&[7; 64]);
    let answer = app.finish_request(&anybody(), &state, &made_up).send().await;
    answer.is_problem(401, "keyring-not-opened");
    let events = app.event_names(&owner(), &token).await;
    assert!(events.contains(&"keyring.open-refused".to_owned()), "{events:?}");
}
