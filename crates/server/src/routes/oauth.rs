//! OAuth 2.0: tokens, and what clients and resource servers must know for them.

mod client;
pub(super) mod introspect;
pub(super) mod jwks;
pub(super) mod metadata;
pub(super) mod revoke;
pub(super) mod token;
