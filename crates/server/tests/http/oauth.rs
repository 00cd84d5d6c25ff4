//! Tokens, and what clients and resource servers must know for them.

mod client_authentication;
mod introspect;
mod jwks;
mod metadata;
mod revoke;
mod session_keys;
mod token;
mod token_refusals;
