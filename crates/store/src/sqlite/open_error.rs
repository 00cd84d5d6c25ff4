//! Why a database is not opened, for the operator.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::{disk::Disk, files};

/// Why a database was not opened.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "`path` is the file that the message names")]
pub enum OpenError {
    /// An applied migration differs from the one that this program knows.
    #[error(
        "{}: its schema was made by a program that differs from this one in {migration}",
        path.display()
    )]
    AlteredMigration { path: PathBuf, migration: &'static str },
    /// The database is damaged: its pages contradict each other.
    #[error(
        "{}: the database is damaged ({reason}); keep the file and restore a backup",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    /// A SQLite database, but not ours.
    #[error("{}: this is a database of another program", path.display())]
    Foreign { path: PathBuf },
    /// A new one was to be made, but there is one.
    #[error("{}: there is a database already; start the server without --new", path.display())]
    Exists { path: PathBuf },
    /// There was a database, and now it is missing or empty.
    #[error(
        "{}: the database is gone{}. If `countersign admin move` has moved it, set database_url. Else put it back, with its -wal file if it has one, or restore a \
         backup with `countersign admin restore`. Only to begin anew, with no account and new \
         signing keys: `countersign serve --new`",
        path.display(),
        traces_text(traces)
    )]
    Gone { path: PathBuf, traces: Vec<PathBuf> },
    /// Another server works on it.
    #[error("{}: another server is running on this database", path.display())]
    InUse { path: PathBuf },
    /// The file or its directory cannot be used.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// There is no such file, and it was not to be created.
    #[error("{}: there is no database", path.display())]
    Missing { path: PathBuf },
    /// A later version of this program has written it.
    #[error(
        "{}: the database has schema version {found}, but this program knows only up to {known}; use a newer program",
        path.display()
    )]
    NewerSchema { path: PathBuf, found: u32, known: u32 },
    /// Its last server was killed or is still running, and its log is missing.
    #[error(
        "{}: {} is missing or empty. The server that used this database did not stop by itself, or \
         this is a bare copy of a database in use, so what was written last may be in that file \
         alone. Put it back beside the database, or restore a backup with `countersign admin \
         restore`. Only to go on without what is missing: `countersign serve --accept-loss`, once",
        path.display(),
        log.display()
    )]
    MissingLog { path: PathBuf, log: PathBuf },
    /// The file system cannot keep a write-ahead log, as some network file systems cannot.
    #[error(
        "{}: this file system does not support SQLite's write-ahead log; use a local one",
        path.display()
    )]
    NoWriteAheadLog { path: PathBuf },
    /// A file of another kind.
    #[error("{}: this is not a SQLite database", path.display())]
    NotADatabase { path: PathBuf },
    /// An earlier version of this program has written it, and it was not to be changed.
    #[error(
        "{}: the database has schema version {found} and needs {known}; start the server once to upgrade it",
        path.display()
    )]
    OlderSchema { path: PathBuf, found: u32, known: u32 },
    /// A restore was interrupted between moving the old files and the new one.
    #[error("{}: a restore was interrupted; run it again", path.display())]
    RestoreUnfinished { path: PathBuf },
    /// SQLite refused.
    #[error("{}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    /// SQLite refused, and the disk is to blame.
    #[error("{}: {source}; {trouble}", path.display())]
    Disk { path: PathBuf, source: rusqlite::Error, trouble: &'static str },
    /// The file that keeps others from opening the database at the same moment cannot be made.
    #[error("{}: {source}; {trouble}", path.display())]
    NoTurn { path: PathBuf, source: io::Error, trouble: &'static str },
    /// A log without which the database is not whole lies on a disk that cannot be written.
    #[error(
        "{}: its write-ahead log must be taken over first, and the disk is read-only: copy the \
         whole directory to another disk and name that with --data-dir",
        path.display()
    )]
    UnfoldedLog { path: PathBuf },
}

fn traces_text(traces: &[PathBuf]) -> String {
    let traces: Vec<_> = traces.iter().map(|path| path.display().to_string()).collect();
    match traces.as_slice() {
        [] => String::new(),
        [trace] => format!(", though it was there: {trace} is still here"),
        traces => format!(", though it was there: {} are still here", traces.join(" and ")),
    }
}

/// The meaning of an SQLite error while the database at `path` is being opened.
pub(super) fn classify(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, reason: source.to_string() },
        _ => match Disk::of(files::directory_of(&path)).ok().and_then(|disk| disk.trouble()) {
            Some(trouble) => OpenError::Disk { path, source, trouble },
            None => OpenError::Sqlite { path, source },
        },
    }
}
