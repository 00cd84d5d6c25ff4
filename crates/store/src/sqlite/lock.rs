//! One server per database.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use thiserror::Error;

use super::{files, installation_id::InstallationId};

/// The right to be the only server of a data directory. It is held until it is dropped or the
/// process ends in any way.
///
/// It locks the file `server.lock`, which is never removed. The file says who holds the lock and
/// which installation the directory belongs to, so that a missing database is noticed. (For a
/// server, [`SqliteStore::open`] locks the database itself too.)
///
/// [`SqliteStore::open`]: super::SqliteStore::open
#[derive(Debug)]
pub struct ServerLock {
    path: PathBuf,
    file: Mutex<File>,
    memory: Mutex<Memory>,
}

/// What `server.lock` remembers of the database beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: no server has used the directory yet, or the file was deleted.
    Nothing,
    /// A first start has begun and not finished.
    Beginning,
    /// A server has used the database of this installation.
    Installation(InstallationId),
}

impl ServerLock {
    /// The name of the file, in the data directory.
    pub const FILE_NAME: &str = "server.lock";
    /// The longest content of the file, in bytes.
    const MAX_LENGTH: u64 = 128;

    /// Takes the lock of `data_dir`, which is created with mode 0700 when it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when another server has it.
    pub fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join(Self::FILE_NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        files::create_private_dir(data_dir).map_err(failed)?;
        let mut file = files::open_private_file(&path).map_err(failed)?;
        let (holder, memory) = match file.try_lock() {
            Ok(()) => read(&mut file).map_err(failed)?,
            Err(TryLockError::WouldBlock) => {
                let holder = read(&mut file).ok().and_then(|(holder, _)| holder);
                return Err(LockError::Held { data_dir: data_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        };
        if holder != Some(std::process::id()) {
            write(&mut file, memory).map_err(failed)?;
        }
        Ok(Self { path, file: Mutex::new(file), memory: Mutex::new(memory) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file remembers.
    pub fn memory(&self) -> Memory {
        *self.memory.lock()
    }

    /// What the file in `data_dir` remembers, for processes that do not hold the lock.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn memory_in(data_dir: &Path) -> Result<Memory, LockError> {
        let path = data_dir.join(Self::FILE_NAME);
        match File::open(&path).and_then(|mut file| read(&mut file)) {
            Ok((_, memory)) => Ok(memory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Memory::Nothing),
            Err(source) => Err(LockError::Io { path, source }),
        }
    }

    /// Makes the file remember `memory`, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, memory: Memory) -> Result<(), LockError> {
        let mut remembered = self.memory.lock();
        if *remembered == memory {
            return Ok(());
        }
        let failed = |source| LockError::Io { path: self.path.clone(), source };
        let mut file = self.file.lock();
        write(&mut file, memory)
            .and_then(|()| file.sync_all())
            .and_then(|()| files::sync_dir(files::directory_of(&self.path)))
            .map_err(failed)?;
        *remembered = memory;
        Ok(())
    }

    /// Whether a server holds the lock of `data_dir` at this moment.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn is_held(data_dir: &Path) -> Result<bool, LockError> {
        let path = data_dir.join(Self::FILE_NAME);
        is_locked(&path).map_err(|source| LockError::Io { path, source })
    }
}

/// Whether another process has the file `path` locked as a server does. A missing file is not.
///
/// Not for a database that this process has open: closing any descriptor of it takes SQLite's own
/// locks away.
pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // A shared lock, so that two commands that check at the same time do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(source),
    }
}

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another server works on this directory.
    #[error(
        "a server is already running on {}{}: stop it first, or name another directory with --data-dir",
        data_dir.display(),
        holder.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Held {
        /// The data directory.
        data_dir: PathBuf,
        /// The server's process id, if it could be read.
        holder: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the holder of the lock and the memory.
fn write(file: &mut File, memory: Memory) -> io::Result<()> {
    let memory = match memory {
        Memory::Nothing => String::new(),
        Memory::Beginning => "beginning\n".to_owned(),
        Memory::Installation(id) => format!("installation {id}\n"),
    };
    let text = format!("{}\n{memory}", std::process::id());
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// The present or last holder of the lock, and the memory.
fn read(file: &mut File) -> io::Result<(Option<u32>, Memory)> {
    let mut text = String::new();
    file.rewind()?;
    if file.take(ServerLock::MAX_LENGTH).read_to_string(&mut text).is_err() {
        return Ok((None, Memory::Nothing));
    }
    let mut lines = text.lines();
    let holder = lines.next().and_then(|holder| holder.parse().ok());
    let memory = match lines.next().unwrap_or_default().split_once(' ') {
        Some(("installation", id)) => id.parse().map_or(Memory::Nothing, Memory::Installation),
        _ if text.lines().nth(1) == Some("beginning") => Memory::Beginning,
        _ => Memory::Nothing,
    };
    Ok((holder, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_server_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        assert!(!ServerLock::is_held(&data_dir).unwrap());
        let first = ServerLock::acquire(&data_dir).unwrap();
        assert!(ServerLock::is_held(&data_dir).unwrap());
        let refusal = ServerLock::acquire(&data_dir).unwrap_err();
        let expected = format!(
            "a server is already running on {} (process {}): stop it first, or name another directory with \
             --data-dir",
            data_dir.display(),
            std::process::id()
        );
        assert_eq!(refusal.to_string(), expected);
        drop(first);
        assert!(!ServerLock::is_held(&data_dir).unwrap());
        ServerLock::acquire(&data_dir).unwrap();
    }

    #[test]
    fn the_file_remembers_through_all_holders() {
        let dir = tempfile::tempdir().unwrap();
        let id = InstallationId::from_bytes([0xab; 16]);
        for memory in [Memory::Beginning, Memory::Installation(id), Memory::Nothing] {
            ServerLock::acquire(dir.path()).unwrap().remember(memory).unwrap();
            let next = ServerLock::acquire(dir.path()).unwrap();
            assert_eq!(next.memory(), memory);
            let refusal = ServerLock::acquire(dir.path()).unwrap_err().to_string();
            assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        }
    }
}
