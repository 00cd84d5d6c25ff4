//! The whole HTTP application, in process: one file for each part of the URL tree and for each rule
//! that holds across it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account_jwks;
mod accounts;
mod audit;
mod client_authentication;
mod dialects;
mod enrolment;
mod events;
mod forward_auth;
mod health;
mod http_semantics;
mod introspect;
mod jwks;
mod keys;
mod limits;
mod logs;
mod metadata;
mod openapi;
mod outages;
mod page;
mod recover;
mod registered_keys;
mod restart;
mod revocations;
mod revoke;
mod session_keys;
mod standing;
mod step_up;
mod support;
mod token;
mod token_refusals;
mod transport;
mod who_may_do_what;
mod whoami;
mod work;
