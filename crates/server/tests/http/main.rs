//! The whole HTTP application, in process: one file for each part of the URL tree and for each rule
//! that holds across it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod audit;
mod dialects;
mod forward_auth;
mod http_semantics;
mod kinds;
mod limits;
mod oauth;
mod online_keyring;
mod ops;
mod passkeys;
mod standing;
mod support;
mod transport;
mod web;
mod who_may_do_what;
mod work;
