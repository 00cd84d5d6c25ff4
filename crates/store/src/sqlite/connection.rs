//! One connection to the file, set up as this store needs it.

use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::files;

/// The statements of this crate, with room for the combinations of audit filters.
const CACHED_STATEMENTS: usize = 128;
/// The largest size of the page caches of a writing and of a reading connection, in KiB. It is
/// enough for the inner pages of all indexes on millions of keys, and for the rows in use. A larger
/// cache for the writer costs more than it saves: whenever a page was split, the commit walks
/// through the whole cache.
const WRITE_CACHE_KIB: i64 = 15 << 10;
const READ_CACHE_KIB: i64 = 16 << 10;
/// After that many pages (32 MiB) the write-ahead log is folded into the database, which costs the
/// commit that does it some milliseconds. A batch of writes can touch a thousand pages.
const CHECKPOINT_PAGES: i64 = 8192;
/// The write-ahead log is cut back to this size, in bytes, when it has grown beyond it.
pub(super) const MAX_LOG_BYTES: i64 = 64 << 20;

/// What a connection may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Connects to the existing file at `path`, which must be absolute: SQLite takes a relative path
/// that begins with `file:` for a URI.
pub(super) fn connect(
    path: &Path,
    access: Access,
    busy_timeout: Duration,
) -> rusqlite::Result<Connection> {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    // Checked first, because SQLite would make an empty file.
    let has_log = files::length(&files::with_suffix(path, "-wal")) > 0;
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Closing the database must not touch its log before the database is known to be intact.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    set_up(connection, access, busy_timeout)
}

/// Connects to a file that nobody can change, because its file system is read-only. SQLite needs
/// no files beside it then, and could not make them.
pub(super) fn connect_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    let connection = Connection::open_with_flags(uri, flags)?;
    set_up(connection, Access::Read, Duration::ZERO)
}

fn set_up(
    connection: Connection,
    access: Access,
    busy_timeout: Duration,
) -> rusqlite::Result<Connection> {
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Without it, SQLite plans some queries anew for every value that is bound to them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // A negative number of pages is a number of KiB.
    let cache = if access == Access::Write { WRITE_CACHE_KIB } else { READ_CACHE_KIB };
    connection.pragma_update(None, "cache_size", -cache)?;
    if access == Access::Write {
        // Every commit reaches the disk before it is acknowledged.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "secure_delete", "fast")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
    }
    Ok(connection)
}

/// Folds the write-ahead log into the database, except for the part that somebody still reads.
/// Returns whether all of it was folded.
pub(super) fn fold(connection: &Connection, how: &'static str) -> rusqlite::Result<bool> {
    let pragma = format!("PRAGMA wal_checkpoint({how})");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (is_busy, frames, folded): (bool, i64, i64) = connection.query_row(&pragma, [], row)?;
    Ok(!is_busy && frames == folded)
}

/// A number that changes whenever another connection commits.
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<u64> {
    let number: u32 =
        connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    Ok(number.into())
}
