//! How to open a store.

use countersign_authority::model::audit::Administrator;
use countersign_protocol::UnixTime;

/// How to open a [`PostgresStore`](super::PostgresStore).
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// What to do when the database is empty or of an earlier version.
    pub mode: SchemaMode,
    /// How many threads write, each with a connection of its own. At least one.
    pub writers: usize,
    /// How many threads read few rows, each with a connection of its own. At least one. Three more read the
    /// audit trail, what the server needs for its own safety, and whole tables.
    pub readers: usize,
    /// How many reads of each kind may wait.
    pub read_queue: usize,
    /// How many writes may wait.
    pub write_queue: usize,
    /// Whether statements are prepared on the server, which saves it work. Not through a pooler that gives
    /// each transaction another connection and does not know prepared statements, such as pgbouncer before
    /// 1.21.
    pub prepared: bool,
    /// Whether a database is accepted that may lose acknowledged changes when its server fails: its
    /// standbys do not have them yet, or it does not wait for its disk.
    pub allow_asynchronous: bool,
    /// The administrator who opens the database: every audit event that is written names them.
    pub administrator: Option<Administrator>,
    /// The current time, for rows that a migration writes.
    pub now: UnixTime,
    /// A number that other servers on the database do not have, such as a random one. By it the moments
    /// differ at which they try to connect anew.
    pub spread: u64,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            mode: SchemaMode::Existing,
            writers: 8,
            readers: 4,
            read_queue: 1024,
            write_queue: 4096,
            prepared: true,
            allow_asynchronous: false,
            administrator: None,
            now: UnixTime::from_secs(0),
            spread: 0,
        }
    }
}

/// What to do when the database is empty or of an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaMode {
    /// Make the tables, or bring them up to date. For one command of an administrator: of several servers
    /// that start at once none should.
    CreateOrUpgrade,
    /// Bring the tables up to date, but refuse where there are none.
    Upgrade,
    /// Refuse both, unless this program can work with the version that is there.
    Existing,
}
