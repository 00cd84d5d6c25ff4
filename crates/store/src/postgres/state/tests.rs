//! State in the database keeps every rule for short-lived state, with two nodes on it.
//!
//! Needs a server: `scripts/with-postgres cargo nextest run -p countersign-store`.

mod databases;
mod forgetting;
mod limits;
mod rules;
