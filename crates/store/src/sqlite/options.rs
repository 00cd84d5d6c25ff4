//! How to open a store.

use std::time::Duration;

use countersign_authority::model::audit::Administrator;
use countersign_protocol::UnixTime;

/// How long to wait for another process that is writing.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How to open a [`SqliteStore`](super::SqliteStore).
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// What to do when the file is missing or of an earlier version.
    pub mode: OpenMode,
    /// How many threads read. At least one.
    pub readers: usize,
    /// How many reads may wait.
    pub read_queue: usize,
    /// How many writes may wait.
    pub write_queue: usize,
    /// How long to wait for another process that is writing.
    pub busy_timeout: Duration,
    /// The current time, for rows that a migration writes.
    pub now: UnixTime,
    /// Whether this is the one server of the database: it keeps every other server out, and folds
    /// the log into the database.
    pub is_server: bool,
    /// Whether to open the database even if its write-ahead log is missing. Acknowledged changes
    /// may be lost then.
    pub accept_loss: bool,
    /// The administrator who opens the database: every audit event that is written names them.
    pub administrator: Option<Administrator>,
    /// How much of the disk, in bytes, is kept for changes that protect somebody. With less left,
    /// no account is made. 0 keeps nothing.
    pub disk_reserve: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            mode: OpenMode::CreateOrUpgrade,
            readers: 2,
            read_queue: 1024,
            write_queue: 4096,
            busy_timeout: BUSY_TIMEOUT,
            is_server: false,
            accept_loss: false,
            administrator: None,
            disk_reserve: 0,
            now: UnixTime::from_secs(0),
        }
    }
}

/// What to do when the database is missing or of an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create it (the directory with mode 0700, the file with 0600), or bring it up to date.
    CreateOrUpgrade,
    /// Bring it up to date, but refuse where there is none or an empty one: it was there before.
    Upgrade,
    /// Refuse both: for commands that must not change a database under a server of another version.
    Existing,
}
