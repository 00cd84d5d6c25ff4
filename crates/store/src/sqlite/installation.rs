//! Whether there is a database, or has been one before.
//!
//! A lost database must never look like a first start: the server would make new signing keys,
//! refuse every token, and destroy what is left of the old database.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    connection::{Access, connect},
    files,
    lock::{Memory, ServerLock},
    open_error::{OpenError, classify},
    options::BUSY_TIMEOUT,
    schema::{self, Identity},
    staged,
};

/// What was found at the path of a server's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A file with something in it.
    Database,
    /// Nothing, and no other file says that there ever was a database.
    NeverSeen,
    /// Nothing, or an empty file, but an earlier start has only begun to make it.
    Beginning,
    /// Nothing, or an empty file, and these files say that there was a database.
    Gone(Vec<PathBuf>),
}

/// Looks whether there is a database at `database`, and if not, whether there was one. `others` are
/// files that lie beside a used database, such as the master key.
pub fn presence(database: &Path, lock: &ServerLock, others: &[PathBuf]) -> Presence {
    if files::length(database) > 0 || staged::is_there(database) {
        return match lock.memory() {
            Memory::Beginning => Presence::Beginning,
            Memory::Nothing | Memory::Installation(_) => Presence::Database,
        };
    }
    let log = files::with_suffix(database, "-wal");
    // A new database gets its first page before its log.
    if files::length(&log) > 0 {
        return Presence::Gone(vec![log]);
    }
    let mut traces = Vec::new();
    match lock.memory() {
        Memory::Beginning => return Presence::Beginning,
        Memory::Installation(_) => traces.push(lock.path().to_owned()),
        Memory::Nothing => {}
    }
    traces.extend(others.iter().filter(|path| path.exists()).cloned());
    if traces.is_empty() { Presence::NeverSeen } else { Presence::Gone(traces) }
}

/// Makes room for a new database at `database`: the files of an old one are renamed to
/// `*.before-new-N`, never deleted. Returns the new path, if there was an old database.
///
/// # Errors
/// [`OpenError::Exists`] when a database is there; or when a file cannot be renamed.
pub fn make_room(database: &Path) -> Result<Option<PathBuf>, OpenError> {
    let database = std::path::absolute(database)
        .map_err(|source| OpenError::Io { path: database.to_owned(), source })?;
    let failed = |source| OpenError::Io { path: database.clone(), source };
    if staged::is_there(&database) {
        return Err(OpenError::RestoreUnfinished { path: database });
    }
    if files::length(&database) > 0 && !is_without_tables(&database)? {
        return Err(OpenError::Exists { path: database });
    }
    set_aside(&database, "before-new").map_err(failed)
}

/// Puts the database at `database` aside, whose content has moved: its files are renamed to `*.moved-N`, never
/// deleted. Nobody may have it open. Returns the new path, if there was one.
///
/// # Errors
/// When a file cannot be renamed.
pub fn set_aside_moved(database: &Path) -> io::Result<Option<PathBuf>> {
    set_aside(&std::path::absolute(database)?, "moved")
}

/// Whether the file is a database without anything in it. Leaves all files as they are.
fn is_without_tables(database: &Path) -> Result<bool, OpenError> {
    let failed = |error| classify(database, error);
    // Reading only, it cannot fold or delete the log.
    let connection = connect(database, Access::Read, BUSY_TIMEOUT).map_err(failed)?;
    Ok(schema::identify(&connection).map_err(failed)? == Identity::Empty)
}

fn set_aside(database: &Path, why: &str) -> io::Result<Option<PathBuf>> {
    let named = |suffix| files::with_suffix(database, suffix);
    if !database.exists() && !named("-wal").exists() {
        return Ok(None);
    }
    let name = |n: u32| files::with_suffix(database, &format!(".{why}-{n}"));
    let is_taken = |n| name(n).exists() || files::with_suffix(&name(n), "-wal").exists();
    let mut n = 1;
    while is_taken(n) {
        n += 1;
    }
    let aside = name(n);
    files::remove_if_exists(&named("-shm"))?;
    let had_log = files::rename_if_exists(&named("-wal"), &files::with_suffix(&aside, "-wal"))?;
    if files::length(database) == 0 && !had_log {
        files::remove_if_exists(database)?;
        return Ok(None);
    }
    match fs::rename(database, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    files::sync_dir(files::directory_of(database))?;
    Ok(Some(aside))
}
