//! The dialects: what takes a clock, a restart, an administrator, a count of work or a look into the
//! audit trail.

mod claims;
mod content_types;
mod gradecoin;
mod invited;
mod jwks_server;
mod passwordless;
mod self_signed;
mod server;
mod signjwt;
mod switches;
