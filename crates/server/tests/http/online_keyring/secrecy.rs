//! What nobody learns: the server the password, a thief of the database anything to guess by, a stranger
//! who has a keyring.

use std::collections::HashSet;

use argon2::{Algorithm, Argon2, Params, Version};
use countersign_authority::model::{account::AccountStatus, keyring::Knowledge};
use countersign_opaque::{
    ServerName,
    client::{Login, NotOpened},
    server::{LoginRequest, Record, ServerSetup, UserIdentifier},
};
use countersign_protocol::{
    digest::sha256,
    strict::{base64, base64url, hex},
};
use countersign_testkit::random::SeededRandom;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use crate::support::{
    CONTENT_KEY, Faults, ISSUER, PASSWORD, TestApp, TestKey, document, listen_on_the_wire, wire_log,
};

fn owner() -> TestKey {
    TestKey::number(1)
}

/// A key that belongs to nobody.
fn anybody() -> TestKey {
    TestKey::number(70)
}

/// The first message of a login, the same each time.
fn message() -> Vec<u8> {
    Login::begin(b"guess", &SeededRandom::new(9)).unwrap().1
}

#[tokio::test]
async fn the_wire_carries_neither_the_password_nor_what_follows_from_it() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    listen_on_the_wire();
    let new = app.new_slot(session, "password", PASSWORD).await;
    let body = json!({ "document": document(&[new.slot], "entries"), "records": [new.record] });
    app.storing(session, &body, None).send().await.is(201);
    app.content_change(session, "more entries", 1).send().await.is(200);
    let (opened, _) = app.open_keyring(&anybody(), ("alice", "password"), PASSWORD).await;
    opened.is(200);
    let wire = wire_log();
    assert!(wire.contains("finalization") && wire.contains("\"document\""), "it was heard");
    let stretched = |length: usize| {
        let mut output = vec![0; length];
        let params = Params::new(64 * 1024, 3, 1, Some(length)).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(PASSWORD.as_bytes(), &[0; 16], &mut output).unwrap();
        output
    };
    let secrets = [
        PASSWORD.as_bytes().to_vec(),
        sha256(&[PASSWORD.as_bytes()]).to_vec(),
        Sha512::digest(PASSWORD).to_vec(),
        stretched(32),
        stretched(64),
        new.key.to_vec(),
        CONTENT_KEY.to_vec(),
        b"entries".to_vec(),
    ];
    for secret in secrets {
        for text in [
            String::from_utf8_lossy(&secret).into_owned(),
            hex::encode(&secret),
            hex::encode(&secret).to_uppercase(),
            base64url::encode(&secret),
            base64::encode(&secret),
        ] {
            assert!(!wire.contains(&text), "{text}");
        }
    }
}

/// A thief of the database has all of this, and no master key. The client's half says for each password
/// whether it was right, if it talks to a server that has the secret.
#[tokio::test]
async fn the_database_alone_tells_no_guess_from_another() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    let name = "alice".parse().unwrap();
    let store = &app.ports().store;
    let slot = store.knowledge_slot(&name, Knowledge::Password, app.now()).await.unwrap().unwrap();
    let random = SeededRandom::new(3);
    let own = ServerSetup::generate(&random);
    let guess = |password: &str| {
        let (login, request) = Login::begin(password.as_bytes(), &random).unwrap();
        let record = Record::from_bytes(&slot.record.record).unwrap();
        let user = UserIdentifier(slot.record.user);
        let name = ServerName(ISSUER);
        let request = LoginRequest::from_bytes(&request).unwrap();
        let (response, _) = own.begin_login(Some(record), request, &user, name, &random).unwrap();
        login.finish(password.as_bytes(), &response, name, &random).map(|_| ())
    };
    for password in [PASSWORD, "a wrong one"] {
        assert_eq!(guess(password), Err(NotOpened::WrongPassword), "{password}");
    }
    // What is sealed is the secret itself.
    let sealed = store.opaque_setup().await.unwrap().unwrap();
    assert!(ServerSetup::from_bytes(&sealed.ciphertext).is_err());
}

/// Accounts of every kind that a stranger must not tell apart, and a name that is nobody's.
async fn strangers(app: &TestApp) -> Vec<&'static str> {
    for (number, name) in
        (1..).zip(["alice", "without-keyring", "without-slot", "disabled", "revoked"])
    {
        let key = TestKey::number(number);
        let token = app.enrol(name, &key).await;
        let session = (&key, &*token);
        match name {
            "without-keyring" => {}
            "without-slot" => {
                let new = app.new_slot(session, "recovery", "CODE").await;
                let document = document(&[new.slot], "entries");
                let body = json!({ "document": document, "records": [new.record] });
                app.storing(session, &body, None).send().await.is(201);
            }
            _ => {
                app.store_keyring(session, "entries").await;
            }
        }
    }
    let admin = app.admin();
    let disabled = "disabled".parse().unwrap();
    admin.set_status(&disabled, AccountStatus::Disabled).await.unwrap();
    let (revoked, key) = ("revoked".parse().unwrap(), TestKey::number(5).thumbprint());
    admin.revoke_key(&revoked, &key.parse().unwrap()).await.unwrap();
    app.notice_changes().await;
    vec!["alice", "without-keyring", "without-slot", "disabled", "revoked", "nobody"]
}

#[tokio::test]
async fn a_stranger_cannot_tell_who_has_a_keyring() {
    let faults = Faults::default();
    let own = faults.clone();
    let app = TestApp::start_with(|setup| setup.faults = Some(own)).await;
    let names = strangers(&app).await;
    // The first use makes the secret, and the first proof by a key looks it up.
    app.open_request(&anybody(), ("warm-up", "password"), &message()).send().await.is(200);
    let mut seen: Vec<(Vec<String>, [usize; 2], [u64; 2])> = Vec::new();
    for name in names {
        let mut parts = Vec::new();
        for _ in 0..2 {
            let before = faults.store_calls();
            let request = app.open_request(&anybody(), (name, "password"), &message());
            let answer = request.send().await;
            let begun = faults.store_calls();
            let body = answer.is(200).json();
            let members: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
            let length = |member: &str| body[member].as_str().map_or(0, str::len);
            let (state, wrong) = (body["state"].as_str().unwrap(), base64url::encode(&[1; 64]));
            let finish = app.finish_request(&anybody(), state, &wrong);
            finish.send().await.is_problem(401, "keyring-not-opened");
            let calls = [begun - before, faults.store_calls() - begun];
            seen.push((members, [length("state"), length("response")], calls));
            parts.push(evaluated(&body));
        }
        assert_eq!(parts[0], parts[1], "the answer to {name} is the same each time");
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    // What cannot be a name needs no looking up, which tells of nobody.
    let request = app.open_request(&anybody(), ("no name!", "password"), &message());
    let body = request.send().await.is(200).json();
    assert_eq!(body["state"].as_str().unwrap().len(), seen[0].1[0]);
}

/// The part of the answer that depends on the request and the name alone.
fn evaluated(body: &Value) -> Vec<u8> {
    base64url::decode(body["response"].as_str().unwrap()).unwrap()[..32].to_vec()
}

/// What repeats itself in the answers to one stranger who asks for that name.
async fn answered(app: &TestApp, whose: (&str, &str)) -> Vec<u8> {
    let request = app.open_request(&anybody(), whose, &message());
    evaluated(&request.send().await.is(200).json())
}

#[tokio::test]
async fn the_answer_stays_the_same_while_the_slot_does() {
    let alice = ("alice", "password");
    let app = TestApp::start().await;
    let without = answered(&app, alice).await;
    let token = app.enrol("alice", &owner()).await;
    assert_eq!(answered(&app, alice).await, without);
    app.store_keyring((&owner(), &token), "entries").await;
    let with = answered(&app, alice).await;
    assert_ne!(with, without);
    app.content_change((&owner(), &token), "more entries", 1).send().await.is(200);
    assert_eq!(answered(&app, alice).await, with);
    app.deletion((&owner(), &token), 2).send().await.is(204);
    assert_eq!(answered(&app, alice).await, without);
}

/// A thief with less than the password asks for as many new slots as the account may: their answers must
/// not help to guess, neither the password that is stored nor a later one.
#[tokio::test]
async fn an_offered_slot_says_nothing_about_a_stored_one() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits.as_mut().unwrap().keyring_tries.burst = 100;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let (blinded, kinds) = (message()[..32].to_vec(), ["password", "recovery"]);
    let mut offered = Vec::new();
    for kind in kinds {
        for _ in 0..3 {
            let answer = app.slot_request(session, kind, &blinded).send().await;
            offered.push(evaluated(&answer.is(200).json()));
        }
    }
    let mut stored = Vec::new();
    let mut note = async || {
        for kind in kinds {
            stored.push(answered(&app, ("alice", kind)).await);
        }
    };
    note().await;
    app.store_keyring(session, "entries").await;
    note().await;
    let new = app.new_slot(session, "password", "another one").await;
    let body = json!({ "document": document(&[new.slot], "entries"), "records": [new.record] });
    app.storing(session, &body, Some(1)).send().await.is(200);
    note().await;
    // Of the recovery code there is no slot, so its answers are one, and all others differ.
    let all: HashSet<_> = offered.iter().chain(&stored).collect();
    assert_eq!(all.len(), offered.len() + stored.len() - 2);
}

#[tokio::test]
async fn ten_thousand_strangers_store_nothing() {
    let app = TestApp::start_with(|setup| {
        let limits = setup.policy.limits.as_mut().unwrap();
        limits.keyring_tries.burst = 100_000;
        limits.keyring_tries_from_everywhere.burst = 100_000;
        limits.keyring_tries_of_network.burst = 100_000;
        limits.logins.burst = 100_000;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), "entries").await;
    let before = app.database_bytes();
    let of = |name| app.open_request(&anybody(), (name, "password"), &message());
    for request in [of("alice"), of("nobody")] {
        for _ in 0..5_000 {
            request.clone().send().await.is(200);
        }
    }
    assert_eq!(app.database_bytes(), before);
    // Its owner is told of it in one entry.
    let events = app.event_names(&owner(), &token).await;
    let told = events.iter().filter(|name| *name == "keyring.open-begun").count();
    assert_eq!(told, 1, "{events:?}");
}
