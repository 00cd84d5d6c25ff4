//! Opening the database: what it may be, what it may not, and what to tell the operator.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64},
    },
    time::Duration,
};

use countersign_authority::ports::StoreError;
use rusqlite::{Connection, ErrorCode, config::DbConfig};
use thiserror::Error;

use super::{
    Disk, InstallationId, LogReport, OpenMode, SqliteOptions, SqliteStore, acting,
    connection::{Access, connect, connect_immutable},
    files, installation,
    lock::is_locked,
    log,
    place::Place,
    restore,
    schema::{self, Identity},
    serving,
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
    /// A new one was to be made, but there is one.
    #[error("{}: there is a database already; start the server without --new", path.display())]
    Exists { path: PathBuf },
    /// There was a database, and it is not there or has nothing in it.
    #[error(
        "{}: the database is gone{}. Put it back, with its -wal file if it has one, or restore a \
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
    /// The server that used it was killed, or runs, and the log beside it is not there.
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
        traces => format!(", though it was there: {} is still here", traces.join(" and ")),
    }
}

pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let path = std::path::absolute(path)
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let failed = |error| classify(&path, error);
    let started = |source| OpenError::Io { path: path.clone(), source };

    let _turn = enter(&path, options.mode)?;
    // Nobody begins to serve while this has its turn.
    let is_served =
        is_locked(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    let lacked_log = !is_served && check_log(&path, options)?;
    if options.mode == OpenMode::Existing && Disk::of(&path).is_ok_and(|disk| disk.is_read_only) {
        return open_read_only(&path, options);
    }
    // Before any connection: closing a descriptor of the file takes the locks of all away.
    let claim = options.is_server.then(|| claim(&path)).transpose()?;
    let log = if options.is_server { inspect_log(&path) } else { LogReport::default() };
    let mut writer = connect(&path, Access::Write, options.busy_timeout).map_err(failed)?;
    prepare(&mut writer, &path, options)?;
    if options.is_server {
        serving::begin(&writer).map_err(failed)?;
        // Until a stop in good order.
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    } else {
        // Beside a server the log is the server's, also if that is killed first.
        serving::settle(&writer, !is_served);
    }
    if let Some(administrator) = &options.administrator {
        acting::act_as(&writer, administrator).map_err(failed)?;
    }
    let data_version = watch::data_version(&writer).map_err(failed)?;
    let connect_readers = |count: usize, access| {
        let connections = (0..count).map(|_| connect(&path, access, options.busy_timeout));
        connections.collect::<Result<Vec<_>, _>>().map_err(failed)
    };
    let readers = connect_readers(options.readers.max(1), Access::Read)?;
    let folders = connect_readers(usize::from(options.is_server), Access::Write)?;
    let installation = read_installation(&writer, &path)?;
    let place = Arc::new(Place::of(&path));
    Ok(SqliteStore {
        readers: Threads::readers("sqlite-reader", options.read_queue, readers).map_err(started)?,
        folder: match folders {
            folders if folders.is_empty() => None,
            folders => Some(Threads::readers("sqlite-folder", 1, folders).map_err(started)?),
        },
        writer: Writer::start(writer, Arc::clone(&place), options.write_queue, options.is_server)
            .map_err(started)?,
        _claim: claim,
        data_version: AtomicI64::new(data_version),
        busy_timeout: options.busy_timeout,
        stopwatch: OnceLock::new(),
        reserve: options.disk_reserve,
        log_is_large: AtomicBool::new(false),
        installation,
        log,
        lacked_log,
        place,
        path: path.clone(),
    })
}

/// Opens a database on a disk on which nothing can be written: whatever only reads works.
fn open_read_only(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let failed = |error| classify(path, error);
    let started = |source| OpenError::Io { path: path.to_owned(), source };
    let mut connections = Vec::new();
    for _ in 0..=options.readers.max(1) {
        connections.push(connect_to_read(path, options.busy_timeout)?);
    }
    let writer = connections.remove(0);
    check_identity(&writer, path, OpenMode::Existing)?;
    check_pages(&writer, path)?;
    check_migrations(&writer, path)?;
    let data_version = watch::data_version(&writer).map_err(failed)?;
    let installation = read_installation(&writer, path)?;
    let place = Arc::new(Place::of(path));
    let readers = Threads::readers("sqlite-reader", options.read_queue, connections);
    Ok(SqliteStore {
        readers: readers.map_err(started)?,
        folder: None,
        writer: Writer::start(writer, Arc::clone(&place), options.write_queue, false)
            .map_err(started)?,
        _claim: None,
        data_version: AtomicI64::new(data_version),
        busy_timeout: options.busy_timeout,
        stopwatch: OnceLock::new(),
        reserve: 0,
        log_is_large: AtomicBool::new(false),
        log: LogReport::default(),
        lacked_log: false,
        installation,
        place,
        path: path.to_owned(),
    })
}

/// Connects to read, also where SQLite cannot make the files that it wants beside the database.
pub(super) fn connect_to_read(
    path: &Path,
    busy_timeout: Duration,
) -> Result<Connection, OpenError> {
    let failed = |error| classify(path, error);
    if !Disk::of(path).is_ok_and(|disk| disk.is_read_only) {
        return connect(path, Access::Read, busy_timeout).map_err(failed);
    }
    if files::length(&files::with_suffix(path, "-wal")) == 0 {
        return connect_immutable(path).map_err(failed);
    }
    // It has a log, which counts; SQLite reads it if the index of the log is there as well.
    let works = |connection: &Connection| schema::identify(connection).is_ok();
    let connection = connect(path, Access::Read, busy_timeout).map_err(failed)?;
    works(&connection).then_some(connection).ok_or(OpenError::UnfoldedLog { path: path.to_owned() })
}

/// Keeps every other server out of the database, also one that finds no `server.lock`.
fn claim(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Refuses a database without the log that belongs to it, unless that is accepted. Whether it is.
fn check_log(path: &Path, options: &SqliteOptions) -> Result<bool, OpenError> {
    if !serving::lacks_its_log(path) {
        return Ok(false);
    }
    let log = files::with_suffix(path, "-wal");
    if !options.accept_loss {
        return Err(OpenError::MissingLog { path: path.to_owned(), log });
    }
    tracing::error!(
        log = %log.display(),
        "the write-ahead log is missing: what was acknowledged last may be LOST, and that was \
         accepted (--accept-loss)"
    );
    Ok(true)
}

/// Looks what SQLite will pass over in the log, and says it.
fn inspect_log(path: &Path) -> LogReport {
    let report = log::inspect(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "the write-ahead log could not be looked through");
        LogReport::default()
    });
    let LogReport { frames, dropped_frames, dropped_transactions } = report;
    if dropped_transactions > 0 {
        tracing::error!(
            frames,
            dropped_frames,
            dropped_transactions,
            "the write-ahead log is damaged: what follows the damage was DROPPED, and may have been \
             acknowledged. Compare with a backup, and look after the disk"
        );
    }
    report
}

/// Folds the write-ahead log into the database, as far as nobody still reads it. Whether all of it
/// was folded.
pub(super) fn fold(connection: &Connection, how: &'static str) -> rusqlite::Result<bool> {
    let pragma = format!("PRAGMA wal_checkpoint({how})");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (is_busy, frames, folded): (bool, i64, i64) = connection.query_row(&pragma, [], row)?;
    Ok(!is_busy && frames == folded)
}

fn read_installation(connection: &Connection, path: &Path) -> Result<InstallationId, OpenError> {
    installation::read(connection).map_err(|error| OpenError::Damaged {
        path: path.to_owned(),
        reason: StoreError::from(error).to_string(),
    })
}

/// Waits for its turn, which lasts until the result is dropped, and makes an empty file if there
/// may be a new one.
fn enter(path: &Path, mode: OpenMode) -> Result<Option<File>, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let directory = files::directory_of(path);
    let is_missing = || path.try_exists().map(|exists| !exists).map_err(failed);
    if mode == OpenMode::CreateOrUpgrade {
        files::create_private_dir(directory).map_err(failed)?;
    } else if is_missing()? && !restore::is_unfinished(path) {
        return Err(missing(path, mode));
    }
    let turn = files::take_turn(path).map_err(|source| match Disk::of(directory) {
        Ok(disk) => match disk.trouble() {
            Some(trouble) => OpenError::NoTurn { path: path.to_owned(), source, trouble },
            None => failed(source),
        },
        Err(_) => failed(source),
    })?;
    if restore::is_unfinished(path) {
        return Err(OpenError::RestoreUnfinished { path: path.to_owned() });
    }
    // SQLite would delete a log that lies beside an empty database.
    let log = files::with_suffix(path, "-wal");
    if files::length(path) == 0 && files::length(&log) > 0 {
        return Err(OpenError::Gone { path: path.to_owned(), traces: vec![log] });
    }
    if mode == OpenMode::CreateOrUpgrade && is_missing()? {
        // SQLite fills an empty file as if it had created it.
        files::create_private_file(path)
            .and_then(|file| files::give_to_owner_of(directory, &file))
            .and_then(|()| files::sync_dir(directory))
            .map_err(failed)?;
    }
    Ok(turn)
}

/// What to say of a database that is not there.
fn missing(path: &Path, mode: OpenMode) -> OpenError {
    match mode {
        OpenMode::Upgrade => OpenError::Gone { path: path.to_owned(), traces: Vec::new() },
        OpenMode::CreateOrUpgrade | OpenMode::Existing => {
            OpenError::Missing { path: path.to_owned() }
        }
    }
}

/// Makes sure that the database is ours, whole and of this version. What it refuses, it has not
/// changed.
fn prepare(
    connection: &mut Connection,
    path: &Path,
    options: &SqliteOptions,
) -> Result<(), OpenError> {
    let identity = check_identity(connection, path, options.mode)?;
    check_pages(connection, path)?;
    use_write_ahead_log(connection, path)?;
    if identity != Identity::Ours(schema::VERSION) {
        schema::upgrade(connection, options.now).map_err(|error| classify(path, error))?;
    }
    check_migrations(connection, path)
}

fn check_identity(
    connection: &Connection,
    path: &Path,
    mode: OpenMode,
) -> Result<Identity, OpenError> {
    let known = schema::VERSION;
    let identity = schema::identify(connection).map_err(|error| classify(path, error))?;
    match (identity, mode) {
        (Identity::Foreign, _) => Err(OpenError::Foreign { path: path.to_owned() }),
        (Identity::Ours(found), _) if found > known => {
            Err(OpenError::NewerSchema { path: path.to_owned(), found, known })
        }
        (Identity::Empty, OpenMode::Existing | OpenMode::Upgrade) => Err(missing(path, mode)),
        (Identity::Ours(found), OpenMode::Existing) if found < known => {
            Err(OpenError::OlderSchema { path: path.to_owned(), found, known })
        }
        (Identity::Empty | Identity::Ours(_), _) => Ok(identity),
    }
}

fn check_migrations(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match schema::altered(connection, schema::VERSION) {
        Ok(None) => Ok(()),
        Ok(Some(migration)) => {
            Err(OpenError::AlteredMigration { path: path.to_owned(), migration })
        }
        Err(error) => Err(classify(path, error)),
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
        _ => match Disk::of(files::directory_of(&path)).ok().and_then(|disk| disk.trouble()) {
            Some(trouble) => OpenError::Disk { path, source, trouble },
            None => OpenError::Sqlite { path, source },
        },
    }
}
