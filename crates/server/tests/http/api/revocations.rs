//! `GET /v1/revocations`: what was revoked before its time.

use std::time::Duration;

use countersign_authority::model::account::AccountStatus;
use countersign_protocol::tokens::revocations::{Revocations, SignedRevocations};

use crate::support::{Answer, Fault, Faults, ISSUER, TestApp, TestKey};

const PATH: &str = "/v1/revocations";

/// No two feeds are made sooner after each other.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

async fn fetch(app: &TestApp) -> Answer {
    app.call("GET", PATH).send().await
}

/// The feed, verified with a key that the server publishes.
async fn feed(app: &TestApp) -> Revocations {
    let answer = fetch(app).await;
    let feed = SignedRevocations::parse(&answer.is(200).body).unwrap();
    let kid = feed.kid().unwrap();
    let key = app.authority().core.signing_keys().public_key(&kid, app.now()).unwrap();
    feed.verify(&key, ISSUER, Duration::ZERO, app.now()).unwrap()
}

#[tokio::test]
async fn the_feed_may_be_cached_for_a_second() {
    let app = TestApp::start().await;
    let answer = fetch(&app).await;
    assert_eq!(answer.is(200).header("content-type"), "application/jwt");
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    let read = feed(&app).await;
    assert!(read.tokens.is_empty() && read.keys.is_empty() && read.accounts.is_empty());
}

#[tokio::test]
async fn what_is_revoked_here_is_in_the_feed_a_fifth_of_a_second_later() {
    let app = TestApp::start().await;
    let (key, old) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &key).await;
    app.key_addition(&key, &token, &old).send().await.is(201);
    feed(&app).await;
    app.revoke_key(&key, &token, &old).await.is(204);
    app.advance(SHORTEST_INTERVAL);
    assert_eq!(feed(&app).await.keys, [old.thumbprint().parse().unwrap()]);
    app.revoke_token(&token).await.is(200);
    app.advance(SHORTEST_INTERVAL);
    assert_eq!(feed(&app).await.tokens.len(), 1);
}

#[tokio::test]
async fn what_an_administrator_revokes_is_in_the_feed_when_it_is_noticed() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let id = app.register("alice", &key).await;
    let name = "alice".parse().unwrap();
    feed(&app).await;
    app.admin().set_status(&name, AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;
    app.advance(SHORTEST_INTERVAL);
    assert_eq!(feed(&app).await.accounts, [id.parse().unwrap()]);
    let thumbprint = key.thumbprint().parse().unwrap();
    app.admin().revoke_key(&name, &thumbprint).await.unwrap();
    app.notice_changes().await;
    app.advance(SHORTEST_INTERVAL);
    assert_eq!(feed(&app).await.keys, [thumbprint]);
}

#[tokio::test]
async fn a_restart_forgets_no_revocation() {
    let mut app = TestApp::start().await;
    let token = app.enrol("alice", &TestKey::number(1)).await;
    app.revoke_token(&token).await.is(200);
    let before = feed(&app).await;
    app.restart().await;
    assert_eq!(feed(&app).await.tokens, before.tokens);
}

#[tokio::test]
async fn a_server_that_cannot_tell_says_so() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    for fault in [Fault::Unavailable, Fault::Corrupt] {
        faults.set(fault);
        assert!(fetch(&app).await.status >= 500);
    }
    faults.clear();
    feed(&app).await;
}
