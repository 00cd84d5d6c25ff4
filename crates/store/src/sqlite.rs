//! The durable ports in one SQLite file.
//!
//! A [`SqliteStore`] has threads of its own. One of them writes: it runs all writes that wait and
//! commits them together, so that one `fsync` serves many callers (group commit). A write that
//! returned `Ok` is on disk. A few more threads read, each with its own connection. Queues are
//! bounded: when one is full, the call fails as unavailable.
//!
//! Other processes may use the file at the same time; only one of them may be a server, which a
//! [`ServerLock`] ensures.

mod acting;
mod backup;
mod connection;
pub(crate) mod disk;
mod files;
mod installation;
mod installation_in_file;
mod lock;
mod log;
mod open;
mod open_error;
mod options;
mod place;
mod readers;
mod restore;
mod row;
mod schema;
mod serving;
mod staged;
mod store;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

/// A database of the present version, with nothing in it.
#[cfg(test)]
pub(crate) fn empty_database() -> rusqlite::Connection {
    let mut connection = rusqlite::Connection::open_in_memory().unwrap();
    schema::upgrade(&mut connection, countersign_protocol::UnixTime::EPOCH).unwrap();
    connection
}

use crate::{error, installation_id, job, rows, threads};

pub(crate) use self::place::Misplaced;
pub use self::{
    backup::{BackupError, DatabaseSummary, verify_backup},
    disk::{Disk, give_up_ballast},
    files::create_private_dir,
    installation::{Presence, make_room, presence, set_aside_moved},
    installation_in_file::installation_in_file,
    lock::{LockError, Memory, ServerLock},
    log::{LogReport, inspect as inspect_log},
    open_error::OpenError,
    options::{OpenMode, SqliteOptions},
    restore::{RestoreError, Restored, restore},
    store::{Sqlite, SqliteStore},
    writer::Statistics,
};
