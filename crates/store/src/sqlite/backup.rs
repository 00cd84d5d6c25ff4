//! Backups: consistent copies of a database that others go on using.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};
use thiserror::Error;

use super::{
    connection::{Access, connect},
    files,
    lock::is_locked,
    open::connect_to_read,
    open_error::{OpenError, classify},
    schema::{self, Identity},
    serving,
    store::SqliteStore,
};

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    /// The version of its schema.
    pub schema_version: u32,
    /// How many accounts.
    pub accounts: u64,
    /// How many credentials, revoked ones included.
    pub credentials: u64,
    /// How many invitations.
    pub invitations: u64,
    /// How many signing keys.
    pub signing_keys: u64,
    /// How many audit events.
    pub audit_events: u64,
}

/// Why there is no backup, or why it cannot be relied on.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "`path` is the file that the message names")]
pub enum BackupError {
    /// The file exists; a backup never overwrites one.
    #[error("{}: the file exists already", path.display())]
    Exists { path: PathBuf },
    /// Another backup to the same file is being made.
    #[error("{}: another backup to this file is being made", path.display())]
    InProgress { path: PathBuf },
    /// A write-ahead log lies beside it.
    #[error(
        "{}: this is a database in use (a write-ahead log lies beside it), not a backup",
        path.display()
    )]
    InUse { path: PathBuf },
    /// The file or its directory cannot be used.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not a whole database of a known version.
    #[error(transparent)]
    Unusable(#[from] OpenError),
}

impl SqliteStore {
    /// Copies the database as it is at this moment to the new file `to`, while others go on
    /// reading and writing, and verifies the copy. Blocks until it is on disk.
    ///
    /// # Errors
    /// When `to` exists, or the copy cannot be made or does not verify; `to` is not made then.
    pub fn backup(&self, to: &Path) -> Result<DatabaseSummary, BackupError> {
        back_up(&self.path, to, self.busy_timeout)
    }

    /// Reads all of the database and checks that nothing in it contradicts anything else, while
    /// others go on using it. Blocks until that is done.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong.
    pub fn verify(&self) -> Result<DatabaseSummary, OpenError> {
        verify_in_use(&self.path, self.busy_timeout)
    }
}

/// Copies the database at `from` to the new file `to`, and verifies the copy.
fn back_up(from: &Path, to: &Path, busy_timeout: Duration) -> Result<DatabaseSummary, BackupError> {
    let to = absolute(to)?;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: to.clone() },
        _ => BackupError::Io { path: to.clone(), source },
    };
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: to });
    }
    sweep(files::directory_of(&to));
    let partial = Partial::begin(&to)?;
    copy(from, &partial.path, busy_timeout)
        .and_then(|()| verify_backup(&partial.path))
        .and_then(|summary| publish(&partial.path, &to).map_err(failed).map(|()| summary))
}

/// The name of a backup until it is complete.
const PARTIAL: &str = ".countersign-partial";

/// A backup that is being made. Its lock tells it from one that a killed command left behind. The
/// file is removed when this is dropped.
struct Partial {
    path: PathBuf,
    _lock: File,
}

impl Partial {
    fn begin(to: &Path) -> Result<Self, BackupError> {
        let path = files::with_suffix(to, PARTIAL);
        let failed = |source| BackupError::Io { path: path.clone(), source };
        let lock = match files::create_private_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::InProgress { path: to.to_owned() });
            }
            file => file.map_err(failed)?,
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(BackupError::InProgress { path: to.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // The caller needs the first error, not this one; the next backup removes the file.
        let _: io::Result<()> = remove_partial(&self.path);
    }
}

/// Removes the files that killed backups left in `directory`: nobody holds their locks any more.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_partial = path.as_os_str().as_bytes().ends_with(PARTIAL.as_bytes());
        if !is_partial || !matches!(is_locked(&path), Ok(false)) {
            continue;
        }
        match remove_partial(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed an unfinished backup"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove it"),
        }
    }
}

fn remove_partial(path: &Path) -> io::Result<()> {
    files::remove_if_exists(&files::with_suffix(path, "-journal"))?;
    files::remove_if_exists(path)
}

/// Checks that the file at `path` is a whole database of a known version, which a restore can use.
/// Blocks while it reads all of it.
///
/// # Errors
/// [`BackupError`] says what is wrong.
pub fn verify_backup(path: &Path) -> Result<DatabaseSummary, BackupError> {
    let path = absolute(path)?;
    let failed = |error| BackupError::from(classify(&path, error));
    if !path.try_exists().map_err(|source| BackupError::Io { path: path.clone(), source })? {
        return Err(OpenError::Missing { path }.into());
    }
    if files::with_suffix(&path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(BackupError::InUse { path });
    }
    if serving::lacks_its_log(&path) {
        let log = files::with_suffix(&path, "-wal");
        return Err(OpenError::MissingLog { path, log }.into());
    }
    let connection = connect_to_read(&path, Duration::ZERO)?;
    let found = match schema::identify(&connection).map_err(failed)? {
        Identity::Ours(version) => version,
        Identity::Empty | Identity::Foreign => return Err(OpenError::Foreign { path }.into()),
    };
    if found > schema::VERSION {
        return Err(OpenError::NewerSchema { path, found, known: schema::VERSION }.into());
    }
    if let Some(reason) = contradiction(&connection).map_err(failed)? {
        return Err(OpenError::Damaged { path, reason }.into());
    }
    if let Some(migration) = schema::altered(&connection, found).map_err(failed)? {
        return Err(OpenError::AlteredMigration { path, migration }.into());
    }
    summarize(&connection, found).map_err(failed)
}

/// Checks the database at `path`, which is open and in use.
fn verify_in_use(path: &Path, busy_timeout: Duration) -> Result<DatabaseSummary, OpenError> {
    let failed = |error| classify(path, error);
    let connection = connect_to_read(path, busy_timeout)?;
    if let Some(reason) = contradiction(&connection).map_err(failed)? {
        return Err(OpenError::Damaged { path: path.to_owned(), reason });
    }
    summarize(&connection, schema::VERSION).map_err(failed)
}

fn copy(from: &Path, partial: &Path, busy_timeout: Duration) -> Result<(), BackupError> {
    let failed = |error| BackupError::from(classify(from, error));
    let connection = connect_to_read(from, busy_timeout)?;
    // `VACUUM INTO` runs in one read transaction, so it copies one moment; and it copies only pages
    // in use, so that nothing that was deleted gets into the backup.
    let target = ToSqlOutput::Borrowed(ValueRef::Text(partial.as_os_str().as_bytes()));
    connection.execute("VACUUM INTO ?", [target]).map_err(failed)?;
    // No server uses the copy.
    let copy = connect(partial, Access::Write, busy_timeout);
    copy.and_then(|copy| serving::unmark(&copy))
        .map_err(|error| BackupError::from(classify(partial, error)))
}

/// Gives the finished file its name, durably and without replacing another.
fn publish(partial: &Path, to: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    match fs::hard_link(partial, to) {
        // The temporary name is removed together with the lock on it.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some file systems, such as those of USB sticks, have no links.
        Err(_) => fs::rename(partial, to)?,
    }
    files::sync_dir(files::directory_of(to))
}

/// The first contradiction found in the database.
fn contradiction(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let check = "PRAGMA integrity_check(1)";
    let verdict: String = connection.query_row(check, [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict.replace('\n', " ")));
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let table: String = row.get(0)?;
    Ok(Some(format!("a row of {table} refers to nothing")))
}

fn summarize(connection: &Connection, schema_version: u32) -> rusqlite::Result<DatabaseSummary> {
    let count = |table: &str| {
        let select = format!("SELECT count(*) FROM {table}");
        connection.query_row(&select, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    // A backup may be of an earlier version, which had them all in one table.
    let native = schema_version >= schema::WITH_NATIVE_KEYS;
    let native = if native { count("native_keys")? } else { 0 };
    Ok(DatabaseSummary {
        schema_version,
        accounts: count("accounts")?,
        credentials: count("credentials")?,
        invitations: count("invitations")?,
        signing_keys: native + count("signing_keys")?,
        audit_events: count("audit_events")?,
    })
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    std::path::absolute(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })
}
