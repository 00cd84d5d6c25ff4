//! The places in which bodies arrive that are larger than others: a client proves who it is before it
//! gets one.

use std::{sync::Arc, time::Duration};

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::proofs::body_hash::sha256_hex;
use countersign_server::{Dialects, RequestLimits};
use http::HeaderValue;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{ISSUER, Jwt, Setup, TestApp, TestKey, captured_log, synced};

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

/// Anybody can make accounts, and a page that has signed in with a passkey changes something only with an
/// answer of the passkey, which can be verified only with the body.
#[tokio::test]
async fn neither_young_neighbours_nor_sessions_take_the_places_of_an_account() {
    let app = TestApp::start_with(|setup| {
        two_places(setup);
        setup.settings.limits.large_uploads = 4;
    })
    .await;
    let mut passkey = synced(1);
    let browser = TestKey::number(5);
    app.register_with_passkey("alice", &browser, &mut passkey).await;
    app.advance(Duration::from_hours(24 * 7));
    let session = TestKey::number(4);
    let of_session = app.sign_in(&session, &mut passkey).await.is(200).text("access_token");
    let of_browser = app.login("alice", &browser).await;
    let of_bob = app.enrol("bob", &bob()).await;
    app.store_keyring((&bob(), &of_bob), "entries").await;
    let by_session = app.content_change((&session, &of_session), &large_text(), 1);
    let by_bob = app.content_change((&bob(), &of_bob), &large_text(), 1);
    let held =
        [by_session.header("passkey-assertion", "AAAA"), by_bob].map(|change| change.stall(LARGE));
    for stalled in &held {
        stalled.reads.notified().await;
    }
    let change = app.content_change((&browser, &of_browser), &large_text(), 1).send().await;
    change.is_problem(404, "no-keyring");
}

/// An API that received a JWT of the owner's for itself, or a program that has a narrowed token, changes no
/// keyring, whatever its body says.
#[tokio::test]
async fn who_has_less_than_a_key_gets_no_place_for_a_large_body() {
    let app = TestApp::start_with(|setup| {
        two_places(setup);
        setup.settings.dialects = Dialects { self_signed: true, ..setup.settings.dialects };
        setup.policy.default_scopes = "read write".parse().unwrap();
    })
    .await;
    let token = app.enrol("alice", &alice()).await;
    app.store_keyring((&alice(), &token), "entries").await;
    let narrowed = app.login_request("alice", &alice()).param("scope", "read").send().await;
    let narrowed = narrowed.is(200).text("access_token");
    let session = TestKey::number(4);
    let of_session = app.login_with_session_key("alice", &alice(), &session).await;
    let expires_at = app.now().as_secs() + 60;
    let jwt = || Jwt::by(alice()).claim("sub", "alice").claim("exp", expires_at);
    for path in ["/v1/keyring", "/v1/keyring/content"] {
        let put = || app.call("PUT", path).body("application/json", "").header("if-match", "\"1\"");
        let bearer = |jwt: Jwt| put().header("authorization", format!("Bearer {}", jwt.sign()));
        let bound = |key, token| {
            let request = app.resource_request(key, token, "PUT", path);
            request.body("application/json", "").header("if-match", "\"1\"")
        };
        for (call, lack) in [
            (bearer(jwt().claim("jti", format!("{path} anywhere"))), "url-unsigned"),
            (
                bearer(jwt().claim("jti", format!("{path} here")).claim("aud", ISSUER)),
                "url-unsigned",
            ),
            (bound(&alice(), &narrowed), "narrowed-token"),
            (bound(&session, &of_session), "session-key"),
        ] {
            let stalled = call.stall(LARGE);
            let refused = stalled.answer.await.unwrap();
            assert_eq!(refused.is_problem(403, "step-up-needed").text("lack"), lack, "{path}");
            assert_eq!(Arc::strong_count(&stalled.reads), 1, "the body is gone");
            let read = timeout(Duration::ZERO, stalled.reads.notified()).await;
            assert!(read.is_err(), "{lack}: the body was read");
        }
    }
    app.write_trail().await;
    let events = app.event_names(&alice(), &token).await;
    assert!(events.contains(&"key.change-refused".to_owned()), "{events:?}");
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

async fn withdraw_signing_keys(app: &TestApp) {
    let random = countersign_testkit::random::SeededRandom::new(77);
    app.admin_signing_keys().await.rotate(true, app.now(), &random).await.unwrap();
    app.notice_changes().await;
}

/// A body may take minutes to arrive. The owner revokes the key meanwhile, or the token, or an
/// administrator disables the account; or the token ends.
#[tokio::test]
async fn what_is_revoked_while_its_body_arrives_changes_nothing() {
    for ends in ["key", "token", "account", "time", "signing key"] {
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
            "signing key" => withdraw_signing_keys(&app).await,
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
