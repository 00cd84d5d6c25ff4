//! *self-signed*.

use std::{sync::Arc, time::Duration};

use countersign_authority::model::{account::AccountStatus, audit::EventKind};
use countersign_protocol::{keys::PrivateKey, tokens::jws};
use countersign_server::Dialects;
use countersign_testkit::keys::ed25519;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::server::{Answer, ISSUER, Server};

const SECOND: Duration = Duration::from_secs(1);

async fn server_with_alice() -> Server {
    let server = Server::start().await;
    assert_eq!(server.register("alice", &ed25519(1)).await.status, StatusCode::OK);
    server
}

/// A JWT of alice's; null removes a claim.
#[expect(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn signed(server: &Server, changes: Value) -> String {
    signed_by(server, &ed25519(1), &changes)
}

fn signed_by(server: &Server, key: &PrivateKey, changes: &Value) -> String {
    let now = server.seconds();
    let mut claims = json!({ "sub": "alice", "iat": now, "exp": now + 60 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let claims = claims.as_object().unwrap().clone();
    let claims: Map<String, Value> =
        claims.into_iter().filter(|(_, value)| !value.is_null()).collect();
    jws::sign(key, key.algorithm(), &Map::new(), &claims).unwrap()
}

async fn call(server: &Server, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    server.send("GET", "/v1/whoami", &[("authorization", &authorization)], String::new()).await
}

#[tokio::test]
async fn a_jwt_of_ones_own_is_enough() {
    let server = server_with_alice().await;
    let answer = call(&server, &signed(&server, json!({ "aud": ISSUER }))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["username"], "alice");
    assert_eq!(answer.body["proof"], "self-signed");
}

#[tokio::test]
async fn it_lives_for_five_minutes_at_most() {
    let server = server_with_alice().await;
    let now = server.seconds();
    let undated = signed(&server, json!({ "exp": now + 316, "iat": null }));
    assert_eq!(call(&server, &undated).await.status, StatusCode::UNAUTHORIZED);
    let token = signed(&server, json!({ "exp": now + 300 }));
    server.advance(Duration::from_millis(304_999));
    assert_eq!(call(&server, &token).await.status, StatusCode::OK);
    server.advance(Duration::from_millis(1));
    let late = signed(&server, json!({ "iat": now, "exp": now + 300 }));
    assert_eq!(call(&server, &late).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_far_exp_is_taken_and_lengthens_nothing() {
    let server = server_with_alice().await;
    let now = server.seconds();
    for far in [300, 3600, 7200, 86_400] {
        let answer = call(&server, &signed(&server, json!({ "exp": now + far }))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["expires_at"], now + 300);
    }
    let (used, kept) = (json!({ "exp": now + 3600, "jti": "1" }), json!({ "exp": now + 3601 }));
    let (used, kept) = (signed(&server, used), signed(&server, kept));
    assert_eq!(call(&server, &used).await.status, StatusCode::OK);
    server.advance(Duration::from_millis(304_999));
    let again = call(&server, &used).await;
    assert_eq!(again.body["detail"], "the JWT was used before");
    server.advance(Duration::from_millis(1));
    for token in [used, kept] {
        let answer = call(&server, &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("signed more than 300 s ago"), "{detail}");
    }
}

#[tokio::test]
async fn a_restart_revives_nothing() {
    let mut server = server_with_alice().await;
    let now = server.seconds();
    let tokens: Vec<String> =
        [json!({}), json!({ "iat": null }), json!({ "iat": now + 4 }), json!({ "iat": now - 30 })]
            .into_iter()
            .map(|changes| signed(&server, changes))
            .collect();
    for token in &tokens {
        assert_eq!(call(&server, token).await.status, StatusCode::OK);
    }
    for _ in 0..3 {
        server.restart().await;
        for _ in 0..6 {
            for token in &tokens {
                let status = call(&server, token).await.status;
                assert!(
                    [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
                );
            }
            server.advance(SECOND);
        }
        assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
        let timeless = signed(&server, json!({ "iat": null, "jti": server.seconds().to_string() }));
        assert_eq!(call(&server, &timeless).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_log_that_forgets_while_the_server_runs_revives_nothing() {
    let server = server_with_alice().await;
    server.advance(SECOND);
    let now = server.seconds();
    let tokens: Vec<String> =
        [json!({}), json!({ "iat": null }), json!({ "iat": now + 4 }), json!({ "iat": now - 30 })]
            .into_iter()
            .map(|changes| signed(&server, changes))
            .collect();
    for token in &tokens {
        assert_eq!(call(&server, token).await.status, StatusCode::OK);
    }
    let refusals = [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE];
    for _ in 0..3 {
        server.forget_used_proofs();
        let early = call(&server, &signed(&server, json!({}))).await;
        assert_eq!(early.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(early.header("retry-after"), Some("1"));
        for _ in 0..6 {
            for token in &tokens {
                assert!(refusals.contains(&call(&server, token).await.status));
            }
            server.advance(SECOND);
        }
        assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn one_that_is_under_way_while_the_log_forgets_is_refused() {
    let server = server_with_alice().await;
    server.advance(SECOND);
    server.0.forget_used_proofs_in_next_request();
    let token = signed(&server, json!({}));
    assert_eq!(call(&server, &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
    server.advance(SECOND);
    assert_eq!(call(&server, &token).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_used_one_that_was_forgotten_is_refused_after_a_start_with_a_clock_that_is_behind() {
    let mut server = server_with_alice().await;
    let used_at = server.0.now();
    let tokens = [json!({}), json!({ "iat": null })].map(|changes| signed(&server, changes));
    for token in &tokens {
        assert_eq!(call(&server, token).await.status, StatusCode::OK);
    }
    server.advance(Duration::from_mins(10));
    server.0.maintain().await;
    server.0.set_clock(used_at + SECOND);
    server.restart().await;
    for _ in 0..3 {
        for token in &tokens {
            let status = call(&server, token).await.status;
            assert!([StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE].contains(&status));
        }
        server.advance(SECOND);
    }
    server.0.set_clock(used_at + Duration::from_mins(10));
    let new = signed(&server, json!({ "iat": null, "jti": "new" }));
    assert_eq!(call(&server, &new).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_made_and_not_used_before_a_restart_must_be_made_again() {
    let mut server = server_with_alice().await;
    let token = signed(&server, json!({}));
    server.restart().await;
    server.advance(SECOND);
    let answer = call(&server, &token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body["detail"].as_str().unwrap().contains("sign another"));
    assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn until_the_second_of_a_restart_ends_one_is_told_to_wait() {
    let mut server = server_with_alice().await;
    server.restart().await;
    let token = signed(&server, json!({}));
    let answer = call(&server, &token).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body["detail"].as_str().unwrap().contains("in a second"));
    // Without `iat` it is on disk, and tells itself apart.
    let timeless = signed(&server, json!({ "iat": null }));
    assert_eq!(call(&server, &timeless).await.status, StatusCode::OK);
    server.advance(SECOND);
    assert_eq!(call(&server, &token).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_uses_at_once_one_succeeds() {
    let server = Arc::new(server_with_alice().await);
    for changes in [json!({}), json!({ "iat": null }), json!({ "iat": server.seconds() + 3 })] {
        let token = signed(&server, changes);
        let attempts: Vec<_> = (0..20)
            .map(|_| {
                let (server, token) = (Arc::clone(&server), token.clone());
                tokio::spawn(async move { call(&server, &token).await.status })
            })
            .collect();
        let mut accepted = 0;
        for attempt in attempts {
            accepted += usize::from(attempt.await.unwrap() == StatusCode::OK);
        }
        assert_eq!(accepted, 1);
    }
}

#[tokio::test]
async fn disabling_the_account_ends_it() {
    let server = server_with_alice().await;
    assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
    server.set_status("alice", AccountStatus::Disabled).await;
    let token = signed(&server, json!({ "jti": "2" }));
    assert_eq!(call(&server, &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_replay_is_in_the_trail_and_a_stranger_is_not() {
    let server = server_with_alice().await;
    let token = signed(&server, json!({}));
    call(&server, &token).await;
    for _ in 0..3 {
        call(&server, &signed_by(&server, &ed25519(2), &json!({}))).await;
    }
    assert_eq!(server.events(EventKind::ProofReplayed).await, 0);
    call(&server, &token).await;
    assert_eq!(server.events(EventKind::ProofReplayed).await, 1);
    assert_eq!(server.events(EventKind::TokenRefused).await, 0);
}

#[tokio::test]
async fn the_time_of_last_use_is_written_once_an_hour() {
    let server = server_with_alice().await;
    let last_use = async || {
        let store = &server.ports().store;
        let thumbprint = ed25519(1).public_key().thumbprint();
        store.credential(&thumbprint).await.unwrap().and_then(|(key, _)| key.last_used_at)
    };
    assert_eq!(last_use().await, None);
    let first = server.authority().core.now();
    call(&server, &signed(&server, json!({}))).await;
    assert_eq!(last_use().await, Some(first));
    server.advance(59 * 60 * SECOND);
    call(&server, &signed(&server, json!({}))).await;
    assert_eq!(last_use().await, Some(first));
    server.advance(60 * SECOND);
    call(&server, &signed(&server, json!({}))).await;
    assert_eq!(last_use().await, Some(server.authority().core.now()));
}

#[tokio::test]
async fn switched_off_it_does_not_count() {
    let mut server = server_with_alice().await;
    let without = |dialects: &mut Dialects| {
        (dialects.self_signed, dialects.gradecoin) = (false, false);
    };
    server.restart_speaking(without).await;
    server.advance(SECOND);
    assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::UNAUTHORIZED);
    let metadata =
        server.send("GET", "/.well-known/oauth-authorization-server", &[], String::new()).await;
    assert_eq!(metadata.body["countersign_proofs_supported"], json!(["dpop", "signjwt"]));
}

#[tokio::test]
async fn the_trail_says_which_key_was_used_how_often_and_from_where() {
    let server = server_with_alice().await;
    for _ in 0..3 {
        assert_eq!(call(&server, &signed(&server, json!({}))).await.status, StatusCode::OK);
        server.advance(SECOND);
    }
    let refused = call(&server, &signed(&server, json!({ "aud": "https://else.example" }))).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let elsewhere = format!("Bearer {}", signed(&server, json!({})));
    let elsewhere = server.call("GET", "/v1/whoami").header("authorization", elsewhere);
    elsewhere.peer("198.51.100.7").send().await.is(200);
    let mut uses = server.key_uses().await;
    uses.sort_by_key(|event| std::cmp::Reverse(event.times()));
    let key = Some(ed25519(1).public_key().thumbprint());
    assert!(uses.iter().all(|event| event.thumbprint == key && event.account_id.is_some()));
    assert!(uses.iter().all(|event| event.detail.as_deref() == Some("self-signed")));
    let [here, there] = &uses[..] else { unreachable!("{uses:?}") };
    assert_eq!((here.times(), here.last_at().since(here.at)), (3, SECOND * 2));
    assert_eq!((there.times(), there.address), (1, Some([198, 51, 100, 7].into())));
    assert_eq!(server.key_uses().await.len(), 2, "what was written is not counted again");
}
