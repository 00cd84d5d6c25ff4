//! Where the file lies that the processes of one user on one machine share.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use countersign_protocol::{digest::sha256, strict::base64url};
use rustix::process::geteuid;

use super::error::SharedStateError;

/// Files in memory, which every process of a machine, or of a container, reaches.
const MEMORY: &str = "/dev/shm";
/// The file in the directory.
const FILE: &str = "used-proofs";
/// The kernel's random id of the present boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Write permission of the group and of others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A directory that belongs to the user of this process, with one file in it.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
    file: PathBuf,
}

impl Directory {
    /// The directory `path`, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or somebody else could change what is in it.
    pub(super) fn at(path: PathBuf) -> Result<Self, SharedStateError> {
        let file = path.join(FILE);
        let directory = Self { path, file };
        directory.make()?;
        Ok(directory)
    }

    /// Refuses the directory `path` as [`Self::at`] would, and makes nothing. A process of root may go
    /// on as the user whose directory it is, so an owner is no reason for it.
    ///
    /// # Errors
    /// When the directory, or, if it is not there, the one above it, is of no use.
    pub(super) fn look_at(path: &Path) -> Result<(), SharedStateError> {
        let failed = |source| SharedStateError::Io { path: path.to_owned(), source };
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = path.parent().filter(|above| *above != Path::new(""));
                return fs::metadata(above.unwrap_or(Path::new("."))).map(drop).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        if !found.is_dir() {
            return Err(SharedStateError::NotADirectory { path: path.to_owned() });
        }
        match check(path, &found) {
            Err(SharedStateError::OfAnotherUser { .. }) if geteuid().is_root() => {
                check_mode(path, &found)
            }
            verdict => verdict,
        }
    }

    /// The directory of the service `origin` of `issuer` and of this process' user: in memory where
    /// the machine has files there, or else where it has temporary ones.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub(super) fn of(issuer: &str, origin: &str) -> Result<Self, SharedStateError> {
        let service = sha256(&[issuer.as_bytes(), b"\n", origin.as_bytes()]);
        let service = base64url::encode(&service[..12]);
        let name = format!("countersign-{}-{service}", geteuid().as_raw());
        match Self::at(Path::new(MEMORY).join(&name)) {
            Err(SharedStateError::Io { source, .. }) if is_no_place(&source) => {
                Self::at(std::env::temp_dir().join(name))
            }
            result => result,
        }
    }

    /// The file, by its path.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Opens the file, which is made if it is not there, and so is the directory.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub(super) fn open(&self) -> Result<File, SharedStateError> {
        self.make()?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let failed = |source| SharedStateError::Io { path: self.file.clone(), source };
        let file = options.open(&self.file).map_err(failed)?;
        check(&self.file, &file.metadata().map_err(failed)?)?;
        Ok(file)
    }

    fn make(&self) -> Result<(), SharedStateError> {
        let failed = |source| SharedStateError::Io { path: self.path.clone(), source };
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        // A link is not followed: where it leads may change.
        let found = fs::symlink_metadata(&self.path).map_err(failed)?;
        if !found.is_dir() {
            return Err(SharedStateError::NotADirectory { path: self.path.clone() });
        }
        check(&self.path, &found)
    }
}

/// Somebody who can change the file could make used proofs work again.
pub(super) fn check(path: &Path, found: &Metadata) -> Result<(), SharedStateError> {
    check_owner(path, found.uid(), geteuid().as_raw())?;
    check_mode(path, found)
}

fn check_mode(path: &Path, found: &Metadata) -> Result<(), SharedStateError> {
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(SharedStateError::WritableByOthers { path: path.to_owned() });
    }
    Ok(())
}

pub(super) fn check_owner(path: &Path, owner: u32, user: u32) -> Result<(), SharedStateError> {
    if owner == user {
        return Ok(());
    }
    Err(SharedStateError::OfAnotherUser { path: path.to_owned(), owner, user })
}

/// Whether no directory can be made there.
fn is_no_place(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem)
}

/// The id of the machine's present boot. Files written before it may be incomplete.
///
/// # Errors
/// Where the system has no such thing.
pub(crate) fn boot_id() -> Result<[u8; 16], SharedStateError> {
    let text = fs::read(BOOT_ID).map_err(|_| SharedStateError::NoBootId)?;
    let mut id = [0; 16];
    id.copy_from_slice(&sha256(&[text.trim_ascii()])[..16]);
    Ok(id)
}
