//! Guards a service by what an authentication server elsewhere publishes.
//!
//! ```text
//! issuer ── metadata, JWKS, feed of revocations, account keys ──▶ this crate ──▶ Guard ──▶ service
//! ```
//!
//! [`ResourceServer`] says who the issuer is, under which origin clients reach the service, and which
//! proofs count; [`ResourceServer::start`] gives a [`RemoteGuard`]. Requests are verified here, with
//! keys that were fetched before; the issuer is asked for nothing while they last. What was revoked
//! there is refused here within a lag that the settings bound, and the service goes on for a bounded
//! time while the issuer cannot be reached.
//!
//! Every check is that of `countersign-guard`; this crate only makes its ports real.

mod account_keys;
mod introspection;
mod issuer;
mod jwks;
mod replay_log;
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

pub use crate::replay_log::MemoryReplayLog;
pub use crate::resource_server::{NotStarted, RemoteGuard, ResourceServer};
pub use crate::shared_state::SharedStateError;
pub use crate::single_use::SharedState;

#[cfg(test)]
mod tests;
