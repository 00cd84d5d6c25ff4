//! The real server beside the guard, when very much was revoked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{extract::Request, middleware::Next};
use countersign_authority::{
    Authority, Maintenance,
    accounts::registration::PresentedKey,
    dialects::signjwt::UnprovenRegistration,
    keys::vault::{MasterKey, Vault},
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind},
        key_life::Signs,
        policy::Policy,
    },
    ports::{Ports, Store},
};
use countersign_guard::SelfSignedPolicy;
use countersign_memory::Capacity;
use countersign_protocol::{
    AccountId, keys::PrivateKey, proofs::target_uri::TargetUri, tokens::issue::AccessTokenClaims,
};
use countersign_server::{
    App, CorsOrigins, Dialects, PeerAddress, RequestLimits, Settings, TrustedProxies, router,
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_testkit::{
    keys::ed25519,
    samples::{EPOCH, scopes},
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{caller::dpop_request, *};

/// The server, on a database of its own and a real socket.
struct Server {
    authority: Arc<Authority>,
    maintenance: Maintenance,
    clock: Arc<FixedClock>,
    origin: String,
    store: Arc<dyn Store>,
    data_dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::at(NOW));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let ports = ports(&data_dir, &clock);
        let store = Arc::clone(&ports.store);
        let master = MasterKey::parse(&"5e".repeat(32)).unwrap();
        let vault = Vault::open(&*ports.store, &master, &SeededRandom::new(2)).await.unwrap();
        let policy = Policy::new(TargetUri::parse(&origin).unwrap());
        let authority = Arc::new(Authority::start(policy, ports, vault).await.unwrap());
        let router = router(&App::new(Arc::clone(&authority), settings()));
        let router = router.layer(axum::middleware::from_fn(from_loopback));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let maintenance = Maintenance::new(Arc::clone(&authority));
        Self { authority, maintenance, clock, origin, store, data_dir }
    }

    /// A guard elsewhere, which has asked once.
    async fn guard(&self) -> RemoteGuard {
        let server = ResourceServer::new(&self.origin, ORIGIN).unwrap();
        let clock = Arc::<FixedClock>::clone(&self.clock);
        let guard = server.ports(clock, Arc::new(SeededRandom::new(1))).start().unwrap();
        guard.ready().await.unwrap();
        guard
    }

    async fn register(&self, name: &str, key: &PrivateKey) -> AccountId {
        let registration = UnprovenRegistration {
            username: name,
            public_key: PresentedKey::Jwk(&key.public_key().to_jwk()),
            enrolment_code: None,
            address: [127, 0, 0, 1].into(),
        };
        self.authority.dialects.signjwt.register_unproven(registration).await.unwrap().account_id
    }

    /// A token for the service that is issued now.
    fn token(&self, account_id: AccountId, key: &PrivateKey) -> String {
        let now = self.authority.core.now();
        let claims = AccessTokenClaims {
            issuer: self.origin.clone(),
            account_id,
            audience: vec![ORIGIN.to_owned()],
            credential: key.public_key().thumbprint(),
            name: None,
            username: None,
            bound_to: key.public_key().thumbprint(),
            scopes: scopes("read"),
            narrowed: false,
            token_id: format!("token of {account_id}"),
            authentication: None,
            issued_at: now,
            expires_at: now + Duration::from_mins(15),
        };
        let signer = self.authority.core.signing_keys().signer(Signs::AccessTokens, now).unwrap();
        signer.access_token(&claims).unwrap()
    }

    /// What 60 000 accounts revoked of late, and 200 000 sessions that an earlier version noted.
    async fn revoke_very_much(&self) {
        let path = self.data_dir.path().join("countersign.db");
        let mut connection = rusqlite::Connection::open(path).unwrap();
        let transaction = connection.transaction().unwrap();
        let now = self.clock.now().as_millis();
        let [issued_at, expires_at] =
            [now - 300_000, now + 600_000].map(|millis| i64::try_from(millis).unwrap());
        for number in 0..260_000_u64 {
            let is_token = number < 60_000;
            let mut account = [9; 16];
            account[..8].copy_from_slice(&number.to_be_bytes());
            let values = (
                format!("018bcfe5-6800-7000-8000-{number:012}"),
                is_token.then_some(account),
                is_token.then_some(issued_at + i64::try_from(number).unwrap()),
                expires_at,
            );
            let insert = "INSERT INTO revoked_tokens(jti, account_id, issued_at, expires_at)
                VALUES (?, ?, ?, ?)";
            transaction.prepare_cached(insert).unwrap().execute(values).unwrap();
        }
        transaction.commit().unwrap();
        self.maintenance.take_over_changes().await.unwrap();
    }

    async fn disable(&self, account_id: AccountId) {
        let event = AuditEvent::new(self.authority.core.now(), EventKind::AccountDisabled);
        assert!(self.store.set_status(account_id, AccountStatus::Disabled, event).await.unwrap());
    }
}

async fn from_loopback(mut request: Request, next: Next) -> axum::response::Response {
    request.extensions_mut().insert(PeerAddress(SocketAddr::from(([127, 0, 0, 1], 1))));
    next.run(request).await
}

fn ports(data_dir: &TempDir, clock: &Arc<FixedClock>) -> Ports {
    let path = data_dir.path().join("countersign.db");
    let capacity = Capacity {
        limited: 1000,
        keyring_tries: 1000,
        used_proofs: 1000,
        used_proofs_share: 1000,
        sessions: 1000,
        sessions_share: 1000,
    };
    Ports {
        clock: Arc::clone(clock) as _,
        random: Arc::new(SeededRandom::new(1)),
        state: countersign_memory::state(&capacity, EPOCH, Duration::ZERO),
        store: Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap()),
    }
}

fn settings() -> Settings {
    Settings {
        limits: RequestLimits::default(),
        proxies: Arc::new(TrustedProxies::default()),
        metrics_readers: Vec::new(),
        cors: CorsOrigins::SameOrigin,
        dialects: Dialects::default(),
        protected_origins: Vec::new(),
        self_signed: SelfSignedPolicy::default(),
        web: None,
    }
}

/// The guard's verdict on a request with `token` and a fresh proof.
async fn verdict(
    guard: &RemoteGuard,
    server: &Server,
    key: &PrivateKey,
    token: &str,
) -> Result<Principal, Refusal> {
    let nonce = guard.guard().fresh_nonce();
    let request = dpop_request(key, token, &nonce, server.clock.now());
    guard.guard().verify(&request).await.map_err(|refused| refused.refusal)
}

#[tokio::test]
async fn whatever_was_revoked_a_disabled_account_is_refused_within_the_lag() {
    let server = Server::start().await;
    let (alices, bobs) = (ed25519(2), ed25519(3));
    let alice = server.register("alice", &alices).await;
    let bob = server.register("bob", &bobs).await;
    let guard = server.guard().await;
    let old = server.token(bob, &bobs);
    verdict(&guard, &server, &bobs, &old).await.unwrap();

    server.clock.advance(Duration::from_secs(1));
    server.revoke_very_much().await;
    server.clock.advance(Duration::from_secs(1));
    guard.refresh().await.unwrap();
    let (alices_token, bobs_token) = (server.token(alice, &alices), server.token(bob, &bobs));
    verdict(&guard, &server, &alices, &alices_token).await.unwrap();
    verdict(&guard, &server, &bobs, &bobs_token).await.unwrap();
    let refused = verdict(&guard, &server, &bobs, &old).await;
    assert_eq!(refused, Err(Refusal::Revoked), "what cannot be told apart is refused");

    server.disable(alice).await;
    server.clock.advance(Duration::from_secs(2));
    guard.refresh().await.unwrap();
    let started_now = server.guard().await;
    for guard in [&guard, &started_now] {
        let refused = verdict(guard, &server, &alices, &alices_token).await;
        assert_eq!(refused, Err(Refusal::Revoked));
        verdict(guard, &server, &bobs, &bobs_token).await.unwrap();
    }
}
