//! What the tests of every crate share: a clock that stands still, randomness that repeats itself,
//! keys, sample data, and the suite that every durable store must pass.
//!
//! It is for tests only, so it fails by panicking.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod authenticator;
pub mod clock;
pub mod forgetful_log;
pub mod held;
pub mod keys;
pub mod limiters;
pub mod random;
mod rules;
pub mod samples;
pub mod state_conformance;
pub mod store_conformance;
pub mod store_parts;
