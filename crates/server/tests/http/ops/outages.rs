//! When the store or the replay log fails: nothing opens, and nobody learns why.

use countersign_server::Dialects;
use countersign_testkit::samples::scopes;

use crate::support::{Answer, CAUSE, Call, Fault, Faults, TestApp, TestKey};

/// A restarted application, which has nothing in memory, with an account and its token.
async fn with_token() -> (TestApp, Faults, TestKey, String) {
    let faults = Faults::default();
    let mut app = TestApp::start_with(|setup| {
        setup.faults = Some(faults.clone());
        setup.policy.default_scopes = scopes("introspect");
    })
    .await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.restart().await;
    (app, faults, key, token)
}

fn keeps_the_cause(answer: &Answer) {
    let headers = format!("{:?}", answer.headers);
    for word in [CAUSE, "fire", "accounts", "replay log"] {
        assert!(!answer.body.contains(word) && !headers.contains(word), "{answer:?}");
    }
}

/// Every request that needs the store, with whether it is an OAuth endpoint's.
fn requests(app: &TestApp, key: &TestKey, token: &str) -> Vec<(Call, bool)> {
    let client = |path| app.client_request(path, "alice", key).param("token", token);
    vec![
        (app.registration("bob", &TestKey::number(2)), false),
        (app.call("GET", "/v1/accounts/alice/jwks.json"), false),
        (app.login_request("alice", key), true),
        (client("/oauth/introspect"), true),
        (client("/oauth/revoke"), true),
        (app.call("POST", "/oauth/revoke").param("token", token), true),
    ]
}

#[tokio::test]
async fn without_a_store_every_answer_is_503_without_the_cause() {
    let (app, faults, key, token) = with_token().await;
    for (call, is_oauth) in requests(&app, &key, &token) {
        faults.set(Fault::Unavailable);
        let answer = call.send().await;
        if is_oauth {
            answer.is_oauth_error(503, "temporarily_unavailable");
        } else {
            answer.is_problem(503, "unavailable");
        }
        assert_eq!(answer.header("retry-after"), "1");
        keeps_the_cause(&answer);
    }
}

#[tokio::test]
async fn a_store_that_holds_nonsense_is_500_without_the_cause() {
    let (app, faults, key, token) = with_token().await;
    for (call, is_oauth) in requests(&app, &key, &token) {
        faults.set(Fault::Corrupt);
        let answer = call.send().await;
        if is_oauth {
            answer.is_oauth_error(500, "server_error");
        } else {
            answer.is_problem(500, "internal");
        }
        keeps_the_cause(&answer);
    }
}

#[tokio::test]
async fn a_protected_resource_stays_shut_when_the_standing_is_unknown() {
    let (app, faults, key, token) = with_token().await;
    for fault in [Fault::Unavailable, Fault::Corrupt] {
        faults.set(fault);
        let answer = app.whoami(&key, &token).await;
        answer.is_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        answer.has_no("www-authenticate");
        keeps_the_cause(&answer);
    }
    faults.clear();
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn ones_own_keys_and_events_fail_as_loudly() {
    let (app, faults, key, token) = with_token().await;
    app.whoami(&key, &token).await.is(200);
    faults.set(Fault::Unavailable);
    let new = TestKey::number(2);
    for call in [
        app.resource_request(&key, &token, "GET", "/v1/keys"),
        app.resource_request(&key, &token, "GET", "/v1/events"),
        app.key_addition(&key, &token, &new),
        app.resource_request(&key, &token, "DELETE", &format!("/v1/keys/{}", new.thumbprint())),
    ] {
        let answer = call.send().await;
        answer.is_problem(503, "unavailable");
        keeps_the_cause(&answer);
    }
}

#[tokio::test]
async fn a_revocation_that_could_not_be_written_holds_in_memory() {
    let (app, faults, key, token) = with_token().await;
    app.whoami(&key, &token).await.is(200);
    faults.set(Fault::Unavailable);
    app.revoke_token(&token).await.is_oauth_error(503, "temporarily_unavailable");
    faults.clear();
    app.whoami(&key, &token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn without_a_replay_log_no_proof_is_accepted() {
    let (app, faults, key, token) = with_token().await;
    faults.set(Fault::ReplayLog);
    let call = app.whoami(&key, &token).await;
    call.is_problem(503, "unavailable");
    call.has_no("www-authenticate");
    let login = app.login_request("alice", &key).send().await;
    login.is_oauth_error(503, "temporarily_unavailable");
    let registration = app.registration("bob", &TestKey::number(2)).send().await;
    registration.is_problem(503, "unavailable");
    for answer in [&call, &login, &registration] {
        keeps_the_cause(answer);
    }
    faults.clear();
    app.register("bob", &TestKey::number(2)).await;
}

#[tokio::test]
async fn where_nothing_can_be_counted_nobody_logs_in_or_registers_and_tokens_work_on() {
    let (app, faults, key, token) = with_token().await;
    faults.set(Fault::Limiters);
    let login = app.login_request("alice", &key).send().await;
    login.is_oauth_error(503, "temporarily_unavailable");
    let registration = app.registration("bob", &TestKey::number(2)).send().await;
    registration.is_problem(503, "unavailable");
    let addition = app.key_addition(&key, &token, &TestKey::number(3)).send().await;
    addition.is_problem(503, "unavailable");
    for answer in [&login, &registration, &addition] {
        assert_eq!(answer.header("retry-after"), "1");
    }
    app.whoami(&key, &token).await.is(200);
    app.call("GET", "/.well-known/jwks.json").send().await.is(200);
    faults.clear();
    app.login("alice", &key).await;
    app.register("bob", &TestKey::number(2)).await;
}

#[tokio::test]
async fn where_nothing_can_be_counted_no_password_is_compared() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| {
        setup.faults = Some(faults.clone());
        setup.settings.dialects = Dialects::default();
    })
    .await;
    let guess = || app.call("POST", "/auth").header("authorization", "Basic YWxpY2U6Z3Vlc3M=");
    assert_eq!(guess().send().await.status, 401);
    faults.set(Fault::Limiters);
    let refused = guess().send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    faults.clear();
    assert_eq!(guess().send().await.status, 401);
}

#[tokio::test]
async fn a_full_replay_log_refuses_rather_than_forgets() {
    let app = TestApp::start_with(|setup| setup.replay_log_capacity = 3).await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let call = app.resource_request(&key, &token, "GET", "/v1/whoami");
    call.clone().send().await.is(200);
    app.whoami(&key, &token).await.is_problem(503, "unavailable");
    call.send().await.is_refusal(401, "invalid_dpop_proof");
    app.advance(std::time::Duration::from_secs(90));
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn one_account_that_uses_up_its_share_of_the_replay_log_leaves_the_others_theirs() {
    let app = TestApp::start_with(|setup| setup.replay_log_share = 6).await;
    let (mallory, alice) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("mallory", &mallory).await;
    let honest = app.enrol("alice", &alice).await;
    // Another network each time, so that only the account counts.
    let call =
        |from: &str| app.resource_request(&mallory, &token, "GET", "/v1/whoami").peer(from).send();
    for number in 0..6 {
        call(&format!("198.51.100.{number}")).await.is(200);
    }
    let refused = call("198.51.100.6").await;
    refused.is_problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "16");
    assert!(refused.body.contains("this account holds its whole share"), "{}", refused.body);
    // A login takes no place of the account, or the key of a session could keep its owner from it.
    app.login_request("mallory", &mallory).peer("198.51.100.7").send().await.is(200);
    app.whoami(&alice, &honest).await.is(200);
}

#[tokio::test]
async fn one_network_with_many_accounts_has_one_share_of_the_replay_log() {
    let app = TestApp::start_with(|setup| setup.replay_log_share = 6).await;
    let keys = [TestKey::number(1), TestKey::number(2)];
    let tokens = [app.enrol("mallory", &keys[0]).await, app.enrol("trudy", &keys[1]).await];
    let call = |who: usize, from: &str| {
        app.resource_request(&keys[who], &tokens[who], "GET", "/v1/whoami").peer(from).send()
    };
    for number in 0..6 {
        call(number % 2, "198.51.100.66").await.is(200);
    }
    let refused = call(0, "198.51.100.66").await;
    refused.is_problem(429, "rate-limited");
    assert!(refused.body.contains("this client network holds its whole"), "{}", refused.body);
    call(0, "198.51.100.67").await.is(200);
}

#[tokio::test]
async fn a_login_that_could_not_be_recorded_gives_no_token() {
    let (app, faults, key, _) = with_token().await;
    app.login("alice", &key).await;
    let request = app.login_request("alice", &key);
    faults.set(Fault::Unavailable);
    let answer = request.send().await;
    answer.is_oauth_error(503, "temporarily_unavailable");
    assert!(!answer.body.contains("access_token"));
    // The proof was used, the assertion was not.
    faults.clear();
    app.login("alice", &key).await;
}
