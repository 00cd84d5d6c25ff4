//! An API in axum behind the guard: `/items` is for everyone who logged in, `/admin` for those with
//! the scope `admin`, `/payments` for those who logged in with a passkey within five minutes, `/open`
//! for all.

use std::{env, error::Error, time::Duration};

use axum::{
    Extension, Json, Router,
    routing::{any, get, post},
};
use countersign_remote::{
    ResourceServer,
    guard::{METADATA_PATH, SelfSignedPolicy},
    protocol::{AuthenticationClass, Principal},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("ISSUER", "http://localhost:8080");
    let origin = setting("ORIGIN", "http://127.0.0.1:8000");

    let guard = ResourceServer::new(&issuer, &origin)?
        .accept_self_signed(SelfSignedPolicy::default())
        .accept_signed_messages()
        .scopes_supported(["admin"])
        .start()?;
    let metadata = guard.metadata();
    let payers = guard
        .layer()
        .require_acr(AuthenticationClass::PhishingResistant)
        .max_age(Duration::from_mins(5));
    let app = Router::new()
        .route("/items", any(whoami).layer(guard.layer()))
        .route("/admin", get(whoami).layer(guard.layer().require_scopes("admin".parse()?)))
        .route("/payments", post(whoami).layer(payers))
        .route("/open", get(|| async { "open to all" }))
        .route(METADATA_PATH, get(|| async { Json(metadata) }));

    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:8000")).await?;
    println!("listening on {}, for {origin}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// The guard has put the principal into the request.
async fn whoami(Extension(principal): Extension<Principal>) -> Json<Value> {
    Json(json!({
        "account_id": principal.account_id,
        "username": principal.username.map(|name| name.to_string()),
        "thumbprint": principal.key.map(|key| key.thumbprint.to_string()),
        "proof": principal.proof,
        "scopes": principal.scopes.iter().collect::<Vec<_>>(),
    }))
}
