//! The dialects *signjwt* and *self-signed* in process: what takes a clock, a restart, an
//! administrator or a look into the audit trail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod self_signed;
mod server;
mod signjwt;
