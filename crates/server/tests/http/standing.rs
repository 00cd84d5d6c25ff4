//! Tokens that are no longer good, or never were: what a protected resource makes of them.

use std::{future::poll_fn, task::Poll, time::Duration};

use countersign_authority::model::account::AccountStatus;
use countersign_testkit::keys;
use serde_json::Value;

use crate::support::{ISSUER, Jwt, TestApp, TestKey, captured_log};

#[tokio::test]
async fn a_token_ends_at_its_time() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    // With the five seconds by which clocks may differ.
    app.advance(Duration::from_secs(900 + 4));
    app.whoami(&key, &token).await.is(200);
    app.advance(Duration::from_secs(1));
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    app.advance(Duration::from_mins(10));
    let token = app.login("alice", &key).await;
    app.clock.set(app.now() - Duration::from_mins(5));
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let (token, other) = (app.enrol("alice", &key).await, app.login("alice", &key).await);
    app.whoami(&key, &token).await.is(200);
    app.revoke_token(&token).await.is(200);
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    app.whoami(&key, &other).await.is(200);
}

/// Alice with two keys and a token for each; the old one is to be revoked.
struct TwoKeys {
    app: TestApp,
    key: TestKey,
    token: String,
    old: TestKey,
    doomed: String,
}

impl TwoKeys {
    async fn of_alice() -> Self {
        let app = TestApp::start().await;
        let (key, old) = (TestKey::number(1), TestKey::number(2));
        let token = app.enrol("alice", &key).await;
        app.key_addition(&key, &token, &old).send().await.is(201);
        let doomed = app.login("alice", &old).await;
        app.whoami(&old, &doomed).await.is(200);
        Self { app, key, token, old, doomed }
    }
}

#[tokio::test]
async fn revoking_a_key_kills_its_tokens_at_once() {
    let TwoKeys { app, key, token, old, doomed } = TwoKeys::of_alice().await;
    app.revoke_key(&key, &token, &old).await.is(204);
    app.whoami(&old, &doomed).await.is_refusal(401, "invalid_token");
    app.login_request("alice", &old).send().await.is_oauth_error(400, "invalid_grant");
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn an_administrator_revokes_even_the_last_key() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let thumbprint = key.thumbprint().parse().unwrap();
    app.admin().revoke_key(&"alice".parse().unwrap(), &thumbprint).await.unwrap();
    app.notice_changes().await;
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_disabled_account_can_do_nothing_until_it_is_enabled_and_no_token_of_before_lives_again()
{
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let set = async |status| {
        app.admin().set_status(&"alice".parse().unwrap(), status).await.unwrap();
        app.notice_changes().await;
    };
    set(AccountStatus::Disabled).await;
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
    set(AccountStatus::Active).await;
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    let token = app.login("alice", &key).await;
    app.whoami(&key, &token).await.is(200);
    // Enabling what is enabled ends nothing.
    app.advance(std::time::Duration::from_secs(2));
    set(AccountStatus::Active).await;
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn tokens_survive_the_rotation_of_the_signing_key() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let random = countersign_testkit::random::SeededRandom::new(77);
    app.admin_signing_keys().await.rotate(false, app.now(), &random).await.unwrap();
    app.notice_changes().await;
    let newer = app.login("alice", &key).await;
    assert_ne!(Jwt::header_of(&newer)["kid"], Jwt::header_of(&token)["kid"]);
    for token in [&token, &newer] {
        app.whoami(&key, token).await.is(200);
        assert_eq!(app.introspect("alice", &key, token).await.json()["active"], true);
    }
}

#[tokio::test]
async fn a_token_by_a_key_that_another_process_made_counts_at_once() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let elsewhere = app.admin_signing_keys().await;
    let newer = async |number| {
        let random = countersign_testkit::random::SeededRandom::new(number);
        elsewhere.rotate(false, app.now(), &random).await.unwrap();
        app.advance(Duration::from_secs(1));
        app.token_by(&elsewhere, &token)
    };
    app.whoami(&key, &newer(1).await).await.is(200);
    let answer = app.introspect("alice", &key, &newer(2).await).await;
    assert_eq!(answer.json()["active"], true);
    app.revoke_token(&newer(3).await).await.is(200);
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn withdrawing_the_signing_key_kills_its_tokens() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.whoami(&key, &token).await.is(200);
    let random = countersign_testkit::random::SeededRandom::new(77);
    app.admin_signing_keys().await.rotate(true, app.now(), &random).await.unwrap();
    app.notice_changes().await;
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    assert_eq!(app.introspect("alice", &key, &token).await.json()["active"], false);
    let newer = app.login("alice", &key).await;
    app.whoami(&key, &newer).await.is(200);
}

#[tokio::test]
async fn what_is_no_token_of_this_server_is_refused() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let (header, claims) = (Jwt::header_of(&token), Jwt::claims_of(&token));
    let remade = |signer: &TestKey| {
        let mut jwt = signer.jwt();
        for (name, value) in header.as_object().unwrap() {
            jwt = jwt.header(name, value.clone());
        }
        for (name, value) in claims.as_object().unwrap() {
            jwt = jwt.claim(name, value.clone());
        }
        jwt
    };
    let own = TestKey::from_pem(keys::EC_P256_PEM);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let tokens = [
        "x".to_owned(),
        "a.b.c".to_owned(),
        format!("{input}."),
        format!("{input}.{signature}="),
        format!("{input}.{}", signature.replace(&signature[..1], "_")),
        remade(&own).sign(),
        remade(&own).header("kid", own.thumbprint()).sign(),
        remade(&own).header("jwk", own.jwk()).sign(),
        remade(&own).header("jku", "https://evil.example/jwks.json").sign(),
        remade(&own).header("kid", "../../etc/passwd").sign(),
        remade(&own).without_header("kid").sign(),
        remade(&own).header("alg", "none").unsigned(),
        remade(&own).header("alg", "HS256").sign(),
        // An assertion and a proof of the very account are other kinds of token.
        app.assertion("alice", &key).header("kid", key.thumbprint()).sign(),
        app.proof(&key, "GET", "/v1/whoami").sign(),
        "x".repeat(10_000),
    ];
    for wrong in tokens {
        app.whoami(&key, &wrong).await.is_refusal(401, "invalid_token");
    }
}

#[tokio::test]
async fn another_installation_with_the_same_name_has_other_keys() {
    let (app, other) = (TestApp::start().await, TestApp::start().await);
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let token = other.enrol("alice", &key).await;
    assert_eq!(Jwt::claims_of(&token)["iss"], ISSUER);
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

/// The store has done it, so nothing in memory may say otherwise.
#[tokio::test]
async fn a_revocation_whose_client_leaves_before_the_answer_counts() {
    let TwoKeys { app, key, token, old, doomed } = TwoKeys::of_alice().await;
    let path = format!("/v1/keys/{}", old.thumbprint());
    let mut revoking = Box::pin(app.resource_request(&key, &token, "DELETE", &path).send());
    let begun = poll_fn(|context| Poll::Ready(revoking.as_mut().poll(context).is_pending()));
    assert!(begun.await, "it waits for the store");
    drop(revoking);
    let mut turns = 0..1000;
    while app.whoami(&old, &doomed).await.status == 200 {
        turns.next().expect("the key is never revoked");
        // The test waits for the store, too.
        app.resource_request(&key, &token, "GET", "/v1/keys").send().await.is(200);
    }
    app.whoami(&old, &doomed).await.is_refusal(401, "invalid_token");
}

/// A thief does not want the owner to see from where a key was used, and resets the stream at once.
#[tokio::test]
async fn a_change_whose_client_leaves_before_the_answer_is_in_the_log_and_the_trail() {
    let log = captured_log();
    let TwoKeys { app, key, token, old, doomed: _ } = TwoKeys::of_alice().await;
    app.write_key_uses().await;
    let (client, path) = ("198.51.100.232", format!("/v1/keys/{}", old.thumbprint()));
    let revoking = app.resource_request(&key, &token, "DELETE", &path).peer(client);
    let mut revoking = Box::pin(revoking.send());
    let begun = poll_fn(|context| Poll::Ready(revoking.as_mut().poll(context).is_pending()));
    assert!(begun.await, "nothing of it is done yet");
    drop(revoking);
    let mut turns = 0..1000;
    let line = loop {
        let lines = log.text();
        if let Some(line) = lines.lines().find(|line| line.contains(client)) {
            break serde_json::from_str::<Value>(line).unwrap();
        }
        turns.next().expect("there is never a line");
        // The test waits for the store, too.
        app.resource_request(&key, &token, "GET", "/v1/keys").send().await.is(200);
    };
    assert_eq!(line["fields"]["status"], 499);
    assert_eq!(line["fields"]["key"], key.thumbprint());
    app.write_key_uses().await;
    let events = app.event_names(&key, &token).await;
    for event in ["key.revoked", "key.used-from-new-place"] {
        assert!(events.contains(&event.to_owned()), "{event} is not in {events:?}");
    }
}
