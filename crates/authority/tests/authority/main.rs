//! The authority's rules that are hard to reach over HTTP: time that passes for a year, stores that
//! fail at the wrong moment, races, and whose allowance an act uses up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod administration;
mod caller;
mod key_schedule;
mod limits;
mod login;
mod maintenance;
mod revocation_feed;
mod rotation;
mod signing_keys;
mod staleness;
mod support;
mod trails;
mod unknown_kid;
mod vault;
