//! An authentication server of a few lines, which can be away and can lie.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use countersign_guard::ports::Clock as _;
use countersign_protocol::{
    keys::{PrivateKey, PublicKey},
    names::Fingerprint,
    strict::base64,
    tokens::revocations::{self, Revocations},
};
use countersign_testkit::{
    clock::FixedClock,
    keys::ed25519,
    samples::{NOW, account_id},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The issuer, and what tests do to it.
pub(super) struct FakeIssuer {
    pub(super) origin: String,
    pub(super) state: Arc<Shared>,
}

pub(super) struct Shared {
    origin: String,
    clock: OnceLock<Arc<FixedClock>>,
    away: AtomicBool,
    /// With what the list is refused.
    pub(super) refusing: Mutex<Option<StatusCode>>,
    pub(super) published: Mutex<Vec<PublicKey>>,
    pub(super) list: Mutex<Revocations>,
    /// Whose key signs the list, and how long ago.
    pub(super) list_by: Mutex<(u64, Duration)>,
    pub(super) accounts: Mutex<HashMap<String, Vec<PublicKey>>>,
    /// The fingerprint of each account, if it says one.
    pub(super) fingerprint: Mutex<Option<Fingerprint>>,
    /// What introspection says.
    pub(super) active: AtomicBool,
    asked: Mutex<HashMap<&'static str, usize>>,
}

impl FakeIssuer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared::new(&origin));
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/jwks.json", get(jwks))
            .route("/v1/revocations", get(list))
            .route("/v1/accounts/{name}/jwks.json", get(account))
            .route("/v1/whoami", get(whoami))
            .route("/oauth/introspect", post(introspect))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, state }
    }

    pub(super) fn set_clock(&self, clock: &Arc<FixedClock>) {
        self.state.clock.set(Arc::clone(clock)).ok().unwrap();
    }

    pub(super) fn set_away(&self, away: bool) {
        self.state.away.store(away, SeqCst);
    }

    /// How often something was asked for.
    pub(super) fn asked(&self, what: &str) -> usize {
        self.state.asked.lock().get(what).copied().unwrap_or_default()
    }
}

impl Shared {
    fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            clock: OnceLock::new(),
            away: AtomicBool::new(false),
            published: Mutex::new(vec![issuer_key().public_key().clone()]),
            list: Mutex::new(Revocations {
                issuer: origin.to_owned(),
                issued_at: NOW,
                expires_at: NOW,
                sequence: Some(0),
                before: None,
                keys_before: None,
                tokens: Vec::new(),
                keys: Vec::new(),
                accounts: Vec::new(),
                accounts_before: Vec::new(),
            }),
            refusing: Mutex::new(None),
            list_by: Mutex::new((1, Duration::ZERO)),
            accounts: Mutex::default(),
            fingerprint: Mutex::default(),
            active: AtomicBool::new(true),
            asked: Mutex::default(),
        }
    }

    fn note(&self, what: &'static str) -> Result<(), StatusCode> {
        *self.asked.lock().entry(what).or_default() += 1;
        if self.away.load(SeqCst) { Err(StatusCode::BAD_GATEWAY) } else { Ok(()) }
    }
}

pub(super) fn issuer_key() -> PrivateKey {
    ed25519(1)
}

type Answer = Result<Response, StatusCode>;

async fn metadata(State(state): State<Arc<Shared>>) -> Answer {
    state.note("metadata")?;
    let origin = &state.origin;
    let document = json!({
        "issuer": origin,
        "token_endpoint": format!("{origin}/oauth/token"),
        "jwks_uri": format!("{origin}/.well-known/jwks.json"),
        "introspection_endpoint": format!("{origin}/oauth/introspect"),
        "countersign_revocations_uri": format!("{origin}/v1/revocations"),
    });
    Ok(axum::Json(document).into_response())
}

fn set_of(keys: &[PublicKey]) -> Value {
    let jwk = |key: &PublicKey| {
        let mut jwk = key.to_jwk();
        jwk.insert("kid".to_owned(), key.thumbprint().to_string().into());
        Value::Object(jwk)
    };
    json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() })
}

async fn jwks(State(state): State<Arc<Shared>>) -> Answer {
    state.note("jwks")?;
    let set = set_of(&state.published.lock());
    Ok(([("cache-control", "public, max-age=60")], axum::Json(set)).into_response())
}

async fn list(State(state): State<Arc<Shared>>) -> Answer {
    state.note("list")?;
    if let Some(status) = *state.refusing.lock() {
        return Err(status);
    }
    let (number, ago) = *state.list_by.lock();
    let mut list = state.list.lock().clone();
    list.issued_at = state.clock.get().unwrap().now() - ago;
    list.expires_at = list.issued_at + Duration::from_mins(1);
    let key = ed25519(number);
    Ok(revocations::sign(&list, &key, key.algorithm()).unwrap().into_response())
}

async fn account(State(state): State<Arc<Shared>>, Path(name): Path<String>) -> Answer {
    state.note("account")?;
    let accounts = state.accounts.lock();
    let keys = accounts.get(&name).ok_or(StatusCode::NOT_FOUND)?;
    let mut set = set_of(keys);
    set["account_id"] = account_id(1).to_string().into();
    set["username"] = name.into();
    set["fingerprint"] = json!(*state.fingerprint.lock());
    set["scope"] = "read".into();
    Ok(axum::Json(set).into_response())
}

/// A text that has the form of a session.
pub(super) const SESSION: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Knows one session, [`SESSION`], and one signature, 64 zeros.
async fn whoami(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    state.note("whoami")?;
    let field = |name: &str| headers.get(name).map(axum::http::HeaderValue::as_bytes);
    let signature = base64::encode(&[0; 64]);
    let good = field("authorization") == Some(format!("SignJWT {SESSION}").as_bytes())
        && field("signed-message") == Some(signature.as_bytes());
    if !good {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let thumbprint = ed25519(2).public_key().thumbprint().to_string();
    let body = json!({
        "account_id": account_id(1).to_string(),
        "username": "alice",
        "credential": thumbprint,
        "thumbprint": thumbprint,
        "proof": "signjwt",
        "token_id": "session 1",
        "scopes": ["read"],
        "expires_at": 2_000_000_000,
    });
    Ok(([("signjwt-nonce", "next")], axum::Json(body)).into_response())
}

async fn introspect(State(state): State<Arc<Shared>>, body: String) -> Answer {
    state.note("introspect")?;
    assert!(body.contains("client_assertion=ey") && body.contains("token=ey"), "{body}");
    let active = state.active.load(SeqCst);
    Ok(axum::Json(json!({ "active": active, "jti": "token 1" })).into_response())
}
