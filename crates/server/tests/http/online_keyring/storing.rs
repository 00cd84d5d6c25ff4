//! Storing a keyring: what it takes, and what is refused.

use std::time::Duration;

use countersign_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::support::{
    Answer, PASSWORD, TestApp, TestKey, document, many_at_once, new_content, prf_slot, synced,
};

fn bob() -> TestKey {
    TestKey::number(2)
}

fn owner() -> TestKey {
    TestKey::number(1)
}

fn browser() -> TestKey {
    TestKey::number(11)
}

/// Alice, and her token.
async fn alice() -> (TestApp, String) {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &owner()).await;
    (app, token)
}

/// Alice in a browser, with the passkey 1.
async fn alice_in_a_browser() -> (TestApp, Authenticator, String) {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    (app, passkey, token)
}

fn lacks_a_passkey(answer: &Answer) {
    let body = answer.is_problem(403, "step-up-needed").json();
    assert_eq!(body["lack"], "passkey", "{body}");
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("acr_values=\"phr\""), "{challenge}");
}

fn is_invalid(answer: &Answer, detail: &str) {
    let told = answer.is_problem(400, "invalid-keyring").text("detail");
    assert!(told.contains(detail), "{told}");
}

#[tokio::test]
async fn a_script_in_a_page_changes_the_content_and_nothing_else() {
    let (app, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser(), &*token);
    let body = app.password_keyring(session, "entries").await;
    lacks_a_passkey(&app.storing(session, &body, None).send().await);
    let word = app.step_up_to_replace(session, &mut passkey, ("/v1/keyring", &body), None).await;
    let store = app.storing(session, &body, None).header("passkey-assertion", &word);
    store.send().await.is(201);
    app.content_change(session, "more", 1).send().await.is(200);
    let body = app.password_keyring(session, "mine now").await;
    lacks_a_passkey(&app.storing(session, &body, Some(2)).send().await);
    let again = app.storing(session, &body, Some(2)).header("passkey-assertion", &word);
    lacks_a_passkey(&again.send().await);
    for (method, path) in [("DELETE", "/v1/keyring"), ("POST", "/v1/keyring/revisions/1/restore")] {
        let request = || {
            let request = app.resource_request(&browser(), &token, method, path);
            request.header("if-match", "\"2\"")
        };
        lacks_a_passkey(&request().send().await);
        let opening = app.step_up(session, &mut passkey, ("POST", "/v1/keyring/open/prf", None));
        let other = opening.await;
        lacks_a_passkey(&request().header("passkey-assertion", &other).send().await);
    }
    let operation = ("DELETE", "/v1/keyring");
    let word = app.step_up_on_revision(session, &mut passkey, operation, 2).await;
    app.deletion(session, 2).header("passkey-assertion", &word).send().await.is(204);
}

#[tokio::test]
async fn a_passkey_gets_the_keyring_with_a_touch_from_whoever_asks() {
    let (app, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser(), &*token);
    let password = app.new_slot(session, "password", PASSWORD).await;
    let slots = [password.slot, prf_slot(7, &passkey.id)];
    let body = json!({ "document": document(&slots, "entries"), "records": [password.record] });
    let word = app.step_up_to_replace(session, &mut passkey, ("/v1/keyring", &body), None).await;
    let store = app.storing(session, &body, None).header("passkey-assertion", &word);
    store.send().await.is(201);
    // Also with a key that needs no touch for other things.
    app.stepped_up_request(
        session,
        &mut passkey,
        ("POST", "/v1/keys", &app.new_key("alice", &owner())),
    )
    .await
    .send()
    .await
    .is(201);
    let own = app.login("alice", &owner()).await;
    for (key, token) in [(browser(), token.clone()), (owner(), own)] {
        let path = "/v1/keyring/open/prf";
        let request = || app.resource_request(&key, &token, "POST", path);
        lacks_a_passkey(&request().send().await);
        let word = app.step_up((&key, &token), &mut passkey, ("POST", path, None)).await;
        let opened = request().header("passkey-assertion", &word).send().await;
        assert_eq!(opened.is(200).json()["document"], body["document"]);
        lacks_a_passkey(&request().header("passkey-assertion", &word).send().await);
    }
    let listed = app.resource_request(&browser(), &token, "GET", "/v1/keyring").send().await;
    let listed = listed.is(200).json();
    assert_eq!(listed["slots"][1]["salt"], body["document"]["slots"][1]["salt"]);
    assert_eq!(listed["slots"][1]["passkey"], body["document"]["slots"][1]["passkey"]);
    assert_eq!(listed["slots"][1]["passkey_revoked"], Value::Null);
}

#[tokio::test]
async fn a_key_of_an_account_without_passkeys_is_told_that_this_takes_one() {
    let (app, token) = alice().await;
    app.store_keyring((&owner(), &token), "entries").await;
    let request = app.resource_request(&owner(), &token, "POST", "/v1/keyring/open/prf");
    let answer = request.send().await;
    lacks_a_passkey(&answer);
    let told = answer.text("detail");
    assert!(told.starts_with("this takes a passkey of the account"), "{told}");
}

#[tokio::test]
async fn a_slot_of_a_revoked_passkey_is_marked_and_cannot_be_stored_again() {
    let (app, mut passkey, token) = alice_in_a_browser().await;
    let session = (&browser(), &*token);
    let options = app.addition_options(&browser(), &token).await;
    let mut other = synced(2);
    let body = json!({ "passkey": other.create(&options) });
    let added = app.stepped_up_request(session, &mut passkey, ("POST", "/v1/passkeys", &body));
    added.await.send().await.is(201);
    let slots = [prf_slot(7, &passkey.id), prf_slot(8, &other.id)];
    let body = json!({ "document": document(&slots, "entries"), "records": [] });
    let word = app.step_up_to_replace(session, &mut passkey, ("/v1/keyring", &body), None).await;
    let store = app.storing(session, &body, None).header("passkey-assertion", &word);
    store.send().await.is(201);
    let path = format!("/v1/keys/{}", other.thumbprint());
    let word = app.step_up(session, &mut passkey, ("DELETE", &path, None)).await;
    let revoke = app.resource_request(&browser(), &token, "DELETE", &path);
    revoke.header("passkey-assertion", &word).send().await.is(204);
    let listed = app.resource_request(&browser(), &token, "GET", "/v1/keyring").send().await;
    let listed = listed.is(200).json();
    assert_eq!(listed["slots"][0]["passkey_revoked"], Value::Null);
    assert_eq!(listed["slots"][1]["passkey_revoked"], true);
    let word = app.step_up_to_replace(session, &mut passkey, ("/v1/keyring", &body), Some(1)).await;
    let store = app.storing(session, &body, Some(1)).header("passkey-assertion", &word);
    is_invalid(&store.send().await, "no live one of the account");
}

#[tokio::test]
async fn a_new_password_takes_the_place_of_the_old_one_and_what_is_kept_stays() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let first = app.new_slot(session, "password", PASSWORD).await;
    let recovery = app.new_slot(session, "recovery", "CODE").await;
    let slots = [first.slot.clone(), recovery.slot.clone()];
    let body = json!({
        "document": document(&slots, "entries"),
        "records": [first.record, recovery.record],
    });
    app.storing(session, &body, None).send().await.is(201);
    let second = app.new_slot(session, "password", "another one").await;
    let slots = [second.slot, recovery.slot];
    let body = json!({ "document": document(&slots, "entries"), "records": [second.record] });
    let stored = app.storing(session, &body, Some(1)).send().await;
    assert_eq!(stored.is(200).json(), json!({ "revision": 2 }));
    let alice = |kind| ("alice", kind);
    let old = app.begin_to_open(&owner(), alice("password"), PASSWORD).await;
    assert!(old.finish(&app).is_err());
    app.open_keyring(&owner(), alice("password"), "another one").await.0.is(200);
    app.open_keyring(&owner(), alice("recovery"), "CODE").await.0.is(200);
}

#[tokio::test]
async fn slots_are_new_by_a_ticket_or_the_accounts_own() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let bob = TestKey::number(2);
    let others = app.enrol("bob", &bob).await;
    let bobs = app.new_slot((&bob, &others), "password", PASSWORD).await;
    let mine = app.new_slot(session, "password", PASSWORD).await;
    let recovery = app.new_slot(session, "recovery", "CODE").await;
    let keyring = |slots: &[&Value], records: &[&Value]| {
        let slots: Vec<_> = slots.iter().copied().cloned().collect();
        json!({ "document": document(&slots, "entries"), "records": records })
    };
    let mut relabelled = recovery.slot.clone();
    relabelled["kind"] = "password".into();
    for (body, detail) in [
        (keyring(&[&mine.slot], &[]), "comes with no ticket"),
        (keyring(&[&bobs.slot], &[&bobs.record]), "a ticket is not one"),
        (keyring(&[&bobs.slot], &[&mine.record]), "a record for slot"),
        (keyring(&[&mine.slot], &[&mine.record, &mine.record]), "a record for slot"),
        (keyring(&[&mine.slot], &[&mine.record, &recovery.record]), "a record for slot"),
        (keyring(&[&mine.slot], &[&mine.record; 21]), "21 records"),
        (keyring(&[&relabelled], &[&recovery.record]), "another kind of slot"),
        (keyring(&[&prf_slot(7, &[7; 16])], &[]), "no live one of the account"),
        (keyring(&[&mine.slot, &mine.slot], &[&mine.record]), "the same id"),
        (keyring(&[], &[]), "1 to 20 slots"),
    ] {
        is_invalid(&app.storing(session, &body, None).send().await, detail);
    }
    let body = keyring(&[&mine.slot], &[&mine.record]);
    app.storing(session, &body, None).send().await.is(201);
    // A ticket makes a slot once, and a slot keeps its kind.
    is_invalid(&app.storing(session, &body, Some(1)).send().await, "has it already");
    let mut relabelled = mine.slot.clone();
    relabelled["kind"] = "recovery".into();
    let body = keyring(&[&relabelled], &[]);
    is_invalid(&app.storing(session, &body, Some(1)).send().await, "no such slot of that kind");
    // The id of another account's slot is not one's own.
    let body = keyring(&[&mine.slot], &[]);
    is_invalid(&app.storing((&bob, &others), &body, None).send().await, "comes with no ticket");
}

#[tokio::test]
async fn a_ticket_is_good_for_ten_minutes() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let body = app.password_keyring(session, "entries").await;
    app.advance(std::time::Duration::from_mins(10));
    is_invalid(&app.storing(session, &body, None).send().await, "older than 10 minutes");
}

#[tokio::test]
async fn the_first_keyring_is_stored_once() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let mut bodies = Vec::new();
    for _ in 0..4 {
        bodies.push(app.password_keyring(session, "entries").await);
    }
    let blind = app.storing(session, &bodies[0], None).without_header("if-none-match");
    blind.send().await.is_problem(428, "precondition-required");
    let absent = app.storing(session, &bodies[0], Some(1)).send().await;
    absent.is_problem(404, "no-keyring");
    let answers = many_at_once(bodies.iter().map(|body| app.storing(session, body, None))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(lost.is_problem(412, "keyring-changed").header("etag"), "\"1\"");
    }
}

#[tokio::test]
async fn a_proof_that_covers_no_body_stores_nothing() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let body = app.password_keyring(session, "entries").await;
    let request = app.resource_request(&owner(), &token, "PUT", "/v1/keyring").json(&body);
    let answer = request.header("if-none-match", "*").send().await;
    assert_eq!(answer.is_problem(403, "step-up-needed").json()["lack"], "body-unsigned");
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_the_limit() {
    let app = TestApp::start_with(|setup| {
        setup.policy.keyrings.max_bytes = 200_000;
        setup.policy.keyrings.growth.young_bytes = 1_000_000;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let long = |bytes: usize| "x".repeat(bytes - 16);
    let body = app.password_keyring(session, &long(200_001)).await;
    let told = app.storing(session, &body, None).send().await;
    let told = told.is_problem(413, "payload-too-large").text("detail");
    assert!(told.contains("200000") && told.contains("200001"), "{told}");
    let body = app.password_keyring(session, &long(200_000)).await;
    app.storing(session, &body, None).send().await.is(201);
    let told = app.content_change(session, &long(200_001), 1).send().await;
    told.is_problem(413, "payload-too-large");
    app.content_change(session, &long(200_000), 1).send().await.is(200);
    // No other resource takes bodies of that size.
    let elsewhere = app.resource_request(&owner(), &token, "POST", "/v1/keyring/slots");
    elsewhere.json(&body).send().await.is_problem(413, "payload-too-large");
}

#[tokio::test]
async fn a_young_account_has_a_small_keyring() {
    let (app, token) = alice().await;
    let long = "x".repeat(64 * 1024 - 15);
    let body = app.password_keyring((&owner(), &token), &long).await;
    let told = app.storing((&owner(), &token), &body, None).send().await;
    let told = told.is_problem(413, "payload-too-large").text("detail");
    assert!(told.contains("65536") && told.contains("65537") && told.contains("7 days"), "{told}");
    app.store_keyring((&owner(), &token), &long[1..]).await;
    let told = app.content_change((&owner(), &token), &long, 1).send().await;
    told.is_problem(413, "payload-too-large");
    app.advance(Duration::from_hours(24 * 7));
    let token = app.login("alice", &owner()).await;
    app.content_change((&owner(), &token), &long, 1).send().await.is(200);
}

/// Alice with a keyring of 76 bytes, where all together may have 100.
async fn alice_where_it_is_tight() -> (TestApp, String) {
    let app = TestApp::start_with(|setup| {
        let growth = &mut setup.policy.keyrings.growth;
        (growth.total_bytes, growth.recent) = (100, Duration::ZERO);
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    app.store_keyring((&owner(), &token), &"x".repeat(60)).await;
    (app, token)
}

#[tokio::test]
async fn all_keyrings_together_have_a_bound() {
    let (app, token) = alice_where_it_is_tight().await;
    app.content_change((&owner(), &token), "", 1).send().await.is(200);
    let bob = TestKey::number(2);
    let others = app.enrol("bob", &bob).await;
    let body = app.password_keyring((&bob, &others), "").await;
    let told = app.storing((&bob, &others), &body, None).send().await;
    let told = told.is_problem(503, "unavailable").text("detail");
    assert!(told.contains("limits.keyring_bytes_total") && told.contains("100"), "{told}");
}

#[tokio::test]
async fn who_is_at_the_bound_of_all_keyrings_replaces_within_what_is_there() {
    let (app, token) = alice_where_it_is_tight().await;
    let session = (&owner(), &*token);
    // Without a step-up nothing goes for it.
    let told = app.content_change(session, "more entries", 1).send().await;
    let told = told.is_problem(403, "step-up-needed").text("detail");
    assert!(told.contains("limits.keyring_bytes_total") && told.contains("100"), "{told}");
    let path = "/v1/keyring/content";
    let change = app.covering_request(session, "PUT", path, &new_content("more entries", 1));
    change.header("if-match", "\"1\"").send().await.is(200);
    app.content_change(session, "fewer", 2).send().await.is(200);
    app.restoration(session, 2, 3).send().await.is(200);
}

#[tokio::test]
async fn accounts_of_strangers_keep_no_old_account_out() {
    let app = TestApp::start_with(|setup| setup.policy.keyrings.growth.total_bytes = 100).await;
    app.enrol("alice", &owner()).await;
    app.advance(Duration::from_hours(24 * 30));
    let stranger = TestKey::number(2);
    let token = app.enrol("mallory", &stranger).await;
    app.store_keyring((&stranger, &token), &"x".repeat(30)).await;
    let bob = TestKey::number(4);
    let others = app.enrol("bob", &bob).await;
    let body = app.password_keyring((&bob, &others), "").await;
    let told = app.storing((&bob, &others), &body, None).send().await;
    let told = told.is_problem(503, "unavailable").text("detail");
    for part in ["younger than 30 days", "limits.keyring_recent_days", "at most 50 bytes"] {
        assert!(told.contains(part), "{told}");
    }
    let token = app.login("alice", &owner()).await;
    app.store_keyring((&owner(), &token), &"x".repeat(34)).await;
}

#[tokio::test]
async fn what_one_account_writes_in_a_day_has_a_bound() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits.as_mut().unwrap().keyring_kib_per_day.burst = 3;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    app.store_keyring(session, "entries").await;
    app.content_change(session, &"x".repeat(1025), 1).send().await.is(200);
    for peer in ["192.0.2.1", "198.51.100.7"] {
        let refused = app.content_change(session, "x", 2).peer(peer).send().await;
        refused.is_problem(429, "rate-limited").header("retry-after");
    }
}

/// And no more than a bound, which keeps out nobody who has been there for longer.
#[tokio::test]
async fn what_the_young_accounts_of_a_network_write_in_a_day_has_a_bound() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits.as_mut().unwrap().keyring_kib_of_network_per_day.burst = 3;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    app.store_keyring(session, "entries").await;
    app.content_change(session, &"x".repeat(1025), 1).send().await.is(200);
    let refused = app.content_change(session, "x", 2).send().await;
    refused.is_problem(429, "rate-limited").header("retry-after");
    app.content_change(session, "x", 2).peer("198.51.100.7").send().await.is(200);

    app.advance(Duration::from_hours(24 * 7));
    let of_bob = app.enrol("bob", &bob()).await;
    app.store_keyring((&bob(), &of_bob), &"x".repeat(2049)).await;
    let young = app.content_change((&bob(), &of_bob), "x", 1).send().await;
    young.is_problem(429, "rate-limited");
    let token = app.login("alice", &owner()).await;
    app.content_change((&owner(), &token), "more", 3).send().await.is(200);
}

/// Two keyrings of one revision look alike to `If-Match`.
#[tokio::test]
async fn a_request_that_names_another_account_is_refused() {
    let (app, token) = alice().await;
    let session = (&owner(), &*token);
    let opened = app.store_keyring(session, "entries").await;
    assert_eq!(opened, 1);
    let (opened, _) = app.open_keyring(&owner(), ("alice", "password"), PASSWORD).await;
    let account = opened.is(200).text("account_id");
    let whoami = app.whoami(&owner(), &token).await;
    assert_eq!(whoami.is(200).text("account_id"), account);
    let mut body = app.password_keyring(session, "more").await;
    let mut content = json!({ "nonce": "BQUFBQUFBQUFBQUF", "ciphertext": "AAAA" });
    for (named, status) in [("018bcfe5-6800-79f7-85b2-b50726227dc8", 409), (&*account, 200)] {
        for body in [&mut body, &mut content] {
            body["account_id"] = named.into();
        }
        let stored = app.storing(session, &body, Some(1)).send().await;
        if status == 409 {
            stored.is_problem(409, "other-account");
            let change = app.covering_request(session, "PUT", "/v1/keyring/content", &content);
            let changed = change.header("if-match", "\"1\"").send().await;
            changed.is_problem(409, "other-account");
        } else {
            stored.is(200);
        }
    }
}

/// A network may write as much as before, after what was refused.
#[tokio::test]
async fn what_is_refused_takes_nothing_from_what_the_network_may_write() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits.as_mut().unwrap().keyring_kib_of_network_per_day.burst = 4;
        setup.policy.keyrings.keeping.revisions = 1;
        setup.policy.keyrings.growth.young_bytes = 2048;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let long = "x".repeat(2049);
    let body = app.password_keyring(session, &long).await;
    for _ in 0..5 {
        app.content_change(session, "x", 1).send().await.is_problem(404, "no-keyring");
        let young = app.storing(session, &body, None).send().await;
        young.is_problem(413, "payload-too-large");
        app.storing(session, &body, Some(1)).send().await.is_problem(404, "no-keyring");
    }
    app.store_keyring(session, "entries").await;
    app.content_change(session, "more", 1).send().await.is(200);
    for _ in 0..5 {
        app.content_change(session, "x", 1).send().await.is_problem(412, "keyring-changed");
        let young = app.content_change(session, &long, 2).send().await;
        young.is_problem(413, "payload-too-large");
        // This one only the store knows.
        app.content_change(session, "x", 2).send().await.is_problem(403, "step-up-needed");
        app.storing(session, &body, None).send().await.is_problem(412, "keyring-changed");
    }
    // What needs a step-up counts once.
    let body = new_content("even more", 2);
    let change = app.covering_request(session, "PUT", "/v1/keyring/content", &body);
    change.header("if-match", "\"2\"").send().await.is(200);
    let change = app.covering_request(session, "PUT", "/v1/keyring/content", &body);
    change.header("if-match", "\"3\"").send().await.is(200);
    let change = app.covering_request(session, "PUT", "/v1/keyring/content", &body);
    change.header("if-match", "\"4\"").send().await.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn what_is_refused_takes_nothing_from_the_changes_of_the_day() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits.as_mut().unwrap().key_changes_per_day.burst = 2;
    })
    .await;
    let token = app.enrol("alice", &owner()).await;
    let session = (&owner(), &*token);
    let body = app.password_keyring(session, "entries").await;
    for _ in 0..5 {
        app.storing(session, &body, Some(1)).send().await.is_problem(404, "no-keyring");
        app.restoration(session, 7, 1).send().await.is_problem(404, "no-keyring");
        let taken = app.key_addition(&owner(), &token, &owner()).send().await;
        taken.is_problem(409, "key-taken");
    }
    app.storing(session, &body, None).send().await.is(201);
    app.key_addition(&owner(), &token, &TestKey::number(5)).send().await.is(201);
    app.key_addition(&owner(), &token, &TestKey::number(6)).send().await.is(429);
}
