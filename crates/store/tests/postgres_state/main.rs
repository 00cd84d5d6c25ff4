//! Short-lived state in PostgreSQL goes on through what happens to connections and servers, and accepts nothing
//! twice; and the store hears what was changed, whatever happens to the server. Each test starts a server of its
//! own.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
mod crashes;
mod losses;
mod nodes;
mod replaced;
mod rivals;
mod server;
mod stalled;
