//! Restoring a backup in place of a database that no server uses.
//!
//! A database consists of up to three files, and a database beside the write-ahead log of another
//! one is worse than none. So the new database is first written completely under the name
//! `*.restoring`, then the old files are moved away, and last the new file is renamed. While the
//! staged file exists, [`SqliteStore::open`] refuses: an interrupted restore leaves the old
//! database, the new one, or a refusal that says to run it again.
//!
//! [`SqliteStore::open`]: super::SqliteStore::open

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    backup::{BackupError, DatabaseSummary, absolute, verify_backup},
    files,
    lock::{LockError, Memory, ServerLock, is_locked},
    staged,
};

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the database holds now.
    pub summary: DatabaseSummary,
    /// The database that was there before, if there was one. Its write-ahead log, if it has one,
    /// lies beside it under the same name with `-wal` appended, so it can be opened as it is.
    pub previous: Option<PathBuf>,
}

/// Why nothing was restored. The database is as it was, unless the message says otherwise.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "`path` is the file that the message names")]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The old files were not all moved, or the new one not put in place: run the restore again.
    #[error("{}: {source}; the restore was interrupted, run it again", path.display())]
    Interrupted { path: PathBuf, source: io::Error },
    /// A server is running.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The copy beside the database could not be made.
    #[error("{}: {source}", path.display())]
    Stage { path: PathBuf, source: io::Error },
}

/// Puts a copy of `backup` in the place of `database`. The previous database is kept beside it, as
/// `*.before-restore-N`. Blocks until all of it is on disk.
///
/// # Errors
/// When the backup does not verify, a server runs, or a file cannot be written or renamed.
pub fn restore(backup: &Path, database: &Path) -> Result<Restored, RestoreError> {
    let database = absolute(database)?;
    let directory = files::directory_of(&database);
    let lock = ServerLock::acquire(directory)?;
    let in_use =
        is_locked(&database).map_err(|source| LockError::Io { path: database.clone(), source })?;
    if in_use {
        return Err(LockError::Held { data_dir: directory.to_owned(), holder: None }.into());
    }
    let summary = verify_backup(backup)?;
    let resumed = staged::is_there(&database);
    let staged = staged::path_for(&database);
    stage(backup, &staged)
        .map_err(|source| RestoreError::Stage { path: staged.clone(), source })?;
    // The backup may be of another installation; the next start finds out which.
    lock.remember(Memory::Nothing)?;
    let previous = swap(&staged, &database, resumed)
        .map_err(|source| RestoreError::Interrupted { path: database.clone(), source })?;
    Ok(Restored { summary, previous })
}

/// Copies `backup` to `staged`, which appears only when it is complete and on disk.
fn stage(backup: &Path, staged: &Path) -> io::Result<()> {
    let partial = files::with_suffix(staged, ".partial");
    files::remove_if_exists(&partial)?;
    let mut copy = files::create_private_file(&partial)?;
    let copied = File::open(backup)
        .and_then(|mut backup| io::copy(&mut backup, &mut copy))
        .and_then(|_| files::give_to_owner_of(files::directory_of(staged), &copy))
        .and_then(|()| copy.sync_all());
    if let Err(error) = copied {
        files::remove_if_exists(&partial)?;
        return Err(error);
    }
    fs::rename(&partial, staged)?;
    files::sync_dir(files::directory_of(staged))
}

/// Moves the files of `database` aside and `staged` into their place.
fn swap(staged: &Path, database: &Path, resumed: bool) -> io::Result<Option<PathBuf>> {
    let directory = files::directory_of(database);
    let _turn = files::take_turn(database)?;
    let aside = free_name(database, resumed);
    // The index of the log can be made again, and a wrong one must not be found.
    files::remove_if_exists(&files::with_suffix(database, "-shm"))?;
    let log = files::with_suffix(database, "-wal");
    files::rename_if_exists(&log, &files::with_suffix(&aside, "-wal"))?;
    let had_database = files::rename_if_exists(database, &aside)?;
    files::sync_dir(directory)?;
    fs::rename(staged, database)?;
    files::sync_dir(directory)?;
    Ok(had_database.then_some(aside))
}

/// The first `*.before-restore-N` that is free. A restore that is `resumed` has perhaps moved the
/// log to it already.
fn free_name(database: &Path, resumed: bool) -> PathBuf {
    let name = |n: u32| files::with_suffix(database, &format!(".before-restore-{n}"));
    let is_taken =
        |name: &Path| name.exists() || (!resumed && files::with_suffix(name, "-wal").exists());
    let mut n = 1;
    while is_taken(&name(n)) {
        n += 1;
    }
    name(n)
}
