//! The durable ports in one SQLite file.
//!
//! A [`SqliteStore`] has threads of its own. One of them writes: it runs all writes that wait and
//! commits them together, so that one `fsync` serves many callers (group commit). A write that
//! returned `Ok` is on disk. A few more threads read, each with its own connection. Queues are
//! bounded: when one is full, the call fails as unavailable.
//!
//! Other processes may use the file at the same time; only one of them may be a server, which a
//! [`ServerLock`] ensures.

mod accounts;
mod acting;
mod assertions;
mod audit;
mod backup;
mod browsers;
mod claims;
mod connection;
mod credentials;
mod disk;
mod error;
mod files;
mod installation;
mod installation_id;
mod invitations;
mod issuer;
mod job;
mod keyring_growth;
mod keyring_history;
mod keyring_rows;
mod keyrings;
mod live_keys;
mod lock;
mod log;
mod logins;
mod open;
mod open_error;
mod options;
mod passkey_records;
mod passkeys;
mod passwords;
mod permitted;
mod place;
mod places;
mod pruning;
mod readers;
mod restore;
mod revocations;
mod room_for_browsers;
mod rows;
mod schema;
mod server_keys;
mod serving;
mod signing_keys;
mod staged;
mod store;
mod threads;
mod upkeep;
mod vault;
mod writer;

#[cfg(test)]
mod tests;

pub use self::{
    backup::{BackupError, DatabaseSummary, verify_backup},
    disk::{Disk, give_up_ballast},
    files::create_private_dir,
    installation::{Presence, make_room, presence},
    installation_id::{InstallationId, InvalidInstallationId, installation_in_file},
    lock::{LockError, Memory, ServerLock},
    log::{LogReport, inspect as inspect_log},
    open_error::OpenError,
    options::{OpenMode, SqliteOptions},
    restore::{RestoreError, Restored, restore},
    store::{Operation, SqliteStore},
    writer::Statistics,
};
