//! The file under a keyring: bounded reading, one writer at a time, replacement in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::{KeyringError, MAX_BYTES};

/// The path with symbolic links resolved, so that replacing the file keeps a link to it working.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, KeyringError> {
    fs::canonicalize(path).map_err(|cause| failure("find", path, cause))
}

/// Where a new file at `path` would really be. Its directory must exist, the file must not.
pub(super) fn resolve_new(path: &Path) -> Result<PathBuf, KeyringError> {
    let name = path.file_name().ok_or_else(|| KeyringError::NotAFile(path.to_owned()))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(resolve(directory)?.join(name))
}

/// Refuses a path where something is already, even if it is a broken link.
pub(super) fn refuse_existing(path: &Path) -> Result<(), KeyringError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(KeyringError::AlreadyExists(path.to_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(failure("look at", path, cause)),
    }
}

/// The whole content. Writers replace the file in one step, so reading needs no lock.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyringError> {
    // Checked first, because opening a named pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(|cause| failure("read", path, cause))?;
    if !metadata.is_file() {
        return Err(KeyringError::NotAFile(path.to_owned()));
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content))
        .map_err(|cause| failure("read", path, cause))?;
    if content.len() > MAX_BYTES {
        return Err(KeyringError::TooLarge);
    }
    Ok(content)
}

/// The right to replace one keyring file, until it is dropped.
///
/// The lock is on an empty file `NAME.lock` beside the keyring, which is never removed. The keyring
/// file cannot carry the lock, because every change replaces it by a new file.
pub(super) struct WriteLock<'a> {
    path: &'a Path,
    _file: File,
}

impl<'a> WriteLock<'a> {
    /// Waits until nobody else holds the lock for `path`. It is held for milliseconds only.
    pub(super) fn acquire(path: &'a Path) -> Result<Self, KeyringError> {
        let lock_path = beside(path, ".lock");
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&lock_path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|cause| failure("lock", &lock_path, cause))?;
        Ok(Self { path, _file: file })
    }

    /// Replaces the file by one with `content`. After a crash, either the old file or the new one
    /// is there.
    pub(super) fn replace(&self, content: &[u8]) -> Result<(), KeyringError> {
        if content.len() > MAX_BYTES {
            return Err(KeyringError::TooLarge);
        }
        let temporary = beside(self.path, ".tmp");
        write_new(&temporary, content)
            .and_then(|()| fs::rename(&temporary, self.path))
            .inspect_err(|_| drop(fs::remove_file(&temporary)))
            .map_err(|cause| failure("write", self.path, cause))?;
        sync_directory(self.path).map_err(|cause| failure("write", self.path, cause))
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    // Under the lock, a file of this name can only be left over from a writer that was killed.
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The rename counts after a power cut only when the directory has reached the disk too.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    match File::open(directory)?.sync_all() {
        // Some file systems do not know this operation.
        Err(cause)
            if matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Readable and writable by the owner alone.
#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failure(action: &'static str, path: &Path, cause: io::Error) -> KeyringError {
    match cause.kind() {
        io::ErrorKind::NotFound => KeyringError::NotFound(path.to_owned()),
        // A mount point cannot be replaced, and a file that is overwritten in place can be lost.
        io::ErrorKind::ResourceBusy => KeyringError::Mounted(path.to_owned()),
        io::ErrorKind::ReadOnlyFilesystem => KeyringError::ReadOnly(path.to_owned()),
        _ => KeyringError::Io { action, path: path.to_owned(), cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_file_from_being_replaced_is_named() {
        let path = Path::new("keyring.json");
        let told = |kind: io::ErrorKind| failure("write", path, kind.into()).to_string();
        assert!(told(io::ErrorKind::ResourceBusy).contains("mount the directory"));
        assert!(told(io::ErrorKind::ReadOnlyFilesystem).contains("mounted read-only"));
    }
}
