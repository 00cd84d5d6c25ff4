//! How often clients may do what: by address, by account, behind proxies.

use std::{sync::Arc, time::Duration};

use countersign_authority::{model::policy::Limits, ports::RateLimit};
use countersign_opaque::client::Registration;
use countersign_server::TrustedProxies;
use countersign_testkit::random::SeededRandom;
use serde_json::json;

use crate::support::{Answer, Call, Setup, TestApp, TestKey, synced};

/// Limits that honest tests do not meet, but for the one that `change` tightens.
fn limits(setup: &mut Setup, change: impl FnOnce(&mut Limits)) {
    let mut limits = Limits::default();
    change(&mut limits);
    setup.policy.limits = Some(limits);
}

/// Three at once, one more every 20 seconds.
const fn three(name: &'static str) -> RateLimit {
    RateLimit { name, burst: 3, period: Duration::from_mins(1) }
}

async fn statuses(call: impl AsyncFn() -> Answer, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(call().await.status);
    }
    statuses
}

#[tokio::test]
async fn requests_are_counted_by_address_and_refilled_by_the_clock() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.requests = three("requests"));
    })
    .await;
    let call = async || app.call("GET", "/").send().await;
    assert_eq!(statuses(call, 4).await, [200, 200, 200, 429]);
    let refused = call().await;
    refused.is_problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "20");

    app.advance(Duration::from_millis(19_001));
    assert_eq!(call().await.is_problem(429, "rate-limited").header("retry-after"), "1");
    app.advance(Duration::from_millis(999));
    assert_eq!(statuses(call, 2).await, [200, 429]);
    app.advance(Duration::from_mins(10));
    assert_eq!(statuses(call, 4).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn setting_the_time_of_day_does_not_refill() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.requests = three("requests"));
    })
    .await;
    let call = async || app.call("GET", "/").send().await;
    assert_eq!(statuses(call, 4).await, [200, 200, 200, 429]);
    app.clock.set(app.now() + Duration::from_hours(1));
    call().await.is(429);
}

#[tokio::test]
async fn one_address_does_not_pay_for_another() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.requests = three("requests"));
    })
    .await;
    let from = async |peer| app.call("GET", "/").peer(peer).send().await.status;
    for (one, another) in [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:2::1"),
        ("198.51.100.1", "::ffff:198.51.100.2"),
    ] {
        for _ in 0..3 {
            assert_eq!(from(one).await, 200);
        }
        assert_eq!((from(one).await, from(another).await), (429, 200));
    }
    assert_eq!(from("2001:db8:0:1:ffff::9").await, 429, "the same /64");
    assert_eq!(from("::ffff:192.0.2.1").await, 429, "the same IPv4 address");
}

#[tokio::test]
async fn registrations_and_logins_have_limits_of_their_own() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| {
            limits.registrations = three("registrations");
            limits.logins = three("logins");
        });
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let register = async || app.registration("alice", &TestKey::number(2)).send().await;
    assert_eq!(statuses(register, 3).await, [409, 409, 429]);
    register().await.is_problem(429, "rate-limited");

    let login = async || app.login_request("alice", &key).send().await;
    assert_eq!(statuses(login, 4).await, [200, 200, 200, 429]);
    let refused = login().await;
    refused.is_oauth_error(429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), "20");
    // Whoever authenticates by assertion elsewhere draws on the same allowance.
    let introspection = app.introspect("alice", &key, "x").await;
    introspection.is_oauth_error(429, "temporarily_unavailable");
    app.login_request("alice", &key).peer("192.0.2.2").send().await.is(200);
}

#[tokio::test]
async fn an_account_is_limited_wherever_it_comes_from() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.account = three("account"));
    })
    .await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &alice).await;
    app.register("bob", &bob).await;
    let mut token = String::new();
    for peer in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let login = app.login_request("alice", &alice).peer(peer).send().await;
        token = login.is(200).text("access_token");
    }
    let refused = app.login_request("alice", &alice).peer("192.0.2.4").send().await;
    refused.is_oauth_error(429, "temporarily_unavailable");
    app.login("bob", &bob).await;

    // Nothing but logins counts.
    let new = TestKey::number(3);
    app.revoke_key(&alice, &token, &new).await.is_problem(404, "not-found");
    app.whoami(&alice, &token).await.is(200);
    app.key_addition(&alice, &token, &new).send().await.is(201);
    app.advance(Duration::from_secs(20));
    app.login("alice", &alice).await;
}

/// Whoever has the key of one session, and the login that it came from, does what it lets him do as often as
/// he can.
#[tokio::test]
async fn a_key_of_a_session_takes_nothing_from_the_logins_of_the_account() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| {
            limits.account = three("account");
            limits.key = three("key");
        });
    })
    .await;
    let (alice, session) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &alice).await;
    let cnf = json!({ "jkt": session.thumbprint() });
    let assertion = app.assertion("alice", &alice).claim("cnf", cnf).sign();
    let login = || app.token_request(&assertion, &app.token_proof(&session).sign()).send();
    let token = login().await.is(200).text("access_token");
    let held = (&session, &*token);
    let (_, message) = Registration::begin(b"password", &SeededRandom::new(1)).unwrap();
    let mut slots = Vec::new();
    for _ in 0..10 {
        login().await.is_oauth_error(400, "invalid_grant");
        slots.push(app.slot_request(held, "password", &message).send().await.status);
        app.content_change(held, "x", 1).send().await.is_problem(403, "step-up-needed");
        let open = app.resource_request(&session, &token, "POST", "/v1/keyring/open/prf");
        open.header("passkey-assertion", "e30").send().await;
        let added = app.key_addition(&session, &token, &TestKey::number(3));
        added.header("passkey-assertion", "e30").send().await;
    }
    assert_eq!((slots[0], slots[9]), (200, 429));
    for _ in 0..2 {
        app.login("alice", &alice).await;
    }
    app.login_request("alice", &alice).send().await.is_oauth_error(429, "temporarily_unavailable");
}

/// A session that a passkey has begun, and an answer that is none.
#[tokio::test]
async fn an_answer_of_no_passkey_takes_nothing_from_the_logins_of_the_account() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| {
            limits.account = three("account");
            limits.key = three("key");
            limits.withdrawals = three("withdrawals");
        });
    })
    .await;
    let (browser, session) = (TestKey::number(1), TestKey::number(2));
    let mut passkey = synced(1);
    app.register_with_passkey("alice", &browser, &mut passkey).await;
    let token = app.sign_in(&session, &mut passkey).await.is(200).text("access_token");
    for _ in 0..10 {
        let added = app.key_addition(&session, &token, &TestKey::number(3));
        assert_ne!(added.header("passkey-assertion", "e30").send().await.status, 201);
        let path = format!("/v1/keys/{}", browser.thumbprint());
        let revoked = app.resource_request(&session, &token, "DELETE", &path);
        assert_ne!(revoked.header("passkey-assertion", "e30").send().await.status, 204);
    }
    // The owner signs in somewhere else, and revokes what he likes.
    let own = TestKey::number(4);
    let token = app.sign_in(&own, &mut passkey).await.is(200).text("access_token");
    let path = format!("/v1/keys/{}", browser.thumbprint());
    let word = app.step_up((&own, &token), &mut passkey, ("DELETE", &path, None)).await;
    let revoked = app.resource_request(&own, &token, "DELETE", &path);
    revoked.header("passkey-assertion", word).send().await.is(204);
}

/// Proofs of requests use up the share that the account has of the replay log, and logins need none of it.
#[tokio::test]
async fn requests_of_a_session_use_up_no_share_that_logins_need() {
    let app = TestApp::start_with(|setup| setup.replay_log_share = 20).await;
    let (alice, session) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &alice).await;
    let token = app.login_with_session_key("alice", &alice, &session).await;
    let mut refused = 0;
    for number in 0..40 {
        let call = app.resource_request(&session, &token, "GET", "/v1/whoami");
        let peer = format!("198.51.100.{}", number % 4);
        refused += usize::from(call.peer(&peer).send().await.status == 429);
    }
    assert!(refused > 0);
    app.login("alice", &alice).await;
}

#[tokio::test]
async fn nobody_can_lock_another_account_out() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.account = three("account"));
    })
    .await;
    let (alice, mallory) = (TestKey::number(1), TestKey::number(2));
    app.register("alice", &alice).await;
    for _ in 0..10 {
        let attempt = app.login_request("alice", &mallory).send().await;
        attempt.is_oauth_error(400, "invalid_grant");
    }
    app.login("alice", &alice).await;
}

#[tokio::test]
async fn a_refusal_by_limit_uses_nothing_up() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.account = three("account"));
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    for _ in 0..3 {
        app.login("alice", &key).await;
    }
    let request: Call = app.login_request("alice", &key);
    request.clone().send().await.is(429);
    app.advance(Duration::from_secs(20));
    request.send().await.is(200);
}

#[tokio::test]
async fn a_forwarded_address_counts_behind_a_trusted_proxy_only() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.requests = three("requests"));
        setup.settings.proxies = Arc::new(TrustedProxies::parse(&["10.0.0.1"]).unwrap());
    })
    .await;
    let from = async |peer, header, forwarded: &str| {
        app.call("GET", "/").peer(peer).header(header, forwarded).send().await.status
    };
    for _ in 0..3 {
        assert_eq!(from("10.0.0.1", "x-forwarded-for", "198.51.100.1").await, 200);
    }
    for forwarded in ["198.51.100.1", "9.9.9.9, 198.51.100.1", "198.51.100.1:4711"] {
        assert_eq!(from("10.0.0.1", "x-forwarded-for", forwarded).await, 429, "{forwarded}");
    }
    assert_eq!(from("10.0.0.1", "x-forwarded-for", "198.51.100.2").await, 200);
    // In the header that is not configured nobody is named, whatever it says.
    for number in 1..=3 {
        let named = format!("for=198.51.100.{number}");
        assert_eq!(from("10.0.0.1", "forwarded", &named).await, 200);
    }
    assert_eq!(from("10.0.0.1", "forwarded", "for=198.51.100.9").await, 429);

    // Nobody else can choose the address that he is counted under.
    for number in 0..3 {
        let forged = format!("203.0.113.{number}");
        assert_eq!(from("192.0.2.9", "x-forwarded-for", &forged).await, 200);
    }
    assert_eq!(from("192.0.2.9", "x-forwarded-for", "203.0.113.77").await, 429);
    assert_eq!(from("192.0.2.9", "forwarded", "for=203.0.113.78").await, 429);
}

#[tokio::test]
async fn the_forwarded_address_is_the_one_in_the_audit_trail() {
    let app = TestApp::start_with(|setup| {
        setup.settings.proxies = Arc::new(TrustedProxies::parse(&["10.0.0.0/8"]).unwrap());
    })
    .await;
    let key = TestKey::number(1);
    let through =
        |call: Call, peer: &str| call.peer(peer).header("x-forwarded-for", "198.51.100.1");
    through(app.registration("alice", &key), "10.1.2.3").send().await.is(201);
    let login = through(app.login_request("alice", &key), "192.0.2.1").send().await;
    let token = login.is(200).text("access_token");
    let events = app.resource_request(&key, &token, "GET", "/v1/events").send().await;
    let events = events.json()["events"].clone();
    assert_eq!(events[0]["address"], "192.0.2.1", "an untrusted peer names nobody");
    assert_eq!(events[1]["address"], "198.51.100.1");
}

#[tokio::test]
async fn limits_can_be_switched_off() {
    let app = TestApp::start_with(|setup| {
        setup.policy.limits = None;
    })
    .await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    for _ in 0..700 {
        let call = app.call("POST", "/v1/accounts").json(&json!({ "username": "x" }));
        call.send().await.is(400);
    }
    for _ in 0..10 {
        app.login("alice", &key).await;
    }
}

#[tokio::test]
async fn what_watches_the_server_is_not_limited() {
    let app = TestApp::start_with(|setup| {
        limits(setup, |limits| limits.requests = three("requests"));
    })
    .await;
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        let call = async || app.call("GET", path).send().await;
        assert_eq!(statuses(call, 5).await, [200; 5], "{path}");
    }
}

#[tokio::test]
async fn what_guards_fetch_does_not_count_against_the_requests_of_their_address_nor_the_reverse() {
    let few = |name| RateLimit { name, burst: 3, period: Duration::from_mins(1) };
    let app = TestApp::start_with(|setup| {
        let limits = Limits::default();
        setup.policy.limits =
            Some(Limits { requests: few("requests"), upkeep: few("upkeep"), ..limits });
    })
    .await;
    let status = async |path: &str| app.call("GET", path).send().await.status;
    for _ in 0..3 {
        assert_eq!(status("/v1/accounts/nobody/jwks.json").await, 404);
    }
    assert_eq!(status("/v1/accounts/nobody/jwks.json").await, 429);
    let fetched = ["/v1/revocations", "/.well-known/jwks.json"];
    for path in [fetched[0], fetched[1], "/.well-known/oauth-authorization-server"] {
        assert_eq!(status(path).await, 200, "{path}");
    }
    for path in fetched {
        assert_eq!(status(path).await, 429, "{path}");
    }
}
