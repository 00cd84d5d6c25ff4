//! Guards a service with the keys and revocations that an authentication server elsewhere
//! publishes.
//!
//! ```text
//! issuer ── metadata, JWKS, feed of revocations, account keys ──▶ this crate ──▶ Guard ──▶ service
//! ```
//!
//! [`ResourceServer`] says who the issuer is, under which origin clients reach the service, and which
//! proofs count; [`ResourceServer::start`] gives a [`RemoteGuard`].
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use countersign_remote::{ResourceServer, protocol::Principal};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let guard = ResourceServer::new("http://localhost:8080", "http://127.0.0.1:8000")?.start()?;
//!     let app = Router::new()
//!         .route("/items", get(whoami).layer(guard.layer()))
//!         .route("/admin", get(whoami).layer(guard.layer().require_scopes("admin".parse()?)));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//!
//! async fn whoami(Extension(principal): Extension<Principal>) -> String {
//!     let name = principal.username.map_or_else(|| "nobody".to_owned(), |name| name.to_string());
//!     format!("hello {name}")
//! }
//! ```
//!
//! Requests are verified in this process, with keys that were fetched before; the issuer is not
//! asked while these are fresh. Whatever the issuer revokes is refused here within a lag that the
//! settings bound. While the issuer cannot be reached, the service goes on for a bounded time.
//!
//! `countersign-guard` makes every check; this crate only implements its ports.

mod account_keys;
mod introspection;
mod issuer;
mod jwks;
mod nonce_key;
mod remote_guard;
mod resource_server;
mod revocations;
mod sessions;
mod shared_state;
mod single_use;
mod standing;
mod upkeep;

pub use countersign_client::TransportOptions;
pub use countersign_guard as guard;
pub use countersign_protocol as protocol;
pub use countersign_protocol::replay::MemoryReplayLog;

pub use crate::remote_guard::RemoteGuard;
pub use crate::resource_server::{NotStarted, ResourceServer};
pub use crate::shared_state::SharedStateError;
pub use crate::single_use::SharedState;

#[cfg(test)]
mod tests;
