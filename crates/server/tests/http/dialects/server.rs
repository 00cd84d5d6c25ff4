//! A server, and a user of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use countersign_authority::{
    Administration, Authority, Maintenance,
    audit::{AuditFilter, EventKind},
    policy::Policy,
    ports::{Clock as _, Ports},
    vault::{MasterKey, Vault},
};
use countersign_guard::SelfSignedPolicy;
use countersign_protocol::{keys::PrivateKey, proofs::target_uri::TargetUri};
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
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const ISSUER: &str = "https://auth.example";

/// A server that runs, and what a restart keeps.
pub(crate) struct Server {
    pub(crate) clock: Arc<FixedClock>,
    directory: TempDir,
    policy: Policy,
    pub(crate) dialects: Dialects,
    starts: u64,
    running: Option<(Arc<Authority>, Router)>,
}

/// An answer: its status, its headers, its JSON.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::new(TargetUri::parse(ISSUER).unwrap());
        change(&mut policy);
        let mut server = Self {
            clock: Arc::new(FixedClock::default()),
            directory: tempfile::tempdir().unwrap(),
            policy,
            dialects: Dialects::default(),
            starts: 0,
            running: None,
        };
        server.restart().await;
        server
    }

    /// Ends the server, as a crash would, and starts it on the same database.
    pub(crate) async fn restart(&mut self) {
        self.running = None;
        self.starts += 1;
        let ports = self.ports();
        let master_key = MasterKey::parse(&"0f".repeat(32)).unwrap();
        let vault = Vault::open(&*ports.vault, &master_key, &*ports.random).await.unwrap();
        let policy = self.policy.clone();
        let authority = Arc::new(Authority::start(policy, ports, vault).await.unwrap());
        let settings = Settings {
            limits: RequestLimits::default(),
            proxies: Arc::new(TrustedProxies::default()),
            metrics_readers: Vec::new(),
            cors: CorsOrigins::SameOrigin,
            dialects: self.dialects,
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

    pub(crate) fn authority(&self) -> &Arc<Authority> {
        &self.running.as_ref().unwrap().0
    }

    /// What an administrator does in another process.
    pub(crate) fn admin(&self) -> Administration {
        Administration::new(&self.ports())
    }

    /// Lets the server notice what an administrator did.
    pub(crate) async fn notice_changes(&self) {
        self.maintenance().take_over_changes().await.unwrap();
    }

    /// The kinds of all events about the account of `name`, oldest first.
    pub(crate) async fn events(&self, kind: EventKind) -> usize {
        self.maintenance().write_trail().await;
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        self.authority().ports().audit.events(&filter, 1_000).await.unwrap().len()
    }

    fn maintenance(&self) -> Maintenance {
        Maintenance::new(Arc::clone(self.authority()), || {})
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.clock.now().as_secs()
    }

    /// Sends JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        let address = SocketAddr::new(IpAddr::from([192, 0, 2, 1]), 4711);
        request.extensions_mut().insert(PeerAddress(address));
        let router = self.running.as_ref().unwrap().1.clone();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        assert!(!response.headers().contains_key(header::SET_COOKIE));
        let headers = response.headers().clone();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    /// Registers in the format of *signjwt*, which every other dialect understands.
    pub(crate) async fn register(&self, name: &str, key: &PrivateKey) -> Answer {
        let pem = key.public_key().to_spki_pem();
        self.post("/register", json!({ "user_id": name, "public_key": pem })).await
    }
}
