//! Files and directories that only their owner can read, and that a crash does not lose.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

/// Creates the directory `path` and its missing parents, readable by the owner only, and durably: a
/// loss of power does not remove them. Existing directories are left as they are.
///
/// # Errors
/// When a directory cannot be made, or cannot be made durable.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.is_dir()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().try_for_each(|made| sync_dir(directory_of(made)))
}

/// Creates the file `path`, readable by the owner only. It must not exist.
pub(super) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Gives a file of the data directory to the owner of the directory: root may have created the
/// file, and the service must be able to use it.
pub(super) fn give_to_owner_of(directory: &Path, file: &File) -> io::Result<()> {
    let (directory, owner) = (directory.metadata()?, file.metadata()?.uid());
    if owner != 0 || directory.uid() == 0 {
        return Ok(());
    }
    fchown(file, Some(directory.uid()), Some(directory.gid()))
}

/// Opens the file `path` for reading and writing; creates it, readable by the owner only, when it
/// is missing.
pub(super) fn open_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    give_to_owner_of(directory_of(path), &file)?;
    Ok(file)
}

/// Keeps other processes of this program from opening or moving the database at `path` until the
/// result is dropped; waits while another one does so.
///
/// SQLite's own locks are not enough: processes that create a database at the same moment do not
/// wait for each other, and a process is not kept out while a restore moves the files.
///
/// On a disk that is read-only or full, only an existing lock file is locked. If there is none, no
/// lock is needed, because nobody can create or move anything either.
pub(super) fn take_turn(path: &Path) -> io::Result<Option<File>> {
    let name = with_suffix(path, "-lock");
    let lock = match open_private_file(&name) {
        Ok(lock) => lock,
        Err(error) if cannot_be_written(&error) => match File::open(&name) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    lock.lock()?;
    Ok(Some(lock))
}

/// Whether the disk, and not a missing right, keeps a file from being written.
pub(super) fn cannot_be_written(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// The length of the file `path`, in bytes; 0 when there is none.
pub(super) fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |file| file.len())
}

/// Makes the names in `directory` durable: what was created, renamed or removed in it.
pub(super) fn sync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes `path`, if it exists.
pub(super) fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Renames `from` to `to`. `false` when there is no `from`.
pub(super) fn rename_if_exists(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `path` with `suffix` appended to its file name, such as SQLite's own `-wal`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The directory that holds `path`.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
