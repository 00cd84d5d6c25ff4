//! The *passwordless* dialect in process: what takes a clock, an administrator or a new master key.
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
    policy::{Enrolment, Policy},
    ports::Ports,
    vault::{MasterKey, Vault},
};
use countersign_guard::SelfSignedPolicy;
use countersign_protocol::{
    keys::{
        KeyPolicy, PrivateKey, PublicKey,
        raw_rsa::{self, RawRsaPrivateKey},
    },
    proofs::target_uri::TargetUri,
    strict::base64,
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
use countersign_testkit::{clock::FixedClock, keys, random::SeededRandom};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

const MASTER_KEY: &str = "the first passphrase";

/// A server that runs.
struct Server {
    clock: Arc<FixedClock>,
    directory: TempDir,
    policy: Policy,
    master_key: MasterKey,
    starts: u64,
    running: Option<(Arc<Authority>, Router)>,
}

impl Server {
    async fn start(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::new(TargetUri::parse("https://auth.example").unwrap());
        change(&mut policy);
        let mut server = Self {
            clock: Arc::new(FixedClock::default()),
            directory: tempfile::tempdir().unwrap(),
            policy,
            master_key: MasterKey::parse(MASTER_KEY).unwrap(),
            starts: 0,
            running: None,
        };
        server.restart().await;
        server
    }

    async fn restart(&mut self) {
        self.running = None;
        self.starts += 1;
        let ports = self.ports();
        let vault = Vault::open(&*ports.vault, &self.master_key, &*ports.random).await.unwrap();
        let policy = self.policy.clone();
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
        self.running = Some((authority, router));
    }

    /// The ports of a process on the database.
    fn ports(&self) -> Ports {
        let path = self.directory.path().join("countersign.db");
        let store = Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
        Ports {
            accounts: Arc::clone(&store) as _,
            audit: Arc::clone(&store) as _,
            clock: Arc::clone(&self.clock) as _,
            credentials: Arc::clone(&store) as _,
            invitations: Arc::clone(&store) as _,
            passwords: Arc::clone(&store) as _,
            random: Arc::new(SeededRandom::new(self.starts)),
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

    fn authority(&self) -> &Arc<Authority> {
        &self.running.as_ref().unwrap().0
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.send_from(IpAddr::from([192, 0, 2, 1]), method, path, body).await
    }

    async fn send_from(
        &self,
        address: IpAddr,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        request.extensions_mut().insert(PeerAddress(SocketAddr::new(address, 4711)));
        let router = self.running.as_ref().unwrap().1.clone();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn register(&self, name: &str, key: PrivateKey) -> User {
        let spki = base64::encode(&key.public_key().to_spki_der());
        let body = json!({ "username": name, "clientSidePublicKey": spki });
        let (status, answer) = self.send("POST", "/register", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let server_key = answer["serverSidePublicKey"].as_str().unwrap();
        User {
            id: answer["id"].as_str().unwrap().to_owned(),
            key,
            server_key: PublicKey::parse(server_key, &KeyPolicy::default()).unwrap(),
        }
    }

    async fn number(&self, user: &User) -> Vec<u8> {
        let (status, answer) = self.send("GET", &format!("/challenge/{}", user.id), None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let challenge = base64::decode(answer["challenge"].as_str().unwrap()).unwrap();
        raw_rsa::recover(&user.server_key, &challenge).unwrap().to_vec()
    }

    async fn authenticate(&self, user: &User, proposal: &[u8]) -> StatusCode {
        let path = format!("/authenticate/{}", user.id);
        let body = json!({ "proposal": base64::encode(proposal) });
        self.send("POST", &path, Some(body)).await.0
    }

    /// The kinds of the events that there are, oldest first.
    async fn trail(&self) -> Vec<EventKind> {
        Maintenance::new(Arc::clone(self.authority()), || ()).write_trail().await;
        let events =
            self.authority().ports().audit.events(&AuditFilter::default(), 100).await.unwrap();
        events.into_iter().rev().map(|recorded| recorded.event.kind).collect()
    }
}

struct User {
    id: String,
    key: PrivateKey,
    server_key: PublicKey,
}

impl User {
    /// The number in the raw form.
    fn propose(&self, number: &[u8]) -> Vec<u8> {
        let raw = RawRsaPrivateKey::from_pkcs8_der(&self.key.to_pkcs8_der()).unwrap();
        raw.encrypt(number).unwrap()
    }

    /// A signature of the number.
    fn sign(&self, number: &[u8]) -> Vec<u8> {
        self.key.sign(self.key.algorithm(), number).unwrap()
    }
}

fn rsa() -> PrivateKey {
    keys::from_pem(keys::RSA_2048_PEM)
}

#[tokio::test]
async fn a_number_works_for_a_minute() {
    let server = Server::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    for (age, expected) in [(59_999, StatusCode::OK), (60_000, StatusCode::UNAUTHORIZED)] {
        let (raw, hashed) = (server.number(&alice).await, server.number(&bob).await);
        server.clock.advance(Duration::from_millis(age));
        assert_eq!(server.authenticate(&alice, &alice.propose(&raw)).await, expected);
        assert_eq!(server.authenticate(&bob, &bob.sign(&hashed)).await, expected);
    }
}

#[tokio::test]
async fn a_hash_is_signed_where_the_challenge_was_asked_for() {
    let server = Server::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let (elsewhere, path) = (IpAddr::from([192, 0, 2, 2]), format!("/authenticate/{}", alice.id));
    let number = server.number(&alice).await;
    for (proposal, expected) in
        [(alice.sign(&number), StatusCode::UNAUTHORIZED), (alice.propose(&number), StatusCode::OK)]
    {
        let body = json!({ "proposal": base64::encode(&proposal) });
        let (status, _) = server.send_from(elsewhere, "POST", &path, Some(body)).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn nobody_elsewhere_pushes_a_number_out() {
    let server = Server::start(|_| ()).await;
    let bob = server.register("bob", keys::ed25519(1)).await;
    let number = server.number(&bob).await;
    for _ in 0..50 {
        let elsewhere = IpAddr::from([192, 0, 2, 2]);
        let path = format!("/challenge/{}", bob.id);
        assert_eq!(server.send_from(elsewhere, "GET", &path, None).await.0, StatusCode::OK);
    }
    assert_eq!(server.authenticate(&bob, &bob.sign(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn a_disabled_account_is_refused_until_it_is_enabled() {
    let server = Server::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let ports = server.ports();
    let set = async |status| {
        let name = "alice".parse().unwrap();
        let admin = Administration::new(&ports);
        admin.set_status(&name, status).await.unwrap();
    };
    set(AccountStatus::Disabled).await;
    let number = server.number(&alice).await;
    let refused = server.authenticate(&alice, &alice.propose(&number)).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert!(server.trail().await.contains(&EventKind::LoginRefused));
    set(AccountStatus::Active).await;
    assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn the_trail_tells_the_story() {
    let server = Server::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let proposal = alice.propose(&server.number(&alice).await);
    assert_eq!(server.authenticate(&alice, &proposal).await, StatusCode::OK);
    assert_eq!(server.authenticate(&alice, &proposal).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.authenticate(&alice, &[0; 256]).await, StatusCode::UNAUTHORIZED);
    let trail = server.trail().await;
    let expected =
        [EventKind::AccountRegistered, EventKind::LoginSucceeded, EventKind::ProofReplayed];
    assert!(trail.ends_with(&expected), "{trail:?}");
}

#[tokio::test]
async fn a_closed_server_registers_nobody() {
    for (enrolment, key) in [(Enrolment::Closed, 1), (Enrolment::Invited, 2)] {
        let server = Server::start(|policy| policy.enrolment = enrolment).await;
        let spki = base64::encode(&keys::ed25519_public(key).to_spki_der());
        let body = json!({ "username": "alice", "clientSidePublicKey": spki });
        assert_eq!(server.send("POST", "/register", Some(body)).await.0, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn every_door_has_its_limit() {
    let server = Server::start(|policy| {
        let limits = policy.limits.as_mut().unwrap();
        limits.logins.burst = 3;
        limits.registrations.burst = 1;
    })
    .await;
    let alice = server.register("alice", keys::ed25519(1)).await;
    let body = json!({ "username": "bob", "clientSidePublicKey": "x" });
    let limited = server.send("POST", "/register", Some(body)).await.0;
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS);
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]
    {
        assert_eq!(server.send("GET", "/challenge/nobody", None).await.0, expected);
    }
    let limited = server.authenticate(&alice, &[1]).await;
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_register_at_once_though_no_key_pair_is_ready() {
    let server = Arc::new(Server::start(|_| ()).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..10 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            let name = format!("user-{number}");
            server.register(&name, keys::ed25519(number)).await.server_key.thumbprint()
        });
    }
    let mut server_keys = tasks.join_all().await;
    server_keys.sort();
    server_keys.dedup();
    assert_eq!(server_keys.len(), 10);
}

#[tokio::test]
async fn a_new_master_key_keeps_the_servers_key_pairs() {
    let mut server = Server::start(|_| ()).await;
    let alice = server.register("alice", rsa()).await;
    let number = server.number(&alice).await;
    server.running = None;
    let ports = server.ports();
    let new = || MasterKey::parse("the second passphrase").unwrap();
    let stores = (&*ports.vault, &*ports.signing_keys);
    let now = ports.clock.now();
    Vault::change_master_key(stores, &server.master_key, &new(), now, &*ports.random)
        .await
        .unwrap();
    server.master_key = new();
    server.restart().await;
    // What was handed out before the start is not recognised after it.
    let refused = server.authenticate(&alice, &alice.propose(&number)).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    let number = server.number(&alice).await;
    assert_eq!(server.authenticate(&alice, &alice.propose(&number)).await, StatusCode::OK);
}

#[tokio::test]
async fn challenges_for_nobody_are_spread_like_those_for_somebody() {
    let server = Server::start(|policy| policy.limits = None).await;
    let challenge = async |name: &str| {
        let (_, answer) = server.send("GET", &format!("/challenge/{name}"), None).await;
        base64::decode(answer["challenge"].as_str().unwrap()).unwrap()
    };
    // A modulus has its highest bit set, and blocks reach up to it and no further.
    for name in ["nobody", "no-one"] {
        let mut largest = 0;
        for _ in 0..200 {
            let block = challenge(name).await;
            assert_eq!(block.len(), 256);
            largest = largest.max(block[0]);
        }
        assert!(largest >= 0x78, "{largest}");
    }
}
