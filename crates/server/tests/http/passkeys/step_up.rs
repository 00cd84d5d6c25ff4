//! A script in a page can use the page's key and token. What it must not be able to do is here: change
//! the account without a touch of the passkey for exactly that change.

use std::time::Duration;

use countersign_authority::model::passkey::SyncedPasskeys;
use countersign_protocol::strict::base64url;
use countersign_testkit::{authenticator::Authenticator, keys};
use serde_json::{Value, json};

use crate::support::{Answer, ISSUER, Setup, TestApp, TestKey, many_at_once, synced};

fn browser() -> TestKey {
    TestKey::number(11)
}

fn victim() -> TestKey {
    TestKey::number(12)
}

/// Alice with the synced passkey 1, a browser that is remembered, and another one; and tokens for the
/// first: by its own key, and by the passkey.
async fn alice() -> (TestApp, Authenticator, [String; 2]) {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    app.sign_in_to_stay(&victim(), &mut passkey).await;
    let own = app.login("alice", &browser()).await;
    let by_passkey = app.sign_in(&browser(), &mut passkey).await.is(200).text("access_token");
    (app, passkey, [own, by_passkey])
}

fn lacks_a_passkey(answer: &Answer) {
    let body = answer.is_problem(403, "step-up-needed").json();
    assert_eq!(body["lack"], "passkey", "{body}");
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
    assert!(challenge.contains("acr_values=\"phr\", max_age=\"300\""), "{challenge}");
}

#[tokio::test]
async fn a_script_adds_renames_and_revokes_nothing_without_a_touch() {
    let (app, _, tokens) = alice().await;
    for token in &tokens {
        let session = (&browser(), &**token);
        let added = app.key_addition(&browser(), token, &TestKey::number(50)).send().await;
        lacks_a_passkey(&added);
        let path = format!("/v1/keys/{}", victim().thumbprint());
        let body = json!({ "label": "renamed" });
        lacks_a_passkey(&app.covering_request(session, "PATCH", &path, &body).send().await);
        lacks_a_passkey(&app.revoke_key(&browser(), token, &victim()).await);
        let options = app.addition_options(&browser(), token).await;
        let body = json!({ "passkey": synced(2).create(&options) });
        lacks_a_passkey(&app.covering_request(session, "POST", "/v1/passkeys", &body).send().await);
    }
}

#[tokio::test]
async fn a_touch_allows_the_one_request_that_it_was_for_and_no_other() {
    let (app, mut passkey, [token, _]) = alice().await;
    let session = (&browser(), &*token);
    let wanted = app.new_key("alice", &TestKey::number(50));
    let word = app.step_up(session, &mut passkey, ("POST", "/v1/keys", Some(&wanted))).await;
    let other = app.new_key("alice", &TestKey::number(51));
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let label = json!({ "label": "renamed" });
    let others = [
        app.covering_request(session, "POST", "/v1/keys", &other),
        app.covering_request(session, "PATCH", &path, &label),
        app.resource_request(&browser(), &token, "DELETE", &path),
    ];
    for request in others {
        lacks_a_passkey(&request.header("passkey-assertion", &word).send().await);
    }
    let request = app.covering_request(session, "POST", "/v1/keys", &wanted);
    let added = request.header("passkey-assertion", &word).send().await.is(201).json();
    assert_eq!(added["added_by"], browser().thumbprint(), "what a browser lets in bears its name");
}

/// Its owner sees that it came to nothing.
#[tokio::test]
async fn a_touch_for_what_is_refused_as_too_much_serves_nothing_later() {
    let app = TestApp::start_with(|setup: &mut Setup| {
        setup.policy.limits.as_mut().unwrap().key_changes_of_network_per_day.burst = 1;
    })
    .await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    let session = (&browser(), &*token);
    let path = format!("/v1/keys/{}", browser().thumbprint());
    let rename = ("PATCH", &*path, &json!({ "label": "renamed" }));
    app.stepped_up_request(session, &mut passkey, rename).await.send().await.is(200);
    let rename = ("PATCH", &*path, &json!({ "label": "again" }));
    let word = app.step_up(session, &mut passkey, (rename.0, rename.1, Some(rename.2))).await;
    let request = || {
        let request = app.covering_request(session, rename.0, rename.1, rename.2);
        request.header("passkey-assertion", &word)
    };
    request().send().await.is_problem(429, "rate-limited");
    let elsewhere = request().peer("198.51.100.7").send().await;
    lacks_a_passkey(&elsewhere);
}

/// Neither where the request is refused before the answer of the passkey is looked at.
#[tokio::test]
async fn a_touch_whose_key_has_asked_too_much_serves_nothing_later() {
    for (method, path) in [("DELETE", None), ("PATCH", Some(json!({ "label": "renamed" })))] {
        let app = TestApp::start_with(|setup: &mut Setup| {
            let limits = setup.policy.limits.as_mut().unwrap();
            (limits.withdrawals.burst, limits.key.burst) = (1, 4);
        })
        .await;
        let mut passkey = synced(1);
        app.register_with_passkey("alice", &browser(), &mut passkey).await;
        let token = app.login("alice", &browser()).await;
        let (session, body) = ((&browser(), &*token), path);
        let path = format!("/v1/keys/{}", victim().thumbprint());
        let word = app.step_up(session, &mut passkey, (method, &path, body.as_ref())).await;
        let ask = |word: &str| {
            let request = match &body {
                Some(body) => app.covering_request(session, method, &path, body),
                None => app.resource_request(&browser(), &token, method, &path),
            };
            request.header("passkey-assertion", word)
        };
        // What a script sends has no touch that counts.
        while ask("AAAA").send().await.status != 429 {}
        ask(&word).send().await.is_problem(429, "rate-limited");
        app.advance(Duration::from_mins(2));
        lacks_a_passkey(&ask(&word).send().await);
    }
}

/// Alice with a keyring of revision 1, and the body that gives it another password.
async fn alice_with_a_keyring() -> (TestApp, Authenticator, String, Value) {
    let (app, mut passkey, [token, _]) = alice().await;
    let session = (&browser(), &*token);
    let first = app.password_keyring(session, "entries").await;
    let place = ("/v1/keyring", &first);
    let word = app.step_up_to_replace(session, &mut passkey, place, None).await;
    let store = app.storing(session, &first, None).header("passkey-assertion", &word);
    store.send().await.is(201);
    let body = app.password_keyring(session, "entries, with another password").await;
    (app, passkey, token, body)
}

#[tokio::test]
async fn a_touch_allows_a_request_under_its_condition_and_no_other() {
    let (app, mut passkey, token, body) = alice_with_a_keyring().await;
    let session = (&browser(), &*token);
    let place = ("/v1/keyring", &body);
    let word = app.step_up_to_replace(session, &mut passkey, place, Some(1)).await;
    // The touch for the first keyring, for another revision, and for a request without a condition.
    for replaced in [None, Some(2)] {
        let store = app.storing(session, &body, replaced).header("passkey-assertion", &word);
        let refused = store.send().await;
        lacks_a_passkey(&refused);
        assert!(refused.text("detail").contains("If-Match"), "{}", refused.body);
    }
    let blind = app.step_up(session, &mut passkey, ("PUT", "/v1/keyring", Some(&body))).await;
    let store = app.storing(session, &body, Some(1)).header("passkey-assertion", &blind);
    lacks_a_passkey(&store.send().await);
    let store = app.storing(session, &body, Some(1)).header("passkey-assertion", &word);
    store.send().await.is(200);
}

#[tokio::test]
async fn a_touch_whose_request_is_refused_serves_nobody_later() {
    let (app, mut passkey, token, body) = alice_with_a_keyring().await;
    let session = (&browser(), &*token);
    let place = ("/v1/keyring", &body);
    // For a revision that is to come, so that the condition is met later.
    let word = app.step_up_to_replace(session, &mut passkey, place, Some(2)).await;
    let store = || app.storing(session, &body, Some(2)).header("passkey-assertion", &word);
    store().send().await.is_problem(412, "keyring-changed");
    app.content_change(session, "saved meanwhile", 1).send().await.is(200);
    let later = store().send().await;
    lacks_a_passkey(&later);
    assert!(later.text("detail").contains("used before"), "{}", later.body);

    let path = format!("/v1/keys/{}", TestKey::number(77).thumbprint());
    let word = app.step_up(session, &mut passkey, ("DELETE", &path, None)).await;
    let revoke = || {
        let request = app.resource_request(&browser(), &token, "DELETE", &path);
        request.header("passkey-assertion", &word)
    };
    revoke().send().await.is_problem(404, "not-found");
    lacks_a_passkey(&revoke().send().await);
}

#[tokio::test]
async fn an_authenticator_need_not_name_the_account_that_the_request_is_of() {
    let (app, mut passkey, [token, _]) = alice().await;
    let mut others = synced(2);
    app.register_with_passkey("bob", &TestKey::number(13), &mut others).await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let options = app.step_up_options_request((&browser(), &token), "DELETE", &path, None);
    let options = options.send().await.is(200).json();
    for authenticator in [&mut others, &mut passkey] {
        authenticator.user_handle = None;
    }
    let revoke = |word: String| {
        let request = app.resource_request(&browser(), &token, "DELETE", &path);
        request.header("passkey-assertion", word)
    };
    lacks_a_passkey(&revoke(others.answer(&options)).send().await);
    revoke(passkey.answer(&options)).send().await.is(204);
    // Where nothing else says whose it is, the authenticator must.
    app.sign_in(&browser(), &mut passkey).await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_touch_counts_once_also_after_a_restart() {
    let (mut app, mut passkey, [token, _]) = alice().await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let rename = |app: &TestApp, word: &str| {
        let body = json!({ "label": "renamed" });
        let request = app.covering_request((&browser(), &token), "PATCH", &path, &body);
        request.header("passkey-assertion", word)
    };
    let body = json!({ "label": "renamed" });
    let session = (&browser(), &*token);
    let word = app.step_up(session, &mut passkey, ("PATCH", &path, Some(&body))).await;
    rename(&app, &word).send().await.is(200);
    lacks_a_passkey(&rename(&app, &word).send().await);
    app.restart().await;
    lacks_a_passkey(&rename(&app, &word).send().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_requests_at_once_with_one_touch_one_works() {
    let (app, mut passkey, [token, _]) = alice().await;
    let session = (&browser(), &*token);
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up(session, &mut passkey, ("DELETE", &path, None)).await;
    let calls = (0..50).map(|_| {
        let request = app.resource_request(&browser(), &token, "DELETE", &path);
        request.header("passkey-assertion", &word)
    });
    let answers = many_at_once(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
}

#[tokio::test]
async fn a_touch_in_one_browser_serves_no_other() {
    let (app, mut passkey, [token, _]) = alice().await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let other = TestKey::number(13);
    let others = app.sign_in(&other, &mut passkey).await.is(200).text("access_token");
    let request = app.resource_request(&other, &others, "DELETE", &path);
    lacks_a_passkey(&request.header("passkey-assertion", &word).send().await);
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    request.header("passkey-assertion", &word).send().await.is(204);
}

#[tokio::test]
async fn the_passkey_of_another_account_allows_nothing() {
    let (app, _, [token, _]) = alice().await;
    let mut bobs = synced(3);
    app.register_with_passkey("bob", &TestKey::number(14), &mut bobs).await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut bobs, ("DELETE", &path, None)).await;
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    let answer = request.header("passkey-assertion", &word).send().await;
    lacks_a_passkey(&answer);
    assert!(answer.text("detail").contains("another account"));
}

#[tokio::test]
async fn a_challenge_for_signing_in_allows_no_change() {
    let (app, mut passkey, [token, _]) = alice().await;
    let word = passkey.answer(&app.sign_in_options(&browser()).await);
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    lacks_a_passkey(&request.header("passkey-assertion", &word).send().await);
    // It was not used up by that.
    app.passkey_token_request(&browser(), &word).send().await.is(200);
}

#[tokio::test]
async fn a_touch_is_good_for_ten_minutes() {
    let (app, mut passkey, _) = alice().await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let token = app.login("alice", &browser()).await;
    let word = app.step_up((&browser(), &token), &mut passkey, ("DELETE", &path, None)).await;
    app.advance(Duration::from_mins(10));
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    lacks_a_passkey(&request.header("passkey-assertion", &word).send().await);
}

#[tokio::test]
async fn a_browser_signs_itself_out_without_a_touch() {
    let (app, _, tokens) = alice().await;
    for (token, status) in tokens.iter().zip([204, 401]) {
        app.revoke_key(&browser(), token, &browser()).await.is(status);
    }
    let (app, _, [_, by_passkey]) = alice().await;
    app.revoke_key(&browser(), &by_passkey, &browser()).await.is(204);
    app.whoami(&browser(), &by_passkey).await.is(401);
}

#[tokio::test]
async fn the_options_name_the_live_passkeys_of_the_account_alone() {
    let (app, passkey, [token, _]) = alice().await;
    app.register_with_passkey("bob", &TestKey::number(14), &mut synced(3)).await;
    let session = (&browser(), &*token);
    let request = app.step_up_options_request(session, "POST", "/v1/keys", None);
    let options = request.send().await.is(200).json();
    let ids: Vec<&Value> = options["allowCredentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|passkey| &passkey["id"])
        .collect();
    assert_eq!(ids, [&json!(countersign_protocol::strict::base64url::encode(&passkey.id))]);
}

#[tokio::test]
async fn an_account_without_passkeys_is_told_to_log_in_anew() {
    let app = TestApp::start().await;
    let token = app.enrol("alice", &browser()).await;
    let session = (&browser(), &*token);
    let request = app.step_up_options_request(session, "POST", "/v1/keys", None);
    let body = request.send().await.is_problem(403, "step-up-needed").json();
    assert_eq!(body["lack"], "fresh-login");
}

/// Or the loss of the only passkey would lock the account as it is.
#[tokio::test]
async fn a_passkey_that_is_revoked_is_neither_offered_nor_demanded() {
    let (app, mut passkey, [token, _]) = alice().await;
    let session = (&browser(), &*token);
    let path = format!("/v1/keys/{}", passkey.thumbprint());
    let word = app.step_up(session, &mut passkey, ("DELETE", &path, None)).await;
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    request.header("passkey-assertion", word).send().await.is(204);
    let options = app.step_up_options_request(session, "POST", "/v1/keys", None).send().await;
    assert_eq!(options.is_problem(403, "step-up-needed").json()["lack"], "fresh-login");
    let options = app.addition_options(&browser(), &token).await;
    assert_eq!(options["excludeCredentials"], json!([]));
    app.key_addition(&browser(), &token, &TestKey::number(50)).send().await.is(201);
}

/// One key of a browser may be bound to the tokens of two accounts, as long as neither remembers it.
#[tokio::test]
async fn what_was_asked_for_one_account_serves_no_other_with_the_same_browser() {
    let (app, mut passkey, _) = alice().await;
    let mut bobs = synced(3);
    app.register_with_passkey("bob", &TestKey::number(14), &mut bobs).await;
    let shared = TestKey::number(15);
    let token = app.sign_in(&shared, &mut passkey).await.is(200).text("access_token");
    let bobs_token = app.sign_in(&shared, &mut bobs).await.is(200).text("access_token");
    let body = json!({ "passkey": synced(4).create(&app.addition_options(&shared, &token).await) });
    let bobs_session = (&shared, &*bobs_token);
    let request = app.stepped_up_request(bobs_session, &mut bobs, ("POST", "/v1/passkeys", &body));
    let answer = request.await.send().await;
    let detail = answer.is_problem(400, "invalid-proof").text("detail");
    assert!(detail.contains("another account"), "{detail}");
    let path = format!("/v1/keys/{}", TestKey::number(14).thumbprint());
    let word = app.step_up((&shared, &token), &mut bobs, ("DELETE", &path, None)).await;
    let request = app.resource_request(&shared, &bobs_token, "DELETE", &path);
    lacks_a_passkey(&request.header("passkey-assertion", word).send().await);
}

#[tokio::test]
async fn a_copy_of_a_passkey_allows_nothing_and_is_noticed() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::ed25519(1_001), ISSUER);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    let mut copy = passkey.clone();
    app.sign_in_to_stay(&victim(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut copy, ("DELETE", &path, None)).await;
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    lacks_a_passkey(&request.header("passkey-assertion", &word).send().await);
    let events = app.event_names(&browser(), &token).await;
    assert!(events.contains(&"passkey.counter-regressed".to_owned()), "{events:?}");
}

/// A passkey of before, which can be on several devices, allows nothing any more; and the account is not
/// treated as one that has none, for which a fresh login would do.
#[tokio::test]
async fn a_synced_passkey_allows_no_change_where_the_operator_refuses_them() {
    let (mut app, mut passkey, [token, _]) = alice().await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let refuse = |setup: &mut Setup| {
        setup.policy.passkeys.as_mut().unwrap().synced = SyncedPasskeys::Refuse;
    };
    app.restart_with(refuse).await;
    let token = app.login("alice", &browser()).await;
    lacks_a_passkey(&app.revoke_key(&browser(), &token, &victim()).await);
    let removal = app.resource_request(&browser(), &token, "DELETE", &path);
    let answer = removal.header("passkey-assertion", &word).send().await;
    lacks_a_passkey(&answer);
    assert!(answer.text("detail").contains("passkeys.synced"), "{}", answer.body);
    let options = app.step_up_options_request((&browser(), &token), "DELETE", &path, None);
    let options = options.send().await;
    lacks_a_passkey(&options);
    assert!(options.text("detail").contains("recovery code"), "{}", options.body);
}

/// Beside a passkey that stays on one device, the browser is told of that one alone.
#[tokio::test]
async fn a_passkey_of_one_device_allows_changes_where_synced_ones_are_refused() {
    let (mut app, mut passkey, [token, _]) = alice().await;
    let mut second = Authenticator::with_key(keys::ed25519(2), ISSUER);
    let body = json!({ "passkey": second.create(&app.addition_options(&browser(), &token).await) });
    let session = (&browser(), token.as_str());
    let word = app.step_up(session, &mut passkey, ("POST", "/v1/passkeys", Some(&body))).await;
    let added = app.covering_request(session, "POST", "/v1/passkeys", &body);
    added.header("passkey-assertion", &word).send().await.is(201);
    app.restart_with(|setup| {
        setup.policy.passkeys.as_mut().unwrap().synced = SyncedPasskeys::Refuse;
    })
    .await;
    let token = app.login("alice", &browser()).await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let options = app.step_up_options_request((&browser(), &token), "DELETE", &path, None);
    let allowed = options.send().await.is(200).json()["allowCredentials"].clone();
    assert_eq!(allowed.as_array().unwrap().len(), 1, "{allowed}");
    assert_eq!(allowed[0]["id"], base64url::encode(&second.id));
    let word = app.step_up((&browser(), &token), &mut second, ("DELETE", &path, None)).await;
    let removal = app.resource_request(&browser(), &token, "DELETE", &path);
    removal.header("passkey-assertion", &word).send().await.is(204);
}

#[tokio::test]
async fn a_step_up_moves_the_counter_on() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::ed25519(1_001), ISSUER);
    app.register_with_passkey("alice", &browser(), &mut passkey).await;
    app.sign_in_to_stay(&victim(), &mut passkey).await;
    let token = app.login("alice", &browser()).await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    request.header("passkey-assertion", &word).send().await.is(204);
    let keys = app.resource_request(&browser(), &token, "GET", "/v1/keys").send().await.json();
    let listed = keys["keys"].as_array().unwrap();
    let own = listed.iter().find(|key| key["thumbprint"] == passkey.thumbprint()).unwrap();
    assert_eq!(own["passkey"]["sign_count"], passkey.sign_count - 1);
}

#[tokio::test]
async fn two_words_are_one_too_many() {
    let (app, mut passkey, [token, _]) = alice().await;
    let path = format!("/v1/keys/{}", victim().thumbprint());
    let word = app.step_up((&browser(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let request = app.resource_request(&browser(), &token, "DELETE", &path);
    let request = request.header("passkey-assertion", &word).header("passkey-assertion", &word);
    request.send().await.is_problem(400, "invalid-request");
}
