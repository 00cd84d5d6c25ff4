//! Signing in: the answer of a passkey becomes a token that is bound to the key of the browser.

use std::time::Duration;

use countersign_authority::model::{
    account::{AccountName, AccountStatus},
    limits::RateLimit,
    passkey::SyncedPasskeys,
    policy::Limits,
};
use countersign_protocol::{keys::Algorithm, strict::base64url};
use countersign_testkit::{
    authenticator::{Authenticator, Flags},
    keys,
};
use serde_json::{Value, json};

use crate::support::{Answer, ISSUER, Jwt, TestApp, TestKey, many_at_once, synced};

/// Makes an authenticator or a page say something else.
type Spoil = fn(&mut Authenticator);

/// The browser in which alice registered.
fn first() -> TestKey {
    TestKey::number(1)
}

/// Another browser.
fn second() -> TestKey {
    TestKey::number(2)
}

/// Alice with the synced passkey 1.
async fn alice() -> (TestApp, Authenticator) {
    let app = TestApp::start().await;
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &first(), &mut passkey).await;
    (app, passkey)
}

fn refused(answer: &Answer) -> Value {
    answer.is_oauth_error(400, "invalid_grant").json()
}

#[tokio::test]
async fn a_passkey_signs_in_on_an_empty_browser_without_a_name() {
    let (app, mut passkey) = alice().await;
    let answer = app.sign_in(&second(), &mut passkey).await;
    let token = answer.is(200).text("access_token");
    let claims = Jwt::claims_of(&token);
    assert_eq!(claims["client_id"], passkey.thumbprint());
    assert_eq!(claims["cnf"], json!({ "jkt": second().thumbprint() }));
    assert_eq!(claims["acr"], "phr");
    assert_eq!(claims["amr"], json!(["pop", "user", "swk"]));
    assert_eq!(claims["auth_time"], app.now().as_secs());
    assert_eq!(app.whoami(&second(), &token).await.is(200).json()["username"], "alice");
    app.whoami(&first(), &token).await.is(401);
}

#[tokio::test]
async fn a_passkey_of_one_device_says_so() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::from_pem(keys::EC_P256_PEM), ISSUER);
    app.register_with_passkey("alice", &first(), &mut passkey).await;
    let token = app.sign_in(&second(), &mut passkey).await.is(200).text("access_token");
    assert_eq!(Jwt::claims_of(&token)["amr"], json!(["pop", "user", "hwk"]));
}

#[tokio::test]
async fn a_browser_that_signs_in_was_used_and_its_requests_are_no_uses_of_the_passkey() {
    let (app, mut passkey) = alice().await;
    let token = app.sign_in_to_stay(&second(), &mut passkey).await;
    let signed_in_at = app.now().as_secs();
    app.advance(Duration::from_mins(10));
    for _ in 0..2 {
        let answer = app.resource_request(&second(), &token, "GET", "/v1/keys").send().await;
        for key in answer.is(200).json()["keys"].as_array().unwrap() {
            let is_passkey = key["kind"] == "passkey";
            if is_passkey || key["thumbprint"] == second().thumbprint() {
                assert_eq!(key["last_used_at"], signed_in_at, "{key}");
            }
        }
        app.write_key_uses().await;
    }
}

#[tokio::test]
async fn every_kind_of_key_that_is_offered_signs_in() {
    let app = TestApp::start().await;
    let kinds = [
        keys::ed25519(1_001),
        keys::from_pem(keys::EC_P256_PEM),
        keys::from_pem(keys::RSA_2048_PEM),
    ];
    for (number, key) in (0..).zip(kinds) {
        let self_attested = key.algorithm() != Algorithm::Rs256;
        let mut passkey = Authenticator::with_key(key, ISSUER);
        passkey.attests_itself = self_attested;
        let browser = TestKey::number(10 + number);
        app.register_with_passkey(&format!("user{number}"), &browser, &mut passkey).await;
        app.sign_in(&second(), &mut passkey).await.is(200);
    }
}

#[tokio::test]
async fn an_answer_for_one_browser_is_refused_from_another_and_stays_good() {
    let (app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let answer = passkey.answer(&options);
    let thief = TestKey::number(3);
    let body = refused(&app.passkey_token_request(&thief, &answer).send().await);
    assert!(body["error_description"].as_str().unwrap().contains("another key"), "{body}");
    app.passkey_token_request(&second(), &answer).send().await.is(200);
}

#[tokio::test]
async fn an_answer_works_once_also_after_a_restart() {
    let (mut app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let answer = passkey.answer(&options);
    app.passkey_token_request(&second(), &answer).send().await.is(200);
    refused(&app.passkey_token_request(&second(), &answer).send().await);
    app.restart().await;
    let body = refused(&app.passkey_token_request(&second(), &answer).send().await);
    assert!(body["error_description"].as_str().unwrap().contains("answered before"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_tries_at_once_with_one_answer_one_works() {
    let (app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let answer = passkey.answer(&options);
    let calls = (0..50).map(|_| app.passkey_token_request(&second(), &answer));
    let answers = many_at_once(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    answers.iter().filter(|answer| answer.status != 200).for_each(|answer| drop(refused(answer)));
}

#[tokio::test]
async fn a_challenge_of_before_a_restart_may_be_answered_after_it() {
    let (mut app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    app.restart().await;
    app.passkey_token_request(&second(), &passkey.answer(&options)).send().await.is(200);
}

#[tokio::test]
async fn a_challenge_expires_after_ten_minutes() {
    let (app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let late = app.sign_in_options(&TestKey::number(3)).await;
    app.advance(Duration::from_secs(599));
    app.passkey_token_request(&second(), &passkey.answer(&options)).send().await.is(200);
    app.advance(Duration::from_secs(1));
    let answer = passkey.answer(&late);
    let body = refused(&app.passkey_token_request(&TestKey::number(3), &answer).send().await);
    assert!(body["error_description"].as_str().unwrap().contains("600 seconds"), "{body}");
}

#[tokio::test]
async fn a_proof_without_a_nonce_uses_nothing_up() {
    let (app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let answer = passkey.answer(&options);
    let proof = app.proof(&second(), "POST", "/oauth/token").sign();
    let request = app.passkey_token_request(&second(), &answer);
    let without = request.clone().without_header("dpop").dpop(&proof).send().await;
    without.is_oauth_error(400, "use_dpop_nonce");
    request.send().await.is(200);
}

#[tokio::test]
async fn a_challenge_of_another_purpose_signs_nobody_in() {
    let (app, mut passkey) = alice().await;
    let token = app.sign_in(&first(), &mut passkey).await.is(200).text("access_token");
    let session = (&first(), &*token);
    let step_up = app.step_up_options_request(session, "POST", "/v1/keys", None).send().await;
    let register = app.registration_options(&first(), "bob").await;
    let add = app.addition_options(&first(), &token).await;
    for options in [step_up.json(), register, add] {
        let options = json!({ "challenge": options["challenge"], "rpId": "auth.example" });
        let body =
            refused(&app.passkey_token_request(&first(), &passkey.answer(&options)).send().await);
        assert!(body["error_description"].as_str().unwrap().contains("sign-in"), "{body}");
    }
}

#[tokio::test]
async fn what_a_page_or_an_authenticator_must_not_say_is_refused() {
    let (app, passkey) = alice().await;
    let cases: &[(&str, Spoil)] = &[
        ("origin", |passkey| passkey.origin = "https://auth.example.evil".to_owned()),
        ("origin", |passkey| passkey.origin = "http://auth.example".to_owned()),
        ("RP ID", |passkey| passkey.rp_id = Some("example".to_owned())),
        ("(UP)", |passkey| passkey.flags.user_present = false),
        ("(UV)", |passkey| passkey.flags.user_verified = false),
        ("(BE)", |passkey| {
            passkey.flags = Flags { backup_eligible: false, backed_up: false, ..passkey.flags };
        }),
        ("userHandle", |passkey| passkey.user_handle = None),
        ("userHandle", |passkey| passkey.user_handle = Some(vec![7; 32])),
        ("crossOrigin", |passkey| passkey.cross_origin = true),
    ];
    for (cause, spoil) in cases {
        let mut spoilt = passkey.clone();
        spoil(&mut spoilt);
        let body = refused(&app.sign_in(&second(), &mut spoilt).await);
        assert!(body["error_description"].as_str().unwrap().contains(cause), "{cause}: {body}");
        assert_eq!(body.get("reason"), None);
    }
    app.sign_in(&second(), &mut passkey.clone()).await.is(200);
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let (app, passkey) = alice().await;
    let mut forger = synced(2);
    (forger.id, forger.user_handle) = (passkey.id.clone(), passkey.user_handle.clone());
    let body = refused(&app.sign_in(&second(), &mut forger).await);
    assert_eq!(body["error_description"], "the signature is wrong");
}

#[tokio::test]
async fn of_a_passkey_that_no_account_has_the_page_learns_that() {
    let (app, _) = alice().await;
    let mut stranger = synced(2);
    stranger.user_handle = Some(vec![7; 32]);
    let body = refused(&app.sign_in(&second(), &mut stranger).await);
    assert_eq!(body["reason"], "unknown-passkey");
}

#[tokio::test]
async fn a_revoked_passkey_is_as_good_as_unknown_and_its_use_is_written_down() {
    let (app, mut passkey) = alice().await;
    let token = app.sign_in(&first(), &mut passkey).await.is(200).text("access_token");
    let path = format!("/v1/keys/{}", passkey.thumbprint());
    let word = app.step_up((&first(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let request = app.resource_request(&first(), &token, "DELETE", &path);
    request.header("passkey-assertion", word).send().await.is(204);
    app.whoami(&first(), &token).await.is(401);
    let body = refused(&app.sign_in(&second(), &mut passkey).await);
    assert_eq!(body["reason"], "unknown-passkey");
    let token = app.login("alice", &first()).await;
    let events = app.event_names(&first(), &token).await;
    assert!(events.contains(&"login.refused".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_disabled_account_stays_out_and_its_passkey_is_not_forgotten() {
    let (app, mut passkey) = alice().await;
    let name: AccountName = "alice".parse().unwrap();
    app.admin().set_status(&name, AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;
    let body = refused(&app.sign_in(&second(), &mut passkey).await);
    assert_eq!(body.get("reason"), None, "or the browser would delete the passkey");
    assert_eq!(body["error_description"], "the account of the passkey is disabled");
}

#[tokio::test]
async fn a_counter_that_has_not_grown_is_refused_and_written_down() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::ed25519(1_001), ISSUER);
    app.register_with_passkey("alice", &first(), &mut passkey).await;
    let mut copy = passkey.clone();
    app.sign_in(&second(), &mut passkey).await.is(200);
    let body = refused(&app.sign_in(&second(), &mut copy).await);
    assert!(body["error_description"].as_str().unwrap().contains("copy"), "{body}");
    app.sign_in(&second(), &mut passkey).await.is(200);
    let token = app.login("alice", &first()).await;
    let events = app.event_names(&first(), &token).await;
    assert!(events.contains(&"passkey.counter-regressed".to_owned()), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_copies_that_show_one_counter_at_once_one_works() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::ed25519(1_001), ISSUER);
    app.register_with_passkey("alice", &first(), &mut passkey).await;
    let mut calls = Vec::new();
    for number in 0..20 {
        let browser = TestKey::number(100 + number);
        let options = app.sign_in_options(&browser).await;
        calls.push(app.passkey_token_request(&browser, &passkey.clone().answer(&options)));
    }
    let answers = many_at_once(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_again_tells_of_no_copy() {
    let app = TestApp::start().await;
    let mut passkey = Authenticator::with_key(keys::ed25519(1_001), ISSUER);
    app.register_with_passkey("alice", &first(), &mut passkey).await;
    let options = app.sign_in_options(&second()).await;
    let answer = passkey.answer(&options);
    app.passkey_token_request(&second(), &answer).send().await.is(200);
    let body = refused(&app.passkey_token_request(&second(), &answer).send().await);
    assert!(body["error_description"].as_str().unwrap().contains("answered before"), "{body}");
    let token = app.login("alice", &first()).await;
    let events = app.event_names(&first(), &token).await;
    assert!(events.contains(&"proof.replayed".to_owned()), "{events:?}");
    assert!(!events.contains(&"passkey.counter-regressed".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_passkey_that_does_not_count_stays_good() {
    let (app, mut passkey) = alice().await;
    for _ in 0..3 {
        app.sign_in(&second(), &mut passkey).await.is(200);
    }
}

#[tokio::test]
async fn synced_passkeys_are_refused_where_the_operator_wants_that() {
    let (mut app, mut passkey) = alice().await;
    app.restart_with(|setup| {
        setup.policy.passkeys.as_mut().unwrap().synced = SyncedPasskeys::Refuse;
    })
    .await;
    let body = refused(&app.sign_in(&second(), &mut passkey).await);
    assert!(body["error_description"].as_str().unwrap().contains("passkeys.synced"), "{body}");
    let made = passkey.create(&app.registration_options(&second(), "bob").await);
    let answer = app.registration_with_passkey("bob", &second(), &made).send().await;
    answer.is_problem(400, "invalid-proof");
}

#[tokio::test]
async fn a_browser_that_is_remembered_signs_in_by_itself_and_is_listed() {
    let (app, mut passkey) = alice().await;
    app.sign_in_to_stay(&second(), &mut passkey).await;
    let token = app.login("alice", &second()).await;
    assert_eq!(Jwt::claims_of(&token).get("acr"), None);
    let keys = app.resource_request(&second(), &token, "GET", "/v1/keys").send().await.json();
    let listed = keys["keys"].as_array().unwrap();
    let kinds: Vec<_> = listed.iter().map(|key| key["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["browser", "passkey", "browser"]);
    assert_eq!(listed[2]["added_by"], passkey.thumbprint());
    let about = &listed[1]["passkey"];
    assert_eq!(about["id"], base64url::encode(&passkey.id));
    assert_eq!(about["transports"], json!(["hybrid", "internal"]));
    assert_eq!(about["backup_eligible"], true);
    assert_eq!(about["backed_up"], true);
}

#[tokio::test]
async fn a_browser_that_is_not_remembered_is_not_known() {
    let (app, mut passkey) = alice().await;
    app.sign_in(&second(), &mut passkey).await.is(200);
    app.login_request("alice", &second()).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_browser_that_makes_room_for_another_is_out_at_once() {
    let (mut app, mut passkey) = alice().await;
    app.restart_with(|setup| setup.policy.max_browsers_per_account = 2).await;
    app.advance(Duration::from_secs(1));
    let oldest = app.login("alice", &first()).await;
    app.whoami(&first(), &oldest).await.is(200);
    for browser in [second(), TestKey::number(3)] {
        app.advance(Duration::from_secs(1));
        app.sign_in_to_stay(&browser, &mut passkey).await;
    }
    app.whoami(&first(), &oldest).await.is(401);
}

#[tokio::test]
async fn a_proof_works_once_whatever_the_passkey_has_signed() {
    let (app, mut passkey) = alice().await;
    let proof = app.token_proof(&second()).sign();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let options = app.sign_in_options(&second()).await;
        let request = app.passkey_token_request(&second(), &passkey.answer(&options));
        answers.push(request.without_header("dpop").dpop(&proof).send().await);
    }
    answers[0].is(200);
    answers[1].is_oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_browser_that_is_revoked_is_out_at_once_also_with_the_token_of_the_passkey() {
    let (app, mut passkey) = alice().await;
    let lost = app.sign_in_to_stay(&second(), &mut passkey).await;
    app.whoami(&second(), &lost).await.is(200);
    let token = app.sign_in(&first(), &mut passkey).await.is(200).text("access_token");
    let path = format!("/v1/keys/{}", second().thumbprint());
    let word = app.step_up((&first(), &token), &mut passkey, ("DELETE", &path, None)).await;
    let request = app.resource_request(&first(), &token, "DELETE", &path);
    request.header("passkey-assertion", word).send().await.is(204);
    app.whoami(&second(), &lost).await.is(401);
    app.whoami(&first(), &token).await.is(200);
}

#[tokio::test]
async fn the_key_of_something_else_is_no_key_of_a_browser() {
    let (app, mut passkey) = alice().await;
    let [own_file, own_old_browser, others_file, others_browser] =
        [5, 6, 7, 8].map(TestKey::number);
    let token = app.sign_in(&first(), &mut passkey).await.is(200).text("access_token");
    let body = app.new_key("alice", &own_file);
    let session = (&first(), &*token);
    let add = app.stepped_up_request(session, &mut passkey, ("POST", "/v1/keys", &body)).await;
    add.send().await.is(201);
    let token = app.sign_in_to_stay(&own_old_browser, &mut passkey).await;
    app.revoke_key(&own_old_browser, &token, &own_old_browser).await.is(204);
    app.register("bob", &others_file).await;
    app.register_with_passkey("carol", &others_browser, &mut synced(2)).await;
    for key in [own_file, own_old_browser, others_file, others_browser] {
        let answer = app.sign_in(&key, &mut passkey).await;
        answer.is_oauth_error(400, "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn a_browser_that_stays_after_all_ends_later_at_once() {
    let (app, mut passkey) = alice().await;
    let options = app.sign_in_options(&second()).await;
    let request = app.passkey_token_request(&second(), &passkey.answer(&options));
    request.param("remember", "visit").send().await.is(200);
    app.advance(Duration::from_hours(12) - Duration::from_mins(1));
    let answer = app.sign_in(&second(), &mut passkey).await.is(200).json();
    assert_eq!(answer["expires_in"], 60, "the token ends with its browser");
    app.login("alice", &second()).await;
    app.sign_in_to_stay(&second(), &mut passkey).await;
    app.advance(Duration::from_hours(12));
    app.login("alice", &second()).await;
}

#[tokio::test]
async fn what_a_client_asks_for_is_checked_as_with_other_logins() {
    let (app, mut passkey) = alice().await;
    let cases = [
        ("scope", "admin", "invalid_scope"),
        ("resource", "https://other.example", "invalid_target"),
        ("client_id", "bob", "invalid_grant"),
        ("remember", "for ever", "invalid_request"),
        ("label", " spaced ", "invalid_request"),
    ];
    for (name, value, error) in cases {
        let options = app.sign_in_options(&second()).await;
        let answer = passkey.answer(&options);
        let request = app.passkey_token_request(&second(), &answer);
        request.param(name, value).send().await.is_oauth_error(400, error);
        let again = app.passkey_token_request(&second(), &answer).param("client_id", "alice");
        again.send().await.is(200);
    }
}

#[tokio::test]
async fn texts_that_are_no_answers_of_passkeys_are_refused() {
    let (app, _) = alice().await;
    for text in ["x", "AA", "eyJ9", &base64url::encode(b"{}"), &base64url::encode(b"[1]")] {
        refused(&app.passkey_token_request(&second(), text).send().await);
    }
}

#[tokio::test]
async fn sign_ins_count_like_other_logins() {
    let (mut app, mut passkey) = alice().await;
    app.restart_with(|setup| {
        let logins = RateLimit { burst: 1, ..Limits::default().logins };
        setup.policy.limits = Some(Limits { logins, ..Limits::default() });
    })
    .await;
    app.sign_in(&second(), &mut passkey).await.is(200);
    let request = app.passkey_token_request(&second(), "x").send().await;
    request.is_oauth_error(429, "temporarily_unavailable");
}

#[tokio::test]
async fn sign_ins_count_against_the_allowance_of_the_account() {
    let (mut app, mut passkey) = alice().await;
    app.restart_with(|setup| {
        let account = RateLimit { burst: 1, ..Limits::default().account };
        setup.policy.limits = Some(Limits { account, ..Limits::default() });
    })
    .await;
    app.sign_in(&second(), &mut passkey).await.is(200);
    let answer = app.sign_in(&second(), &mut passkey).await;
    answer.is_oauth_error(429, "temporarily_unavailable");
}

/// Or a thief of a passkey could fill the account's list of revoked keys, and the disk.
#[tokio::test]
async fn browsers_that_are_remembered_count_against_the_days_key_changes() {
    let (mut app, mut passkey) = alice().await;
    app.restart_with(|setup| {
        let limits = Limits::default();
        let key_changes_per_day = RateLimit { burst: 1, ..limits.key_changes_per_day };
        setup.policy.limits = Some(Limits { key_changes_per_day, ..limits });
    })
    .await;
    app.sign_in_to_stay(&second(), &mut passkey).await;
    app.sign_in_to_stay(&second(), &mut passkey).await;
    let third = TestKey::number(3);
    let options = app.sign_in_options(&third).await;
    let request = app.passkey_token_request(&third, &passkey.answer(&options));
    let answer = request.param("remember", "browser").send().await;
    answer.is_oauth_error(429, "temporarily_unavailable");
    app.sign_in(&third, &mut passkey).await.is(200);
}

#[tokio::test]
async fn where_there_are_no_passkeys_the_grant_is_unknown() {
    let app = TestApp::start_with(|setup| setup.policy.passkeys = None).await;
    let answer = app.passkey_token_request(&second(), "x").send().await;
    answer.is_oauth_error(400, "unsupported_grant_type");
    let path = "/.well-known/oauth-authorization-server";
    let metadata = app.call("GET", path).send().await.json();
    assert_eq!(metadata["grant_types_supported"].as_array().unwrap().len(), 1);
    assert_eq!(metadata.get("acr_values_supported"), None);
    let (app, _) = alice().await;
    let metadata = app.call("GET", path).send().await.json();
    assert_eq!(metadata["grant_types_supported"].as_array().unwrap().len(), 2);
}
