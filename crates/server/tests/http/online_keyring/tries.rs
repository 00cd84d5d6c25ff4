//! Whose tries at a keyring count together, so that nobody gains some or takes those of others.

use std::time::Duration;

use countersign_opaque::client::Login;
use countersign_testkit::random::SeededRandom;
use serde_json::json;

use crate::support::{Answer, Call, PASSWORD, TestApp, TestKey, document};

const HOUR: Duration = Duration::from_hours(1);
const ALICE: (&str, &str) = ("alice", "password");

fn owner() -> TestKey {
    TestKey::number(1)
}

/// A key that belongs to nobody.
fn anybody() -> TestKey {
    TestKey::number(70)
}

/// A wrong try by `key`.
fn attempt(app: &TestApp, key: &TestKey, whose: (&str, &str)) -> Call {
    let (_, message) = Login::begin(b"guess", &SeededRandom::new(9)).unwrap();
    app.open_request(key, whose, &message)
}

/// Sees that there were too many, by the limit of that setting.
fn too_many(answer: &Answer, setting: &str, burst: u32) {
    let told = answer.is_problem(429, "rate-limited").text("detail");
    assert!(told.contains(&format!("({setting})")), "{told}");
    assert!(told.contains(&format!(" {burst} times an hour")), "{told}");
}

/// Tries alice's password by `key` so many times.
async fn tries(app: &TestApp, key: &TestKey, times: u32) {
    for number in 0..times {
        let answer = attempt(app, key, ALICE).send().await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
    }
}

#[tokio::test]
async fn one_network_tries_sixty_times_an_hour_at_all_names_together() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    let of = |number: u32| {
        let name = format!("user-{number}");
        attempt(&app, &anybody(), (&name, "password"))
    };
    for number in 0..60 {
        of(number).send().await.is(200);
    }
    let setting = "rate_limits.keyring_tries_of_network";
    for number in 60..200 {
        too_many(&of(number).send().await, setting, 60);
    }
    // Nor by recovery codes.
    let code = attempt(&app, &anybody(), ("alice", "recovery"));
    too_many(&code.send().await, setting, 60);
    of(0).peer("198.51.100.7").send().await.is(200);
    // Who has a key of the account is not kept out by others at that network.
    app.open_keyring(&owner(), ALICE, PASSWORD).await.0.is(200);
    // Whoever opens a keyring gives the try back.
    app.advance(Duration::from_mins(1));
    for _ in 0..3 {
        app.open_keyring(&anybody(), ALICE, PASSWORD).await.0.is(200);
    }
    of(61).send().await.is(200);
    too_many(&of(62).send().await, setting, 60);
}

/// Nothing that was refused by the network has used up anything of the name.
#[tokio::test]
async fn what_one_network_may_not_try_takes_nothing_from_the_name() {
    let app = TestApp::start_with(|setup| {
        let limits = setup.policy.limits.as_mut().unwrap();
        limits.keyring_tries_of_network.burst = 1;
        limits.keyring_tries_from_everywhere.burst = 2;
    })
    .await;
    let from = |peer| attempt(&app, &anybody(), ALICE).peer(peer).send();
    from("198.51.100.1").await.is(200);
    for _ in 0..10 {
        too_many(&from("198.51.100.1").await, "rate_limits.keyring_tries_of_network", 1);
    }
    from("198.51.100.2").await.is(200);
    let refused = from("198.51.100.3").await;
    too_many(&refused, "rate_limits.keyring_tries_from_everywhere", 2);
    // That took nothing from the network.
    attempt(&app, &anybody(), ("bob", "password")).peer("198.51.100.3").send().await.is(200);
}

#[tokio::test]
async fn recovery_codes_count_by_network_alone() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let new = app.new_slot(session, "recovery", "CODE").await;
    let body = json!({ "document": document(&[new.slot], "entries"), "records": [new.record] });
    app.storing(session, &body, None).send().await.is(201);
    let whose = ("alice", "recovery");
    for network in 0..10 {
        for _ in 0..20 {
            let peer = format!("198.51.{network}.7");
            attempt(&app, &anybody(), whose).peer(&peer).send().await.is(200);
        }
    }
    for _ in 0..59 {
        attempt(&app, &anybody(), whose).send().await.is(200);
    }
    app.open_keyring(&anybody(), whose, "CODE").await.0.is(200);
    // They took nothing from the password.
    attempt(&app, &anybody(), ALICE).peer("198.51.1.7").send().await.is(200);
}

#[tokio::test]
async fn keys_of_the_last_day_share_five_tries() {
    let app = TestApp::start().await;
    app.register("alice", &owner()).await;
    app.advance(24 * HOUR);
    let token = app.login("alice", &owner()).await;
    let new = [TestKey::number(3), TestKey::number(4)];
    for key in &new {
        app.key_addition(&owner(), &token, key).send().await.is(201);
    }
    tries(&app, &new[0], 3).await;
    tries(&app, &new[1], 2).await;
    for key in &new {
        too_many(&attempt(&app, key, ALICE).send().await, "rate_limits.keyring_tries", 5);
    }
    // The older key has its own.
    tries(&app, &owner(), 5).await;
    too_many(&attempt(&app, &owner(), ALICE).send().await, "rate_limits.keyring_tries", 5);
    // After a day they are not new any more.
    app.advance(24 * HOUR);
    tries(&app, &new[0], 5).await;
    tries(&app, &new[1], 5).await;
}

#[tokio::test]
async fn all_keys_of_an_account_have_twenty_tries_together() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    let keys: Vec<_> = (10..15).map(TestKey::number).collect();
    for key in &keys {
        app.key_addition(&owner(), &token, key).send().await.is(201);
    }
    app.advance(24 * HOUR);
    for key in &keys[..4] {
        tries(&app, key, 5).await;
    }
    let refused = attempt(&app, &keys[4], ALICE).send().await;
    too_many(&refused, "rate_limits.keyring_tries_of_account", 20);
    // What was refused was not counted: with the next of the account comes one of the key.
    app.advance(Duration::from_mins(3));
    tries(&app, &keys[4], 1).await;
}

#[tokio::test]
async fn a_proof_of_a_live_key_is_good_for_one_try() {
    let app = TestApp::start().await;
    app.enrol("alice", &owner()).await;
    let seen = attempt(&app, &owner(), ALICE);
    seen.clone().send().await.is(200);
    for peer in ["192.0.2.1", "198.51.100.7"] {
        seen.clone().peer(peer).send().await.is_problem(400, "invalid-proof");
    }
    // The owner has lost none by it.
    tries(&app, &owner(), 4).await;
}

#[tokio::test]
async fn after_a_restart_half_of_the_tries_are_left() {
    let mut app = TestApp::start().await;
    app.enrol("alice", &owner()).await;
    for _ in 0..3 {
        // A crash after each pair of tries.
        app.restart().await;
        for key in [owner(), anybody()] {
            tries(&app, &key, 2).await;
            too_many(&attempt(&app, &key, ALICE).send().await, "rate_limits.keyring_tries", 5);
        }
    }
    app.advance(HOUR);
    tries(&app, &anybody(), 5).await;
}

/// Or a script in a page could have proofs made for months, which use up the tries of the key that signed
/// them when the page is long closed.
#[tokio::test]
async fn a_try_by_a_key_of_an_account_needs_a_fresh_nonce_and_one_by_a_new_key_needs_none() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    let path = "/v1/keyring/open";
    let without = |key: &TestKey| {
        let proof = app.proof(key, "POST", path).sign();
        attempt(&app, key, ALICE).without_header("dpop").dpop(&proof)
    };
    let refused = without(&owner()).send().await;
    refused.is_problem(400, "nonce-required");
    let nonce = refused.header("dpop-nonce");
    let proof = app.proof(&owner(), "POST", path).claim("nonce", nonce).sign();
    let with_nonce = attempt(&app, &owner(), ALICE).without_header("dpop").dpop(&proof);
    with_nonce.send().await.is(200);
    without(&anybody()).send().await.is(200);
}
