//! Opening the database: what it may be, what it may not, and what to tell the operator.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{OnceLock, atomic::AtomicI64},
};

use rusqlite::{Connection, ErrorCode};
use thiserror::Error;

use super::{
    OpenMode, SqliteOptions, SqliteStore,
    connection::{Access, connect},
    files, restore,
    schema::{self, Identity},
    threads::Threads,
    watch,
    writer::Writer,
};

/// A file up to this size, in bytes, is checked page by page whenever it is opened (0.1 s or less).
const CHECKED_WHEN_OPENED: u64 = 64 << 20;

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
    /// Its pages contradict each other.
    #[error(
        "{}: the database is damaged ({reason}); keep the file and restore a backup",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    /// A SQLite database, but not ours.
    #[error("{}: this is a database of another program", path.display())]
    Foreign { path: PathBuf },
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
}

pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let path = std::path::absolute(path)
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let failed = |error| classify(&path, error);
    let started = |source| OpenError::Io { path: path.clone(), source };

    let _turn = enter(&path, options.mode)?;
    let mut writer = connect(&path, Access::Write, options.busy_timeout).map_err(failed)?;
    prepare(&mut writer, &path, options)?;
    let data_version = watch::data_version(&writer).map_err(failed)?;
    let readers = (0..options.readers.max(1))
        .map(|_| connect(&path, Access::Read, options.busy_timeout))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    Ok(SqliteStore {
        readers: Threads::readers(options.read_queue, readers).map_err(started)?,
        writer: Writer::start(writer, options.write_queue).map_err(started)?,
        path: path.clone(),
        data_version: AtomicI64::new(data_version),
        busy_timeout: options.busy_timeout,
        stopwatch: OnceLock::new(),
    })
}

/// Waits for its turn, which lasts until the result is dropped, and makes an empty file if there
/// may be a new one.
fn enter(path: &Path, mode: OpenMode) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let directory = files::directory_of(path);
    if mode == OpenMode::CreateOrUpgrade {
        files::create_private_dir(directory).map_err(failed)?;
    } else if !path.try_exists().map_err(failed)? && !restore::is_unfinished(path) {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let turn = files::take_turn(path).map_err(failed)?;
    if restore::is_unfinished(path) {
        return Err(OpenError::RestoreUnfinished { path: path.to_owned() });
    }
    if mode == OpenMode::CreateOrUpgrade && !path.try_exists().map_err(failed)? {
        // SQLite fills an empty file as if it had created it.
        files::create_private_file(path)
            .and_then(|file| files::give_to_owner_of(directory, &file))
            .and_then(|()| files::sync_dir(directory))
            .map_err(failed)?;
    }
    Ok(turn)
}

/// Makes sure that the database is ours, whole and of this version. What it refuses, it has not
/// changed.
fn prepare(
    connection: &mut Connection,
    path: &Path,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let failed = |error| classify(path, error);
    let known = schema::VERSION;
    let identity = schema::identify(connection).map_err(failed)?;
    match (identity, options.mode) {
        (Identity::Foreign, _) => return Err(OpenError::Foreign { path: path.to_owned() }),
        (Identity::Ours(found), _) if found > known => {
            return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
        }
        (Identity::Empty, OpenMode::Existing) => {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        (Identity::Ours(found), OpenMode::Existing) if found < known => {
            return Err(OpenError::OlderSchema { path: path.to_owned(), found, known });
        }
        (Identity::Empty | Identity::Ours(_), _) => {}
    }
    check_pages(connection, path)?;
    use_write_ahead_log(connection, path)?;
    if identity != Identity::Ours(known) {
        schema::upgrade(connection, options.now).map_err(failed)?;
    }
    match schema::altered(connection, known) {
        Ok(None) => Ok(()),
        Ok(Some(migration)) => {
            Err(OpenError::AlteredMigration { path: path.to_owned(), migration })
        }
        Err(error) => Err(failed(error)),
    }
}

fn check_pages(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let size =
        path.metadata().map_err(|source| OpenError::Io { path: path.to_owned(), source })?.len();
    if size > CHECKED_WHEN_OPENED {
        return Ok(());
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| classify(path, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(OpenError::Damaged { path: path.to_owned(), reason: verdict.replace('\n', " ") })
}

fn use_write_ahead_log(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(|error| classify(path, error))?;
    if mode == "wal" { Ok(()) } else { Err(OpenError::NoWriteAheadLog { path: path.to_owned() }) }
}

/// What an error of SQLite means while the database at `path` is being opened.
pub(super) fn classify(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, reason: source.to_string() },
        _ => OpenError::Sqlite { path, source },
    }
}
