//! Opens the database. Says what is wrong with a file that it refuses, for the operator.

use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use countersign_authority::ports::StoreError;
use rusqlite::{Connection, config::DbConfig};

use super::{
    acting,
    connection::{Access, connect, connect_immutable},
    disk::Disk,
    files,
    installation_id::{self, InstallationId},
    lock::is_locked,
    log::{self, LogReport},
    open_error::{OpenError, classify},
    options::{OpenMode, SqliteOptions},
    place::Place,
    readers::Readers,
    schema::{self, Identity},
    serving, staged,
    store::{Sqlite, SqliteStore},
    threads::Threads,
    writer::Writer,
};
use crate::{operation::Stopwatch, stored::Stored};

/// A file up to this size, in bytes, is checked page by page whenever it is opened (0.1 s or less).
const CHECKED_WHEN_OPENED: u64 = 64 << 20;

impl SqliteStore {
    /// Opens the database at `path`. Blocks while it reads and, if need be, creates the file.
    ///
    /// # Errors
    /// [`OpenError`] names the file and says what is wrong with it. A file that is not ours, of a
    /// later version or damaged stays as it is.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        open(path, options)
    }
}

fn open(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let path = std::path::absolute(path)
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let failed = |error| classify(&path, error);
    let unusable = |source| OpenError::Io { path: path.clone(), source };

    let _turn = enter(&path, options.mode)?;
    // No server can start while this process holds the turn.
    let is_served = is_locked(&path).map_err(unusable)?;
    let lacked_log = !is_served && check_log(&path, options)?;
    if options.mode == OpenMode::Existing && Disk::of(&path).is_ok_and(|disk| disk.is_read_only) {
        return open_read_only(&path, options);
    }
    // Before any connection: closing a descriptor of the file releases all locks on it.
    let claim = options.is_server.then(|| claim(&path)).transpose()?;
    let log = if options.is_server { inspect_log(&path) } else { LogReport::default() };
    let mut writer = connect(&path, Access::Write, options.busy_timeout).map_err(failed)?;
    prepare(&mut writer, &path, options)?;
    if options.is_server {
        serving::begin(&writer).map_err(failed)?;
        // The mark stays until a clean stop.
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    } else {
        // While a server runs, the log belongs to the server, even if the server is killed first.
        serving::settle(&writer, !is_served);
    }
    if let Some(administrator) = &options.administrator {
        acting::act_as(&writer, administrator).map_err(failed)?;
    }
    let connect_as = |access| connect(&path, access, options.busy_timeout).map_err(failed);
    let readers = Readers::start(options, || connect_as(Access::Read), unusable)?;
    let folder = options.is_server.then(|| connect_as(Access::Write)).transpose()?;
    let installation = read_installation(&writer, &path)?;
    let place = Arc::new(Place::of(&path));
    Ok(Stored::over(Sqlite {
        readers,
        folder: folder
            .map(|folder| Threads::readers("sqlite-folder", 1, vec![folder]))
            .transpose()
            .map_err(unusable)?,
        writer: Writer::start(writer, Arc::clone(&place), options.write_queue, options.is_server)
            .map_err(unusable)?,
        _claim: claim,
        busy_timeout: options.busy_timeout,
        stopwatch: Stopwatch::default(),
        reserve: options.disk_reserve,
        log_is_large: AtomicBool::new(false),
        installation,
        log,
        lacked_log,
        place,
        path: path.clone(),
    }))
}

/// Opens a database on a disk that cannot be written: reading works.
fn open_read_only(path: &Path, options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
    let started = |source| OpenError::Io { path: path.to_owned(), source };
    let connect_one = || connect_to_read(path, options.busy_timeout);
    let writer = connect_one()?;
    check_identity(&writer, path, OpenMode::Existing)?;
    check_pages(&writer, path)?;
    check_migrations(&writer, path)?;
    let installation = read_installation(&writer, path)?;
    let place = Arc::new(Place::of(path));
    Ok(Stored::over(Sqlite {
        readers: Readers::start(options, connect_one, started)?,
        folder: None,
        writer: Writer::start(writer, Arc::clone(&place), options.write_queue, false)
            .map_err(started)?,
        _claim: None,
        busy_timeout: options.busy_timeout,
        stopwatch: Stopwatch::default(),
        reserve: 0,
        log_is_large: AtomicBool::new(false),
        log: LogReport::default(),
        lacked_log: false,
        installation,
        place,
        path: path.to_owned(),
    }))
}

/// Connects for reading, even where SQLite cannot make its files beside the database.
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
    // The database has a log, which must be read. SQLite can read it if the index of the log exists
    // too.
    let works = |connection: &Connection| schema::identify(connection).is_ok();
    let connection = connect(path, Access::Read, busy_timeout).map_err(failed)?;
    works(&connection).then_some(connection).ok_or(OpenError::UnfoldedLog { path: path.to_owned() })
}

impl Sqlite {
    /// A connection that reads, for the thread that asks for it.
    pub(crate) fn reading(&self) -> Result<Connection, OpenError> {
        connect_to_read(&self.path, self.busy_timeout)
    }
}

/// Keeps every other server out of the database, even one that finds no `server.lock`.
fn claim(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Refuses a database whose log is missing, unless the options accept the loss. Returns whether the
/// log is missing.
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

/// Checks what SQLite will ignore in the log, and reports it.
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

fn read_installation(connection: &Connection, path: &Path) -> Result<InstallationId, OpenError> {
    installation_id::read(connection).map_err(|error| OpenError::Damaged {
        path: path.to_owned(),
        reason: StoreError::from(error).to_string(),
    })
}

/// Waits for its turn, and makes an empty file if a new database may be made. The turn lasts until
/// the result is dropped.
fn enter(path: &Path, mode: OpenMode) -> Result<Option<File>, OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let directory = files::directory_of(path);
    let is_missing = || path.try_exists().map(|exists| !exists).map_err(failed);
    if mode == OpenMode::CreateOrUpgrade {
        files::create_private_dir(directory).map_err(failed)?;
    } else if is_missing()? && !staged::is_there(path) {
        return Err(missing(path, mode));
    }
    let turn = files::take_turn(path).map_err(|source| match Disk::of(directory) {
        Ok(disk) => match disk.trouble() {
            Some(trouble) => OpenError::NoTurn { path: path.to_owned(), source, trouble },
            None => failed(source),
        },
        Err(_) => failed(source),
    })?;
    if staged::is_there(path) {
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

/// The error for a missing database.
fn missing(path: &Path, mode: OpenMode) -> OpenError {
    match mode {
        OpenMode::Upgrade => OpenError::Gone { path: path.to_owned(), traces: Vec::new() },
        OpenMode::CreateOrUpgrade | OpenMode::Existing => {
            OpenError::Missing { path: path.to_owned() }
        }
    }
}

/// Makes sure that the database is ours, intact and of this version. A refused database is not
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
