//! *jwks-server*.

use std::{ops::Deref, time::Duration};

use countersign_authority::model::{
    account::AccountStatus,
    audit::EventKind,
    policy::{Enrolment, PasswordPolicy, Policy},
};
use countersign_protocol::{
    keys::{KeyPolicy, PublicKey},
    strict::base64url,
    tokens::revocations::SignedRevocations,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::server::{ISSUER, Server};
use crate::support::TestKey;

const MINUTE: Duration = Duration::from_mins(1);

/// A server with passwords.
struct PasswordServer(Server);

impl Deref for PasswordServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl PasswordServer {
    async fn start(rate_limit: bool, change: impl FnOnce(&mut Policy)) -> Self {
        let server = Server::start_with(|policy| {
            policy.limits = None;
            policy.passwords = Some(PasswordPolicy { rate_limit, ..PasswordPolicy::default() });
            change(policy);
        });
        Self(server.await)
    }

    async fn unlimited() -> Self {
        Self::start(false, |_| {}).await
    }

    /// What housekeeping does every minute, for `minutes`.
    async fn live(&self, minutes: u32, mut each: impl AsyncFnMut(u32)) {
        for minute in 0..minutes {
            self.advance(MINUTE);
            self.0.0.maintain().await;
            each(minute).await;
        }
    }

    /// The credentials of a new account.
    async fn register(&self, name: &str) -> Value {
        let body = json!({ "username": name, "email": format!("{name}@example.com") });
        let answer = self.post("/register", body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        json!({ "username": name, "password": answer.body["password"] })
    }

    async fn auth(&self, credentials: &Value) -> (StatusCode, Value) {
        let answer = self.post("/auth", credentials.clone()).await;
        (answer.status, answer.body)
    }

    async fn token(&self, query: &str, credentials: &Value) -> Token {
        let answer = self.post(&format!("/auth{query}"), credentials.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        Token(answer.body["token"].as_str().unwrap().to_owned())
    }

    /// The published RSA keys.
    async fn jwks(&self) -> Vec<Value> {
        let answer = self.get("/.well-known/jwks.json").await;
        let keys = answer.body["keys"].as_array().unwrap().iter().cloned();
        keys.filter(|key| key["kty"] == "RSA").collect()
    }
}

struct Token(String);

impl Token {
    fn part(&self, index: usize) -> Value {
        let part = self.0.split('.').nth(index).unwrap();
        serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()
    }

    fn expires_at(&self) -> u64 {
        self.part(1)["exp"].as_u64().unwrap()
    }

    /// Whether one of `keys` verifies it.
    fn verifies_with(&self, keys: &[Value]) -> bool {
        let kid = &self.part(0)["kid"];
        let Some(key) = keys.iter().find(|key| key["kid"] == *kid) else { return false };
        let key = PublicKey::from_jwk(key.as_object().unwrap(), &KeyPolicy::default()).unwrap();
        let (signed, signature) = self.0.rsplit_once('.').unwrap();
        let signature = base64url::decode(signature).unwrap();
        key.verify(key.algorithms()[0], signed.as_bytes(), &signature).is_ok()
    }
}

#[tokio::test]
async fn keys_rotate_and_every_live_token_verifies() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    let mut tokens: Vec<Token> = Vec::new();
    let mut signers = std::collections::BTreeSet::new();
    server
        .live(150, async |minute| {
            let keys = server.jwks().await;
            assert!((1..=3).contains(&keys.len()), "minute {minute}: {}", keys.len());
            tokens.retain(|token| token.expires_at() > server.seconds());
            assert!(tokens.iter().all(|token| token.verifies_with(&keys)), "minute {minute}");
            if minute % 5 == 0 {
                let token = server.token("", &credentials).await;
                assert!(token.verifies_with(&keys));
                signers.insert(token.part(0)["kid"].to_string());
                tokens.push(token);
            }
        })
        .await;
    assert_eq!(signers.len(), 5, "one for each half hour");
}

#[tokio::test]
async fn there_is_always_one_expired_key_and_it_is_not_published() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    for _ in 0..3 {
        let token = server.token("?expired=true", &credentials).await;
        assert!(token.expires_at() < server.seconds());
        assert!(!token.verifies_with(&server.jwks().await));
        let gone = server.authority().core.signing_keys().summaries(server.authority().core.now());
        let gone = gone.iter().filter(|key| key.life.expires_at <= server.authority().core.now());
        assert_eq!(gone.count(), 1);
        server.live(65, async |_| {}).await;
    }
}

#[tokio::test]
async fn what_is_called_true_is_true_and_what_is_neither_is_asked_about() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    for yes in ["expired", "expired=", "expired=1", "expired=TRUE", "expired=True", "expired=yes"] {
        let token = server.token(&format!("?{yes}"), &credentials).await;
        assert!(token.expires_at() < server.seconds(), "{yes}");
    }
    for no in ["expired=false", "expired=0", "expired=No", "other=true", ""] {
        let token = server.token(&format!("?{no}"), &credentials).await;
        assert!(token.expires_at() > server.seconds(), "{no}");
    }
    let before = server.authority().dialects.jwks_server.password_hashes();
    for neither in ["expired=2", "expired=maybe", "expired=tru%65%20"] {
        let answer = server.post(&format!("/auth?{neither}"), credentials.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("true, 1 or yes"), "{detail}");
    }
    assert_eq!(server.authority().dialects.jwks_server.password_hashes(), before);
}

#[tokio::test]
async fn after_a_long_sleep_there_is_a_key_at_once() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    // Or the account would be gone by then, as one that nobody has ever used.
    server.token("", &credentials).await;
    server.advance(Duration::from_hours(7 * 24));
    server.live(1, async |_| {}).await;
    let token = server.token("", &credentials).await;
    assert!(token.verifies_with(&server.jwks().await));
}

#[tokio::test]
async fn no_token_outlives_its_key() {
    let server = PasswordServer::start(false, |policy| {
        policy.tokens.lifetime = Duration::from_hours(24);
    })
    .await;
    let credentials = server.register("alice").await;
    server.live(25, async |_| {}).await;
    let token = server.token("", &credentials).await;
    assert_eq!(token.expires_at(), server.seconds() + 35 * 60);
}

#[tokio::test]
async fn an_unknown_user_costs_as_much_as_a_wrong_password() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    let wrong = json!({ "username": "alice", "password": "wrong" });
    let unknown = json!({ "username": "bob", "password": credentials["password"] });
    let impossible = json!({ "username": "' OR 1=1 --", "password": "wrong" });
    let mut answers = Vec::new();
    for attempt in [&wrong, &unknown, &impossible] {
        let before = server.authority().dialects.jwks_server.password_hashes();
        answers.push(server.auth(attempt).await);
        assert_eq!(server.authority().dialects.jwks_server.password_hashes(), before + 1);
    }
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(server.events(EventKind::PasswordRefused).await, 1, "of the account that there is");
}

#[tokio::test]
async fn a_password_too_long_or_missing_costs_nothing() {
    let server = PasswordServer::unlimited().await;
    server.register("alice").await;
    let before = server.authority().dialects.jwks_server.password_hashes();
    for password in [json!("x".repeat(257)), json!(""), json!(null)] {
        for name in ["alice", "bob"] {
            let attempt = json!({ "username": name, "password": password });
            assert_eq!(server.auth(&attempt).await.0, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(server.authority().dialects.jwks_server.password_hashes(), before);
}

#[tokio::test]
async fn a_disabled_account_gets_the_answer_of_a_wrong_password() {
    let server = PasswordServer::unlimited().await;
    let credentials = server.register("alice").await;
    assert_eq!(server.auth(&credentials).await.0, StatusCode::OK);
    let name = "alice".parse().unwrap();
    server.admin().set_status(&name, AccountStatus::Disabled).await.unwrap();
    let wrong = json!({ "username": "alice", "password": "wrong" });
    assert_eq!(server.auth(&credentials).await, server.auth(&wrong).await);
    server.admin().set_status(&name, AccountStatus::Active).await.unwrap();
    assert_eq!(server.auth(&credentials).await.0, StatusCode::OK);
    assert_eq!(server.events(EventKind::LoginSucceeded).await, 2);
}

#[tokio::test]
async fn the_eleventh_within_any_second_is_refused_whatever_the_other_limits() {
    let server = PasswordServer::start(true, |policy| policy.limits = None).await;
    let nothing = json!({});
    for _ in 0..10 {
        assert_eq!(server.auth(&nothing).await.0, StatusCode::UNAUTHORIZED);
        server.advance(Duration::from_millis(50));
    }
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
    server.advance(Duration::from_millis(499));
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
    server.advance(Duration::from_millis(1));
    assert_eq!(server.auth(&nothing).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_flood_is_turned_away_and_then_served_again() {
    let server = PasswordServer::unlimited().await;
    let wrong = json!({ "username": "alice", "password": "wrong" });
    let attempts = (0..150).map(|_| server.auth(&wrong));
    let mut attempts: Vec<_> = attempts.map(Box::pin).collect();
    let mut counts = [0, 0];
    // All of them begin before the first one is awaited to its end.
    std::future::poll_fn(|context| {
        attempts.retain_mut(|attempt| match attempt.as_mut().poll(context) {
            std::task::Poll::Ready((StatusCode::UNAUTHORIZED, _)) => {
                counts[0] += 1;
                false
            }
            std::task::Poll::Ready((status, _)) => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "its share is used up");
                counts[1] += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        if attempts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(server.authority().dialects.jwks_server.password_hashes(), counts[0]);
    assert_eq!(server.auth(&wrong).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn enrolment_counts_for_passwords_too() {
    for enrolment in [Enrolment::Invited, Enrolment::Closed] {
        let server = PasswordServer::start(false, |policy| policy.enrolment = enrolment).await;
        let body = json!({ "username": "alice", "email": "alice@example.com" });
        let status = server.post("/register", body).await.status;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(server.authority().dialects.jwks_server.password_hashes(), 0);
    }
}

#[tokio::test]
async fn an_unbound_token_can_be_revoked_and_introspected() {
    for path in ["/oauth/revoke", "/logout"] {
        let server = PasswordServer::unlimited().await;
        let credentials = server.register("alice").await;
        let (token, other) =
            (server.token("", &credentials).await, server.token("", &credentials).await);
        let app = &server.0.0;
        app.register("orders", &TestKey::number(1)).await;
        let scopes = "introspect".parse().unwrap();
        server.admin().grant_scopes(&"orders".parse().unwrap(), &scopes).await.unwrap();
        app.notice_changes().await;
        let introspect = async |token: &Token| {
            let call = app.client_request("/oauth/introspect", "orders", &TestKey::number(1));
            let answer = call.param("token", &token.0).send().await;
            answer.is(200).json()
        };
        let said = introspect(&token).await;
        assert_eq!((&said["active"], &said["token_type"]), (&true.into(), &"Bearer".into()));
        assert_eq!((&said["username"], said.get("cnf")), (&"alice".into(), None));

        let call = app.call("POST", path);
        let call = match path {
            "/logout" => call.header("authorization", format!("Bearer {}", token.0)),
            _ => call.param("token", &token.0),
        };
        call.send().await.is(200);
        assert_eq!(introspect(&token).await, json!({ "active": false }));
        assert_eq!(introspect(&other).await["active"], true);
        assert_eq!(server.events(EventKind::TokenRevoked).await, 1);
        let feed = server.authority().tokens.revocation_feed().await.unwrap();
        let feed = SignedRevocations::parse(&feed).unwrap();
        let now = server.authority().core.now();
        let key =
            server.authority().core.signing_keys().public_key(&feed.kid().unwrap(), now).unwrap();
        let feed = feed.verify(&key, ISSUER, Duration::ZERO, now).unwrap();
        assert_eq!(feed.tokens, [token.part(1)["jti"].as_str().unwrap()]);
    }
}
