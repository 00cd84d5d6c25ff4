//! The guard, from a request to a principal or a refusal, with ports that live in memory.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod bearer;
mod caches;
mod credentials;
mod layer;
mod logins;
mod outages;
mod proofs;
mod replay;
mod self_signed;
mod signed_message;
mod tokens;
mod world;
