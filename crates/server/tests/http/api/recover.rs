//! Back into an account, with a code of an administrator.

use std::time::Duration;

use countersign_authority::{
    accounts::administration::{Administration, NewRecovery},
    model::{
        account::{AccountName, AccountStatus},
        audit::{AuditFilter, EventKind},
        policy::{Limits, PasswordPolicy},
    },
    ports::RateLimit,
};
use countersign_protocol::proofs::body_hash::sha256_hex;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Jwt, TestApp, TestKey, many_at_once};

const PATH: &str = "/v1/accounts/alice/recover";
const MINUTE: Duration = Duration::from_mins(1);

/// An application with an account, and its key.
async fn with_alice() -> (TestApp, TestKey) {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    (app, key)
}

/// A code for the account, good for ten minutes.
async fn code_for(
    (app, admin): (&TestApp, &Administration),
    name: &str,
    revoke_others: bool,
) -> String {
    let name = AccountName::Username(name.parse().unwrap());
    let expires_at = app.now() + MINUTE * 10;
    let new = NewRecovery { name, revoke_others, expires_at };
    admin.allow_recovery(new).await.unwrap().reveal().to_owned()
}

fn body(key: &TestKey, code: &str) -> Value {
    json!({ "code": code, "public_key": key.jwk(), "label": "new laptop" })
}

/// A proof by `key` for that path and body.
fn proof(app: &TestApp, key: &TestKey, path: &str, body: &Value) -> Jwt {
    app.proof(key, "POST", path).claim("tha", sha256_hex(body.to_string().as_bytes()))
}

fn recovery_at(app: &TestApp, path: &str, key: &TestKey, code: &str) -> Call {
    let body = body(key, code);
    let proof = proof(app, key, path, &body).sign();
    app.call("POST", path).json(&body).dpop(&proof)
}

fn recovery(app: &TestApp, key: &TestKey, code: &str) -> Call {
    recovery_at(app, PATH, key, code)
}

async fn events_of(app: &TestApp, key: &TestKey) -> Vec<(String, String)> {
    app.write_trail().await;
    let token = app.login("alice", key).await;
    let answer = app.resource_request(key, &token, "GET", "/v1/events").send().await;
    let events = answer.is(200).json()["events"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (text(&event["event"]), text(&event["detail"]))).collect()
}

#[tokio::test]
async fn a_code_adds_a_key_to_the_account_once() {
    let (app, key) = with_alice().await;
    let (new, third) = (TestKey::number(2), TestKey::number(3));
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let answer = recovery(&app, &new, &code).send().await;
    let answer = answer.is(201).json();
    assert_eq!(
        (&answer["username"], &answer["thumbprint"]),
        (&json!("alice"), &json!(new.thumbprint()))
    );
    assert_eq!(answer["revoked_keys"], json!([]));
    app.login("alice", &new).await;
    app.login("alice", &key).await;
    recovery(&app, &third, &code).send().await.is_problem(403, "recovery-code");
    app.login_request("alice", &third).send().await.is_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn an_account_whose_keys_are_all_revoked_is_recovered() {
    let (app, key) = with_alice().await;
    let name = AccountName::Username("alice".parse().unwrap());
    app.admin().revoke_key(&name, &key.thumbprint().parse().unwrap()).await.unwrap();
    app.notice_changes().await;
    let new = TestKey::number(2);
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    recovery(&app, &new, &code).send().await.is(201);
    app.login("alice", &new).await;
    app.login_request("alice", &key).send().await.is_oauth_error(400, "invalid_grant");
    // The key that was revoked stays so, with the next code too.
    let code = code_for((&app, &admin), "alice", false).await;
    recovery(&app, &key, &code).send().await.is_problem(409, "key-taken");
}

#[tokio::test]
async fn the_others_are_revoked_at_once_where_the_code_says_so() {
    let (app, key) = with_alice().await;
    let token = app.login("alice", &key).await;
    app.whoami(&key, &token).await.is(200);
    let new = TestKey::number(2);
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", true).await;
    app.whoami(&key, &token).await.is(200);
    let answer = recovery(&app, &new, &code).send().await;
    assert_eq!(answer.is(201).json()["revoked_keys"], json!([key.thumbprint()]));
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
    let feed = app.call("GET", "/v1/revocations").send().await;
    let feed = Jwt::claims_of(feed.is(200).body.trim());
    assert!(feed.to_string().contains(&key.thumbprint()), "{feed}");
}

#[tokio::test]
async fn the_owner_sees_the_code_and_its_use() {
    let (app, key) = with_alice().await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", true).await;
    recovery(&app, &TestKey::number(3), "csr_wrong").send().await.is_problem(403, "recovery-code");
    app.advance(MINUTE * 3);
    let new = TestKey::number(2);
    recovery(&app, &new, &code).send().await.is(201);
    let events = events_of(&app, &new).await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    for kind in
        ["recovery.created", "recovery.refused", "recovery.used", "key.added", "key.revoked"]
    {
        assert!(kinds.contains(&kind), "{kind}: {events:?}");
    }
    let used = events.iter().find(|(kind, _)| kind == "recovery.used").unwrap();
    assert!(used.1.contains("an administrator made 3 min before"), "{used:?}");
    drop(key);
}

#[tokio::test]
async fn an_unknown_account_a_wrong_code_and_a_used_one_get_one_answer() {
    let (app, _) = with_alice().await;
    app.register("bob", &TestKey::number(9)).await;
    let admin = app.admin();
    let used = code_for((&app, &admin), "alice", false).await;
    recovery(&app, &TestKey::number(2), &used).send().await.is(201);
    let of_bob = code_for((&app, &admin), "bob", false).await;
    let enrolment = {
        let new = countersign_authority::accounts::administration::NewInvitation {
            username: None,
            scopes: countersign_protocol::Scopes::none(),
            expires_at: app.now() + MINUTE,
        };
        app.admin().invite(new).await.unwrap().reveal().to_owned()
    };
    let new = TestKey::number(3);
    let nobody = "/v1/accounts/nobody/recover";
    let mut answers: Vec<Answer> = Vec::new();
    for (path, code) in [
        (nobody, "csr_nonsense"),
        (nobody, of_bob.as_str()),
        ("/v1/accounts/a%20b/recover", of_bob.as_str()),
        (PATH, "csr_nonsense"),
        (PATH, ""),
        (PATH, used.as_str()),
        (PATH, of_bob.as_str()),
        (PATH, enrolment.as_str()),
    ] {
        answers.push(recovery_at(&app, path, &new, code).send().await);
    }
    // Nor does it matter what the proof and the key are like.
    answers.push(app.call("POST", PATH).json(&body(&new, &used)).send().await);
    let mut bad_key = body(&new, "csr_nonsense");
    bad_key["public_key"] = "no key".into();
    answers.push(app.call("POST", PATH).json(&bad_key).send().await);
    answers.push(
        app.call("POST", PATH).json(&json!({ "code": used, "new_password": true })).send().await,
    );
    for answer in &answers {
        answer.is_problem(403, "recovery-code");
        assert_eq!(answer.body, answers[0].body);
    }
    recovery_at(&app, "/v1/accounts/bob/recover", &new, &of_bob).send().await.is(201);
}

#[tokio::test]
async fn a_code_ends_and_a_new_one_replaces_it() {
    let (app, _) = with_alice().await;
    let admin = app.admin();
    let first = code_for((&app, &admin), "alice", false).await;
    let second = code_for((&app, &admin), "alice", false).await;
    assert_ne!(first, second);
    assert_eq!(admin.invitations(10).await.unwrap().len(), 1, "one for each account");
    let new = TestKey::number(2);
    recovery(&app, &new, &first).send().await.is_problem(403, "recovery-code");
    app.advance(MINUTE * 10);
    recovery(&app, &new, &second).send().await.is_problem(403, "recovery-code");
}

#[tokio::test]
async fn the_new_key_proves_itself_over_account_server_and_code() {
    let (app, key) = with_alice().await;
    app.register("bob", &TestKey::number(9)).await;
    let (new, other) = (TestKey::number(2), TestKey::number(3));
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let body = body(&new, &code);
    let send =
        async |proof: &Jwt| app.call("POST", PATH).json(&body).dpop(&proof.sign()).send().await;
    let good = || proof(&app, &new, PATH, &body);
    for (what, wrong) in [
        ("without tha", app.proof(&new, "POST", PATH)),
        ("for another body", good().claim("tha", sha256_hex(b"{}"))),
        ("for another account", proof(&app, &new, "/v1/accounts/bob/recover", &body)),
        ("for a registration", proof(&app, &new, "/v1/accounts", &body)),
        (
            "for another server",
            good().claim("htu", "https://evil.example/v1/accounts/alice/recover"),
        ),
        ("by another key", proof(&app, &other, PATH, &body)),
        ("by the old key", proof(&app, &key, PATH, &body)),
    ] {
        let answer = send(&wrong).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.is_problem(400, "invalid-proof");
    }
    app.call("POST", PATH).json(&body).send().await.is_problem(400, "invalid-proof");
    send(&good()).await.is(201);
}

#[tokio::test]
async fn a_key_of_another_account_stays_with_that() {
    let (app, key) = with_alice().await;
    let of_bob = TestKey::number(2);
    app.register("bob", &of_bob).await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", true).await;
    recovery(&app, &of_bob, &code).send().await.is_problem(409, "key-taken");
    // Nothing has changed, and the code is good.
    app.login("bob", &of_bob).await;
    app.login("alice", &key).await;
    recovery(&app, &TestKey::number(3), &code).send().await.is(201);
}

#[tokio::test]
async fn a_code_lets_in_one_of_many_at_once() {
    let (app, _) = with_alice().await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let calls = (10..20).map(|number| recovery(&app, &TestKey::number(number), &code));
    let answers = many_at_once(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
}

#[tokio::test]
async fn nobody_gets_into_a_disabled_account() {
    let (app, key) = with_alice().await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let name = AccountName::Username("alice".parse().unwrap());
    app.admin().set_status(&name, AccountStatus::Disabled).await.unwrap();
    app.notice_changes().await;
    recovery(&app, &TestKey::number(2), &code).send().await.is_problem(403, "recovery-code");
    let expires_at = app.now() + MINUTE;
    let new = NewRecovery { name: name.clone(), revoke_others: false, expires_at };
    assert!(app.admin().allow_recovery(new).await.is_err());
    app.admin().set_status(&name, AccountStatus::Active).await.unwrap();
    app.notice_changes().await;
    recovery(&app, &TestKey::number(2), &code).send().await.is(201);
    drop(key);
}

#[tokio::test]
async fn an_account_that_has_all_the_keys_it_may_have_needs_a_code_that_revokes_them() {
    let app = TestApp::start_with(|setup| setup.policy.max_keys_per_account = 1).await;
    app.register("alice", &TestKey::number(1)).await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let new = TestKey::number(2);
    let refused = recovery(&app, &new, &code).send().await;
    refused.is_problem(409, "key-limit");
    assert!(refused.text("detail").contains("--revoke-others"), "{refused:?}");
    app.advance(MINUTE);
    let code = code_for((&app, &admin), "alice", true).await;
    recovery(&app, &new, &code).send().await.is(201);
}

/// Limits under which a client network may do a few of each act.
fn few_of_each() -> Limits {
    let limits = Limits::default();
    let few = |limit: RateLimit| RateLimit { burst: 3, ..limit };
    Limits {
        registrations: few(limits.registrations),
        registrations_per_day: few(limits.registrations_per_day),
        costly_registrations: few(limits.costly_registrations),
        guesses_from_address: few(limits.guesses_from_address),
        recovery_failures: few(limits.recovery_failures),
        ..limits
    }
}

#[tokio::test]
async fn nothing_that_others_in_the_network_do_keeps_the_right_code_out() {
    let app = TestApp::start_with(|setup| {
        setup.settings.dialects.gradecoin = true;
        setup.settings.dialects.signjwt = true;
        setup.policy.limits = Some(few_of_each());
    });
    let app = app.await;
    app.register("alice", &TestKey::number(1)).await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let new = TestKey::number(2);
    let elsewhere = "/v1/accounts/nobody-at-all/recover";
    for status in [403, 403, 403, 429] {
        recovery_at(&app, elsewhere, &new, "csr_wrong").send().await.is(status);
    }
    recovery(&app, &new, "csr_wrong").send().await.is_problem(429, "rate-limited");
    let garbage = json!({ "c": "AAAA", "iv": "AAAA", "key": "AAAA" });
    let mut last = 0;
    for _ in 0..4 {
        last = app.call("POST", "/register").json(&garbage).send().await.status;
        app.registration("bob", &TestKey::number(3)).send().await;
    }
    assert_eq!(last, 429, "all that the network may register is used up");
    recovery(&app, &new, &code).send().await.is(201);
    let code = code_for((&app, &admin), "alice", true).await;
    recovery(&app, &TestKey::number(4), &code).send().await.is(201);
}

#[tokio::test]
async fn wrong_tries_beyond_the_allowance_leave_no_entry() {
    let app = TestApp::start_with(|setup| setup.policy.limits = Some(few_of_each())).await;
    app.register("alice", &TestKey::number(1)).await;
    for status in [403, 403, 403, 429, 429] {
        recovery(&app, &TestKey::number(2), "csr_wrong").send().await.is(status);
    }
    app.write_trail().await;
    let refused = AuditFilter { kinds: vec![EventKind::RecoveryRefused], ..AuditFilter::default() };
    let events = app.admin().events(&refused, 9).await.unwrap();
    assert_eq!(events.iter().map(|recorded| recorded.event.times()).sum::<u64>(), 3);
}

/// An application of the dialect *jwks-server*, and the password of alice.
async fn with_password() -> (TestApp, String) {
    let app = TestApp::start_with(|setup| {
        setup.settings.dialects.jwks_server = true;
        setup.policy.passwords =
            Some(PasswordPolicy { rate_limit: false, ..PasswordPolicy::default() });
    });
    let app = app.await;
    let registration = json!({ "username": "alice", "email": "alice@example.com" });
    let answer = app.call("POST", "/register").json(&registration).send().await;
    let password = answer.is(201).text("password");
    (app, password)
}

async fn auth(app: &TestApp, password: &str) -> u16 {
    let body = json!({ "username": "alice", "password": password });
    app.call("POST", "/auth").json(&body).send().await.status
}

#[tokio::test]
async fn a_code_makes_a_new_password_where_there_was_one() {
    let (app, old) = with_password().await;
    assert_eq!(auth(&app, &old).await, 200);
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let wish = json!({ "code": code, "new_password": true });
    let answer = app.call("POST", PATH).json(&wish).send().await;
    let new = answer.is(201).text("password");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!((auth(&app, &old).await, auth(&app, &new).await), (401, 200));
    app.call("POST", PATH).json(&wish).send().await.is_problem(403, "recovery-code");
}

/// A token of alice for that password, bound to `key`.
async fn password_token(app: &TestApp, password: &str, key: &TestKey) -> String {
    let body = json!({ "username": "alice", "password": password });
    let proof = app.proof(key, "POST", "/auth").claim("nonce", app.token_nonce()).sign();
    app.call("POST", "/auth").json(&body).dpop(&proof).send().await.is(200).text("token")
}

#[tokio::test]
async fn a_new_password_ends_every_token_of_the_old_one_and_none_of_them_adds_a_key() {
    for revoke_others in [false, true] {
        let (app, old) = with_password().await;
        let (thief, owner) = (TestKey::number(2), TestKey::number(3));
        let stolen = password_token(&app, &old, &thief).await;
        app.whoami(&thief, &stolen).await.is(200);
        let admin = app.admin();
        let code = code_for((&app, &admin), "alice", revoke_others).await;
        app.whoami(&thief, &stolen).await.is(200);
        let wish = json!({ "code": code, "new_password": true });
        let new = app.call("POST", PATH).json(&wish).send().await.is(201).text("password");
        app.whoami(&thief, &stolen).await.is_refusal(401, "invalid_token");
        let addition = app.key_addition(&thief, &stolen, &thief).send().await;
        addition.is_refusal(401, "invalid_token");
        let feed = app.call("GET", "/v1/revocations").send().await;
        let feed = Jwt::claims_of(feed.is(200).body.trim());
        assert_eq!(feed["accounts_before"][0][0], Jwt::claims_of(&stolen)["sub"], "{feed}");
        // Within the same second.
        let token = password_token(&app, &new, &owner).await;
        app.whoami(&owner, &token).await.is(200);
        app.key_addition(&owner, &token, &owner).send().await.is(201);
    }
}

#[tokio::test]
async fn a_key_that_is_let_in_alone_ends_every_token_of_the_password() {
    let (app, old) = with_password().await;
    let (thief, owner) = (TestKey::number(2), TestKey::number(3));
    let stolen = password_token(&app, &old, &thief).await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", true).await;
    recovery(&app, &owner, &code).send().await.is(201);
    app.whoami(&thief, &stolen).await.is_refusal(401, "invalid_token");
    let token = app.login("alice", &owner).await;
    app.whoami(&owner, &token).await.is(200);
}

#[tokio::test]
async fn a_new_password_by_code_takes_from_no_allowance_of_the_network() {
    let app = TestApp::start_with(|setup| {
        setup.settings.dialects.jwks_server = true;
        setup.policy.limits = Some(few_of_each());
        setup.policy.passwords =
            Some(PasswordPolicy { rate_limit: false, ..PasswordPolicy::default() });
    });
    let app = app.await;
    let named = |name: &str| json!({ "username": name, "email": format!("{name}@example.com") });
    for (name, status) in [("alice", 201), ("bob", 201), ("carol", 201), ("dave", 429)] {
        app.call("POST", "/register").json(&named(name)).send().await.is(status);
    }
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    let wish = json!({ "code": code, "new_password": true });
    app.call("POST", PATH).json(&wish).send().await.is(201);
}

#[tokio::test]
async fn a_key_that_is_let_in_alone_ends_the_password() {
    let (app, old) = with_password().await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", true).await;
    let key = TestKey::number(2);
    recovery(&app, &key, &code).send().await.is(201);
    assert_eq!(auth(&app, &old).await, 401);
    app.login("alice", &key).await;
    app.advance(MINUTE);
    let code = code_for((&app, &admin), "alice", false).await;
    let wish = json!({ "code": code, "new_password": true });
    app.call("POST", PATH).json(&wish).send().await.is_problem(400, "invalid-request");
}

#[tokio::test]
async fn an_account_of_keys_gets_no_password_and_a_body_says_what_is_wanted() {
    let (app, _) = with_alice().await;
    let admin = app.admin();
    let code = code_for((&app, &admin), "alice", false).await;
    for (body, kind) in [
        (json!({ "code": code, "new_password": true }), "invalid-request"),
        (json!({ "code": code }), "invalid-request"),
        (json!({ "code": code, "new_password": false }), "invalid-request"),
        (json!({ "code": code, "new_password": true, "label": "x" }), "invalid-request"),
        (json!({ "code": code, "new_password": true, "public_key": "x" }), "invalid-request"),
        (json!({ "code": code, "admin": true }), "invalid-json"),
        (json!({ "new_password": true }), "invalid-json"),
    ] {
        app.call("POST", PATH).json(&body).send().await.is_problem(400, kind);
    }
    recovery(&app, &TestKey::number(2), &code).send().await.is(201);
}
