//! How often a keyring may be tried, and that a login works once, for its key, for a while.

use std::time::Duration;

use countersign_authority::{
    keys::{rekey::Rekey, vault::MasterKey},
    model::limits::TurnLimits,
    ports::{SigningKeyStore, VaultStore},
};
use countersign_opaque::client::Login;
use countersign_testkit::random::SeededRandom;
use serde_json::json;

use crate::support::{Answer, Call, Faults, MASTER_KEY, PASSWORD, TestApp, TestKey, document};

const ALICE: (&str, &str) = ("alice", "password");

fn owner() -> TestKey {
    TestKey::number(1)
}

/// A key that belongs to nobody.
fn anybody() -> TestKey {
    TestKey::number(70)
}

/// Alice with a keyring, and her token.
async fn alice() -> (TestApp, String) {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    (app, token)
}

/// A login that needs only to be finished.
async fn finishing(app: &TestApp, key: &TestKey) -> (String, String) {
    let opening = app.begin_to_open(key, ALICE, PASSWORD).await;
    let state = opening.state.clone();
    (state, opening.finish(app).unwrap().0)
}

/// A try with the first message alone.
fn attempt(app: &TestApp, username: &str) -> Call {
    let (_, message) = Login::begin(b"guess", &SeededRandom::new(9)).unwrap();
    app.open_request(&anybody(), (username, "password"), &message)
}

fn refused(answer: &Answer) {
    answer.is_problem(401, "keyring-not-opened");
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("DPoP algs=\""), "{challenge}");
    assert!(!challenge.contains("error"), "no token is to blame: {challenge}");
}

#[tokio::test]
async fn the_sixth_wrong_try_in_an_hour_is_refused() {
    let (app, _) = alice().await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            attempt(&app, name).send().await.is(200);
        }
        let answer = attempt(&app, name).send().await;
        let wait: u64 =
            answer.is_problem(429, "rate-limited").header("retry-after").parse().unwrap();
        assert!((1..=720).contains(&wait), "{wait}");
        let told = answer.text("detail");
        assert!(told.contains("5 times an hour") && told.contains("keyring_tries)"), "{told}");
    }
    // In any case of letters it is the same name.
    attempt(&app, "ALICE").send().await.is(429);
    // The owner is somewhere else, and somebody else here.
    attempt(&app, "alice").peer("198.51.100.7").send().await.is(200);
    attempt(&app, "bob").send().await.is(200);
    app.advance(Duration::from_mins(12));
    attempt(&app, "alice").send().await.is(200);
    let token = app.login("alice", &owner()).await;
    let events = app.event_names(&owner(), &token).await;
    assert!(events.contains(&"keyring.open-begun".to_owned()), "{events:?}");
}

/// Whether there is an account must not show in the time that a refusal takes.
#[tokio::test]
async fn a_try_that_is_refused_looks_no_slot_up() {
    let faults = Faults::default();
    let own = faults.clone();
    let app = TestApp::start_with(|setup| setup.faults = Some(own)).await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            attempt(&app, name).send().await.is(200);
        }
        let before = faults.store_calls();
        attempt(&app, name).send().await.is_problem(429, "rate-limited");
        // The key that asks is looked up, and nothing else.
        assert_eq!(faults.store_calls(), before + 1, "{name}");
    }
}

#[tokio::test]
async fn a_message_that_is_none_is_no_try() {
    let (app, _) = alice().await;
    for message in [&[][..], &[0; 96], &[0xff; 96], &[1; 500]] {
        for _ in 0..3 {
            let call = app.open_request(&anybody(), ALICE, message);
            call.send().await.is_problem(400, "invalid-request");
        }
    }
    for _ in 0..5 {
        attempt(&app, "alice").send().await.is(200);
    }
}

#[tokio::test]
async fn a_try_that_the_server_does_not_answer_is_given_back() {
    let app = TestApp::start_with(|setup| {
        setup.policy.keyrings.turns = TurnLimits { at_once: 0, waiting: 0, each: 1 };
    })
    .await;
    for _ in 0..40 {
        attempt(&app, "alice").send().await.is_problem(503, "overloaded");
    }
}

/// Strangers use up all tries for alice's password, from many networks.
async fn use_up_all_tries(app: &TestApp) {
    for network in 0..6 {
        for _ in 0..5 {
            let peer = format!("198.51.{network}.7");
            attempt(app, "alice").peer(&peer).send().await.is(200);
        }
    }
    attempt(app, "alice").send().await.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn strangers_keep_no_live_key_of_the_account_out() {
    let (app, _) = alice().await;
    use_up_all_tries(&app).await;
    app.open_keyring(&owner(), ALICE, PASSWORD).await.0.is(200);
    // A key of another account is a stranger, and so is one that was revoked.
    let bob = TestKey::number(2);
    app.enrol("bob", &bob).await;
    let (_, message) = Login::begin(b"guess", &SeededRandom::new(9)).unwrap();
    let refused = app.open_request(&bob, ALICE, &message).send().await;
    refused.is_problem(429, "rate-limited");
    let (name, key) = ("alice".parse().unwrap(), owner().thumbprint().parse().unwrap());
    app.admin().revoke_key(&name, &key).await.unwrap();
    app.notice_changes().await;
    let refused = app.open_request(&owner(), ALICE, &message).send().await;
    refused.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_live_key_of_the_account_has_five_wrong_tries_an_hour() {
    let (app, _) = alice().await;
    let (_, message) = Login::begin(b"guess", &SeededRandom::new(9)).unwrap();
    let attempt_by_owner = |network: u8| {
        let call = app.open_request(&owner(), ALICE, &message);
        call.peer(&format!("198.51.{network}.7"))
    };
    for network in 0..5 {
        attempt_by_owner(network).send().await.is(200);
    }
    attempt_by_owner(6).send().await.is_problem(429, "rate-limited");
    app.advance(Duration::from_mins(12));
    app.open_keyring(&owner(), ALICE, PASSWORD).await.0.is(200);
    app.open_keyring(&owner(), ALICE, PASSWORD).await.0.is(200);
    attempt_by_owner(6).send().await.is(200);
    attempt_by_owner(6).send().await.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_flood_of_tries_at_other_names_makes_no_room_for_another_try() {
    let (app, _) = alice().await;
    for _ in 0..5 {
        attempt(&app, "alice").send().await.is(200);
    }
    for number in 0..1_000 {
        let request = attempt(&app, &format!("made-up-{number}")).peer("198.51.100.7");
        for _ in 0..5 {
            request.clone().send().await;
        }
    }
    attempt(&app, "alice").send().await.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_right_password_gives_its_try_back() {
    let (app, _) = alice().await;
    for _ in 0..4 {
        attempt(&app, "alice").send().await.is(200);
    }
    for _ in 0..3 {
        app.open_keyring(&anybody(), ALICE, PASSWORD).await.0.is(200);
    }
    attempt(&app, "alice").send().await.is(200);
    attempt(&app, "alice").send().await.is(429);
}

#[tokio::test]
async fn thirty_tries_from_everywhere_are_all_in_an_hour() {
    let (app, _) = alice().await;
    use_up_all_tries(&app).await;
    // That took nothing from the allowance of this network: once there is room, it has all five.
    app.advance(Duration::from_mins(10));
    for _ in 0..5 {
        attempt(&app, "alice").send().await.is(200);
    }
}

#[tokio::test]
async fn a_login_is_finished_once_by_the_key_that_began_it() {
    let (mut app, _) = alice().await;
    let (state, last) = finishing(&app, &anybody()).await;
    refused(&app.finish_request(&owner(), &state, &last).send().await);
    app.finish_request(&anybody(), &state, &last).send().await.is(200);
    refused(&app.finish_request(&anybody(), &state, &last).send().await);
    app.restart().await;
    refused(&app.finish_request(&anybody(), &state, &last).send().await);
    // One that had begun goes on after a restart.
    let (state, last) = finishing(&app, &anybody()).await;
    app.restart().await;
    app.finish_request(&anybody(), &state, &last).send().await.is(200);
}

#[tokio::test]
async fn a_login_is_finished_within_five_minutes() {
    let (app, _) = alice().await;
    let (first, first_end) = finishing(&app, &anybody()).await;
    let (second, second_end) = finishing(&app, &anybody()).await;
    app.advance(Duration::from_secs(299));
    app.finish_request(&anybody(), &first, &first_end).send().await.is(200);
    app.advance(Duration::from_secs(1));
    refused(&app.finish_request(&anybody(), &second, &second_end).send().await);
}

#[tokio::test]
async fn what_is_altered_or_of_another_login_opens_nothing() {
    let (app, token) = alice().await;
    let (state, last) = finishing(&app, &anybody()).await;
    let (other, _) = finishing(&app, &anybody()).await;
    refused(&app.finish_request(&anybody(), &other, &last).send().await);
    let ticket = app.new_slot((&owner(), &token), "password", PASSWORD).await.record;
    let ticket = ticket["ticket"].as_str().unwrap().to_owned();
    let altered = format!("{}{}", if state.starts_with('A') { "B" } else { "A" }, &state[1..]);
    for state in [altered, ticket, String::new(), "%".to_owned()] {
        refused(&app.finish_request(&anybody(), &state, &last).send().await);
    }
    app.finish_request(&anybody(), &state, &last).send().await.is(200);
}

#[tokio::test]
async fn a_login_for_a_password_that_was_replaced_is_over() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let (state, last) = finishing(&app, &anybody()).await;
    let new = app.new_slot(session, "password", "another one").await;
    let body = json!({ "document": document(&[new.slot], "entries"), "records": [new.record] });
    app.storing(session, &body, Some(1)).send().await.is(200);
    refused(&app.finish_request(&anybody(), &state, &last).send().await);
}

#[tokio::test]
async fn a_new_master_key_leaves_every_password_as_it_is() {
    const NEW: &str = "a-long-passphrase-that-nobody-guesses-0123456789";
    let (mut app, _) = alice().await;
    let store = app.ports().store.clone();
    let rekey = Rekey {
        vaults: &*store as &dyn VaultStore,
        signing_keys: &*store as &dyn SigningKeyStore,
        now: app.now(),
        random: &SeededRandom::new(5),
    };
    let (old, new) = (MasterKey::parse(MASTER_KEY).unwrap(), MasterKey::parse(NEW).unwrap());
    rekey.change_master_key(&old, &new).await.unwrap();
    app.restart_with(|setup| setup.master_key = NEW).await;
    app.open_keyring(&anybody(), ALICE, PASSWORD).await.0.is(200);
}
