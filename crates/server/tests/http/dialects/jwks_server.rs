//! The *jwks-server* dialect in process: what takes a clock, an administrator, or a count of work.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use countersign_authority::{
    Administration, Authority, Maintenance,
    account::AccountStatus,
    audit::{AuditFilter, EventKind},
    policy::{Enrolment, PasswordPolicy, Policy},
    ports::Ports,
    vault::{MasterKey, Vault},
};
use countersign_guard::SelfSignedPolicy;
use countersign_protocol::{
    keys::{KeyPolicy, PublicKey},
    proofs::target_uri::TargetUri,
    strict::base64url,
};
use countersign_server::{
    address::{PeerAddress, TrustedProxies},
    app::{App, Settings},
    dialects::Dialects,
    limits::RequestLimits,
    security_headers::CorsOrigins,
};
use countersign_store::{
    memory::{MemoryRateLimiter, MemoryReplayLog, MemorySessionNonces, MemoryWindowLimiter},
    sqlite::{SqliteOptions, SqliteStore},
};
use countersign_testkit::{clock::FixedClock, random::SeededRandom};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

const MINUTE: Duration = Duration::from_mins(1);

struct Server {
    clock: Arc<FixedClock>,
    directory: TempDir,
    authority: Arc<Authority>,
    router: Router,
}

impl Server {
    async fn start(rate_limit: bool, change: impl FnOnce(&mut Policy)) -> Self {
        let clock = Arc::new(FixedClock::default());
        let directory = tempfile::tempdir().unwrap();
        let mut policy = Policy::new(TargetUri::parse("https://auth.example").unwrap());
        policy.limits = None;
        policy.passwords = Some(PasswordPolicy { rate_limit, ..PasswordPolicy::default() });
        change(&mut policy);
        let ports = ports(&directory, &clock);
        let master_key = MasterKey::parse(&"0f".repeat(32)).unwrap();
        let vault = Vault::open(&*ports.vault, &master_key, &*ports.random).await.unwrap();
        let authority = Arc::new(Authority::start(policy, ports, vault).await.unwrap());
        let settings = Settings {
            limits: RequestLimits::default(),
            proxies: Arc::new(TrustedProxies::default()),
            metrics_readers: Vec::new(),
            cors: CorsOrigins::SameOrigin,
            dialects: Dialects::default(),
            protected_origins: Vec::new(),
            self_signed: SelfSignedPolicy::default(),
        };
        let router = App::new(Arc::clone(&authority), settings).router();
        Self { clock, directory, authority, router }
    }

    async fn unlimited() -> Self {
        Self::start(false, |_| {}).await
    }

    /// What an administrator does in another process.
    fn admin(&self) -> Administration {
        Administration::new(&ports(&self.directory, &self.clock))
    }

    /// What housekeeping does every minute, for `minutes`.
    async fn live(&self, minutes: u32, mut each: impl AsyncFnMut(u32)) {
        let maintenance = Maintenance::new(Arc::clone(&self.authority), || {});
        for minute in 0..minutes {
            self.clock.advance(MINUTE);
            maintenance.maintain().await.unwrap();
            each(minute).await;
        }
    }

    async fn events(&self, kind: EventKind) -> usize {
        Maintenance::new(Arc::clone(&self.authority), || {}).write_trail().await;
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        self.authority.ports().audit.events(&filter, 1_000).await.unwrap().len()
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        let address = SocketAddr::new(IpAddr::from([192, 0, 2, 1]), 4711);
        request.extensions_mut().insert(PeerAddress(address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The credentials of a new account.
    async fn register(&self, name: &str) -> Value {
        let body = json!({ "username": name, "email": format!("{name}@example.com") });
        let (status, answer) = self.send("POST", "/register", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED);
        json!({ "username": name, "password": answer["password"] })
    }

    async fn auth(&self, credentials: &Value) -> (StatusCode, Value) {
        self.send("POST", "/auth", Some(credentials.clone())).await
    }

    async fn token(&self, query: &str, credentials: &Value) -> Token {
        let path = format!("/auth{query}");
        let (status, answer) = self.send("POST", &path, Some(credentials.clone())).await;
        assert_eq!(status, StatusCode::OK);
        Token(answer["token"].as_str().unwrap().to_owned())
    }

    /// The published RSA keys.
    async fn jwks(&self) -> Vec<Value> {
        let (_, answer) = self.send("GET", "/.well-known/jwks.json", None).await;
        let keys = answer["keys"].as_array().unwrap().iter().cloned();
        keys.filter(|key| key["kty"] == "RSA").collect()
    }

    fn seconds(&self) -> u64 {
        self.authority.now().as_secs()
    }
}

fn ports(directory: &TempDir, clock: &Arc<FixedClock>) -> Ports {
    let path = directory.path().join("countersign.db");
    let store = Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
    Ports {
        accounts: Arc::clone(&store) as _,
        audit: Arc::clone(&store) as _,
        clock: Arc::clone(clock) as _,
        credentials: Arc::clone(&store) as _,
        invitations: Arc::clone(&store) as _,
        passwords: Arc::clone(&store) as _,
        random: Arc::new(SeededRandom::new(1)),
        rate_limiter: Arc::new(MemoryRateLimiter::new(1_000)),
        replay_log: Arc::new(MemoryReplayLog::new(10_000)),
        revocations: Arc::clone(&store) as _,
        server_keys: Arc::clone(&store) as _,
        session_nonces: Arc::new(MemorySessionNonces::new(1_000)),
        signing_keys: Arc::clone(&store) as _,
        vault: Arc::clone(&store) as _,
        watch: store,
        window_limiter: Arc::new(MemoryWindowLimiter::new(1_000)),
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
    let server = Server::unlimited().await;
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
    let server = Server::unlimited().await;
    let credentials = server.register("alice").await;
    for _ in 0..3 {
        let token = server.token("?expired=true", &credentials).await;
        assert!(token.expires_at() < server.seconds());
        assert!(!token.verifies_with(&server.jwks().await));
        let gone = server.authority.signing_keys().summaries(server.authority.now());
        let gone = gone.iter().filter(|key| key.life.expires_at <= server.authority.now());
        assert_eq!(gone.count(), 1);
        server.live(65, async |_| {}).await;
    }
}

#[tokio::test]
async fn after_a_long_sleep_there_is_a_key_at_once() {
    let server = Server::unlimited().await;
    let credentials = server.register("alice").await;
    server.clock.advance(Duration::from_hours(7 * 24));
    server.live(1, async |_| {}).await;
    let token = server.token("", &credentials).await;
    assert!(token.verifies_with(&server.jwks().await));
}

#[tokio::test]
async fn no_token_outlives_its_key() {
    let server = Server::start(false, |policy| {
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
    let server = Server::unlimited().await;
    let credentials = server.register("alice").await;
    let wrong = json!({ "username": "alice", "password": "wrong" });
    let unknown = json!({ "username": "bob", "password": credentials["password"] });
    let impossible = json!({ "username": "' OR 1=1 --", "password": "wrong" });
    let mut answers = Vec::new();
    for attempt in [&wrong, &unknown, &impossible] {
        let before = server.authority.password_hashes();
        answers.push(server.auth(attempt).await);
        assert_eq!(server.authority.password_hashes(), before + 1);
    }
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(server.events(EventKind::LoginRefused).await, 1, "of the account that there is");
}

#[tokio::test]
async fn a_password_too_long_or_missing_costs_nothing() {
    let server = Server::unlimited().await;
    server.register("alice").await;
    let before = server.authority.password_hashes();
    for password in [json!("x".repeat(257)), json!(""), json!(null)] {
        for name in ["alice", "bob"] {
            let attempt = json!({ "username": name, "password": password });
            assert_eq!(server.auth(&attempt).await.0, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(server.authority.password_hashes(), before);
}

#[tokio::test]
async fn a_disabled_account_gets_the_answer_of_a_wrong_password() {
    let server = Server::unlimited().await;
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
    let server = Server::start(true, |policy| policy.limits = None).await;
    let nothing = json!({});
    for _ in 0..10 {
        assert_eq!(server.auth(&nothing).await.0, StatusCode::UNAUTHORIZED);
        server.clock.advance(Duration::from_millis(50));
    }
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
    server.clock.advance(Duration::from_millis(499));
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
    server.clock.advance(Duration::from_millis(1));
    assert_eq!(server.auth(&nothing).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.auth(&nothing).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_flood_is_turned_away_and_then_served_again() {
    let server = Server::unlimited().await;
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
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                counts[1] += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        if attempts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(server.authority.password_hashes(), counts[0]);
    assert_eq!(server.auth(&wrong).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn enrolment_counts_for_passwords_too() {
    for enrolment in [Enrolment::Invited, Enrolment::Closed] {
        let server = Server::start(false, |policy| policy.enrolment = enrolment).await;
        let body = json!({ "username": "alice", "email": "alice@example.com" });
        let (status, _) = server.send("POST", "/register", Some(body)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(server.authority.password_hashes(), 0);
    }
}
