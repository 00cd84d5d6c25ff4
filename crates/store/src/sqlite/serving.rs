//! Notices that a database lacks the write-ahead log of a server that was killed.
//!
//! Between two folds, acknowledged changes are only in the log, and SQLite opens a database without
//! its log as if there had never been one. So the database file carries a mark while a server uses
//! it. Two rules make sure that a marked file without a log means a loss and nothing else:
//!
//! - The mark comes into the file by folding a log that is on the disk, and that stays there.
//! - A log is emptied or removed only after the mark's removal was written to the log and folded
//!   into the file.
//!
//! A loss of power breaks neither: SQLite syncs the log (and its name) before it folds it, and the
//! file before it empties the log.

use std::path::Path;

use rusqlite::{Connection, config::DbConfig};

use super::{
    connection::{connect_immutable, fold},
    files,
};

/// Whether the file at `database` was marked and has no log: something that was acknowledged may be
/// missing. It changes nothing.
pub(super) fn lacks_its_log(database: &Path) -> bool {
    if files::length(&files::with_suffix(database, "-wal")) > 0 || files::length(database) == 0 {
        return false;
    }
    // A file that cannot be read has no mark. Opening it will say why it cannot be read.
    connect_immutable(database).and_then(|file| is_marked(&file)).unwrap_or(false)
}

fn is_marked(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT is_served FROM serving", [], |row| row.get(0))
}

/// Folds the log into the database, and marks the database durably for the starting server.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    unmark(connection)?;
    fold(connection, "TRUNCATE")?;
    connection.execute("UPDATE serving SET is_served = 1", [])?;
    // A concurrent reader may keep the mark out of the file; housekeeping folds it a little later.
    fold(connection, "PASSIVE").map(drop)
}

/// Removes the mark, if there is one.
pub(super) fn unmark(connection: &Connection) -> rusqlite::Result<()> {
    if is_marked(connection)? {
        connection.execute("UPDATE serving SET is_served = 0", [])?;
    }
    Ok(())
}

/// Prepares `connection`, the last one of a store, for its end: its log may be folded and removed if
/// nobody needs it any more. Otherwise the log stays, and the next start takes it over.
pub(super) fn settle(connection: &Connection, is_in_order: bool) {
    let unmarked = is_in_order
        && unmark(connection)
            .inspect_err(|error| tracing::warn!(%error, "the log of the database stays beside it"))
            .is_ok();
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    if let Err(error) = connection.set_db_config(keep_log, !unmarked) {
        tracing::warn!(%error, "SQLite did not take a setting");
    }
}
