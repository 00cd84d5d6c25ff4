//! The places in which bodies arrive that are larger than others: a client proves who it is before it
//! gets one.

use std::{sync::Arc, time::Duration};

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::proofs::body_hash::sha256_hex;
use countersign_server::{Dialects, RequestLimits};
use http::HeaderValue;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{Jwt, Setup, TestApp, TestKey, captured_log};

/// Longer than a body of the usual size is here.
const LARGE: u64 = 6000;

fn large_text() -> String {
    "x".repeat(3000)
}

/// Two places for bodies above 2 KiB, one for each client.
fn two_places(setup: &mut Setup) {
    setup.settings.limits = RequestLimits {
        body_bytes: 2048,
        large_body_bytes: 16 * 1024,
        large_uploads: 2,
        large_uploads_each: 1,
        ..RequestLimits::default()
    };
}

fn alice() -> TestKey {
    TestKey::number(1)
}

fn bob() -> TestKey {
    TestKey::number(2)
}

#[tokio::test]
async fn strangers_who_begin_to_send_large_bodies_keep_no_owner_out() {
    let app = TestApp::start_with(two_places).await;
    let token = app.enrol("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    let paths = ["/v1/keyring", "/v1/keyring/content"].into_iter().cycle().take(6);
    let mut refused = Vec::new();
    for (number, path) in paths.enumerate() {
        let stranger = app.call("PUT", path).body("application/json", "");
        let stranger = stranger.peer(&format!("198.51.100.{number}"));
        // Half of them without anything, and half with a token that they saw somewhere.
        let authorization = format!("DPoP {token}");
        let seen = stranger.clone().header("authorization", authorization);
        refused.push(if number < 3 { stranger } else { seen }.stall(LARGE));
    }
    let change = app.content_change((&alice(), &token), &large_text(), 1);
    change.peer("192.0.2.9").send().await.is(200);
    for stalled in refused {
        let answer = stalled.answer.await.unwrap();
        answer.is(401);
        assert_ne!(answer.header("dpop-nonce"), "");
    }
}

#[tokio::test]
async fn no_byte_of_a_large_body_is_read_before_the_proof_is_checked() {
    let app = TestApp::start_with(|setup| {
        two_places(setup);
        setup.settings.dialects = Dialects { self_signed: true, ..setup.settings.dialects };
        setup.settings.self_signed.max_hashed_body = 2048;
    })
    .await;
    let token = app.enrol("alice", &alice()).await;
    let path = "/v1/keyring/content";
    let change = || app.call("PUT", path).body("application/json", "");
    let expires_at = app.now().as_secs() + 60;
    let signed = Jwt::by(alice()).claim("sub", "alice").claim("exp", expires_at);
    let signed = signed.claim("tha", sha256_hex(b"{}")).sign();
    let signed = change().header("authorization", format!("Bearer {signed}"));
    let of_another = app.resource_request(&bob(), &token, "PUT", path);
    for (call, status) in [(change(), 401), (of_another, 401), (signed, 413)] {
        let stalled = call.stall(LARGE);
        stalled.answer.await.unwrap().is(status);
        assert_eq!(Arc::strong_count(&stalled.reads), 1, "the body is gone");
        let read = timeout(Duration::ZERO, stalled.reads.notified()).await;
        assert!(read.is_err(), "the body was read");
    }
}

#[tokio::test]
async fn an_account_has_only_its_share_of_the_places_wherever_it_comes_from() {
    let app = TestApp::start_with(two_places).await;
    let token = app.enrol("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    let of_bob = app.enrol("bob", &bob()).await;
    app.store_keyring((&bob(), &of_bob), "entries").await;
    let change = || app.content_change((&alice(), &token), &large_text(), 1);

    let stalled = change().stall(LARGE);
    stalled.reads.notified().await;
    for peer in ["198.51.100.1", "198.51.100.2"] {
        let refused = change().peer(peer).send().await;
        let told = refused.is_problem(429, "rate-limited").text("detail");
        assert_eq!(told, "this account has 1 large bodies arriving, which is its whole share");
        assert_ne!(refused.header("retry-after"), "");
        assert_ne!(refused.header("dpop-nonce"), "", "for the next try");
    }
    // Bodies of the usual size have places of their own.
    app.content_change((&alice(), &token), "less", 1).send().await.is(200);
    let change = app.content_change((&bob(), &of_bob), &large_text(), 1);
    let from_there = change.clone().send().await;
    let told = from_there.is_problem(429, "rate-limited").text("detail");
    assert!(told.starts_with("192.0.2.1 has 1 large bodies arriving"), "{told}");
    let change = app.content_change((&bob(), &of_bob), &large_text(), 1);
    change.peer("198.51.100.1").send().await.is(200);

    stalled.answer.abort();
    assert!(stalled.answer.await.is_err());
    app.content_change((&alice(), &token), &large_text(), 2).send().await.is(200);
}

/// Anybody can make accounts, and get a session of an account that may change nothing.
#[tokio::test]
async fn neither_young_neighbours_nor_sessions_take_the_places_of_an_account() {
    let app = TestApp::start_with(|setup| {
        two_places(setup);
        setup.settings.limits.large_uploads = 4;
    })
    .await;
    app.enrol("alice", &alice()).await;
    app.advance(Duration::from_hours(24 * 7));
    let token = app.login("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    let session = TestKey::number(4);
    let of_session = app.login_with_session_key("alice", &alice(), &session).await;
    let of_bob = app.enrol("bob", &bob()).await;
    app.store_keyring((&bob(), &of_bob), "entries").await;
    let held = [(&session, &of_session), (&bob(), &of_bob)]
        .map(|(key, token)| app.content_change((key, token), &large_text(), 1).stall(LARGE));
    for stalled in &held {
        stalled.reads.notified().await;
    }
    app.content_change((&alice(), &token), &large_text(), 1).send().await.is(200);
}

/// The log and the trail name a client that leaves while its body arrives.
#[tokio::test]
async fn the_use_of_a_key_is_noted_although_the_client_leaves_before_its_body_is_there() {
    let log = captured_log();
    let app = TestApp::start_with(two_places).await;
    let token = app.enrol("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    app.write_key_uses().await;
    let client = "198.51.100.231";
    let change = app.content_change((&alice(), &token), &large_text(), 1).peer(client);
    let stalled = change.stall(LARGE);
    stalled.reads.notified().await;
    stalled.answer.abort();
    assert!(stalled.answer.await.is_err());
    app.write_key_uses().await;
    let events = app.event_names(&alice(), &token).await;
    assert!(events.contains(&"key.used-from-new-place".to_owned()), "{events:?}");
    let lines = log.text();
    let mut of_client = lines.lines().filter(|line| line.contains(client));
    let line: Value = serde_json::from_str(of_client.next().unwrap()).unwrap();
    assert_eq!((of_client.next(), &line["fields"]["status"]), (None, &Value::from(499)));
    assert_eq!(line["fields"]["key"], alice().thumbprint());
}

#[tokio::test]
async fn a_proof_of_a_request_with_a_large_body_works_once() {
    let app = TestApp::start_with(two_places).await;
    let token = app.enrol("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    let change = app.content_change((&alice(), &token), &large_text(), 1);
    let answer = change.clone().send().await;
    answer.is(200);
    let nonces = answer.headers.get_all("dpop-nonce").iter().collect::<Vec<&HeaderValue>>();
    assert_eq!(nonces.len(), 1);
    let again = change.send().await;
    again.is_problem(401, "unauthenticated");
    let told = again.header("www-authenticate");
    assert!(told.contains("invalid_dpop_proof"), "{told}");
}

async fn set_status(app: &TestApp, status: AccountStatus) {
    app.admin().set_status(&"alice".parse().unwrap(), status).await.unwrap();
    app.notice_changes().await;
}

/// A body may take minutes to arrive. The owner revokes the key meanwhile, or the token, or an
/// administrator disables the account; or the token ends.
#[tokio::test]
async fn what_is_revoked_while_its_body_arrives_changes_nothing() {
    for ends in ["key", "token", "account", "time"] {
        let app = TestApp::start_with(two_places).await;
        let token = app.enrol("alice", &alice()).await;
        app.store_keyring((&alice(), &token), "entries").await;
        let stolen = TestKey::number(3);
        app.key_addition(&alice(), &token, &stolen).send().await.is(201);
        let of_thief = app.login("alice", &stolen).await;
        let arriving = app.content_change((&stolen, &of_thief), &large_text(), 1).pause();
        arriving.reads.notified().await;
        match ends {
            "key" => {
                app.revoke_key(&alice(), &token, &stolen).await.is(204);
            }
            "token" => {
                app.revoke_token(&of_thief).await.is(200);
            }
            "time" => app.advance(Duration::from_mins(20)),
            _ => set_status(&app, AccountStatus::Disabled).await,
        }
        arriving.resume();
        let refused = arriving.answer.await.unwrap();
        let told = refused.is_refusal(401, "invalid_token").header("www-authenticate");
        assert!(told.contains("revoked"), "{ends}: {told}");
        set_status(&app, AccountStatus::Active).await;
        let token = app.login("alice", &alice()).await;
        let keyring = app.resource_request(&alice(), &token, "GET", "/v1/keyring").send().await;
        assert_eq!(keyring.is(200).json()["revision"], 1, "{ends}");
        let events = app.event_names(&alice(), &token).await;
        assert!(events.contains(&"token.refused".to_owned()), "{ends}: {events:?}");
    }
}
