//! One server per database.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::files;

/// The right to be the only server of a data directory, held until it is dropped or the process
/// ends, however it ends.
///
/// It locks the file `server.lock`, which stays there and says who holds it.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

impl ServerLock {
    const FILE_NAME: &str = "server.lock";

    /// Takes the lock of `data_dir`, which is created with mode 0700 when it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when another server has it.
    pub fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join(Self::FILE_NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        files::create_private_dir(data_dir).map_err(failed)?;
        let mut file = files::open_private_file(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                return Err(LockError::Held { data_dir: data_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Whether a server holds the lock of `data_dir` at this moment.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn is_held(data_dir: &Path) -> Result<bool, LockError> {
        let path = data_dir.join(Self::FILE_NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        // Shared, so that two commands that look at once do not see each other.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Why the lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another server works on this directory.
    #[error(
        "a server is already running on {}{}",
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

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
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
            "a server is already running on {} (process {})",
            data_dir.display(),
            std::process::id()
        );
        assert_eq!(refusal.to_string(), expected);
        drop(first);
        assert!(!ServerLock::is_held(&data_dir).unwrap());
        ServerLock::acquire(&data_dir).unwrap();
    }
}
