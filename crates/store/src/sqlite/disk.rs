//! The state of the database's disk, and the room that is kept free on it.
//!
//! Somebody who fills the disk must not keep an administrator from disabling the account that does
//! it. So registrations stop while there is still room for everything else, and a file of some
//! megabytes, the ballast, is given up to make room for the administrator when the disk is full.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{ErrorCode, ffi::SQLITE_READONLY_DBMOVED};
use rustix::fs::{FallocateFlags, StatVfsMountFlags, fallocate, statvfs};

use super::files;

/// The size of the ballast, in bytes: room for some hundred administrative changes.
const BALLAST_BYTES: u64 = 4 << 20;
/// With less than so much free, in bytes, the next transactions may fail.
pub(super) const LEAST_FREE_BYTES: u64 = 1 << 20;

/// The message for a read-only disk.
const READ_ONLY: &str = "the file system is read-only: `admin backup`, `list` and `check` still \
                         work; to change something, have it mounted for writing, or copy the whole \
                         directory to another disk and name that with --data-dir";
/// The message for a full disk.
const FULL: &str = "the file system is full: make room on it";

/// The state of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that this process may still fill.
    pub free_bytes: u64,
    /// Files that this process may still make. Some file systems do not count them and say 0.
    pub free_files: u64,
    /// Whether it counts files.
    pub counts_files: bool,
    /// Whether nothing on it can be written.
    pub is_read_only: bool,
}

impl Disk {
    /// The file system that holds `path`.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn of(path: &Path) -> io::Result<Self> {
        let disk = statvfs(path)?;
        Ok(Self {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            free_files: disk.f_favail,
            counts_files: disk.f_files > 0,
            is_read_only: disk.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// Whether so little is free that the next transactions may fail.
    pub const fn is_full(&self) -> bool {
        self.free_bytes < LEAST_FREE_BYTES
    }

    /// The reason why no file on it can be written, with advice; `None` if files can be written.
    pub(super) const fn trouble(&self) -> Option<&'static str> {
        if self.is_read_only {
            return Some(READ_ONLY);
        }
        if self.counts_files && self.free_files == 0 {
            return Some("the file system has no room for another file: delete files on it");
        }
        if self.free_bytes < 64 << 10 {
            return Some(FULL);
        }
        None
    }
}

/// The reason why SQLite cannot write, with advice, if its error says that the disk is to blame.
pub(crate) fn trouble_behind(error: &rusqlite::Error) -> Option<&'static str> {
    let error = error.sqlite_error()?;
    match error.code {
        ErrorCode::ReadOnly if error.extended_code != SQLITE_READONLY_DBMOVED => Some(READ_ONLY),
        ErrorCode::DiskFull => Some(FULL),
        _ => None,
    }
}

/// Makes the ballast of the database at `path`, if it is missing and `reserve` bytes would still be
/// free beside it.
pub(super) fn take_ballast(path: &Path, reserve: u64) -> io::Result<()> {
    let ballast = ballast_of(path);
    if files::length(&ballast) >= BALLAST_BYTES {
        return Ok(());
    }
    let directory = files::directory_of(path);
    if Disk::of(directory)?.free_bytes < reserve.saturating_add(2 * BALLAST_BYTES) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&ballast)?;
    files::give_to_owner_of(directory, &file)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        // A file system on which room cannot be taken ahead has no use for ballast.
        Err(rustix::io::Errno::OPNOTSUPP) => files::remove_if_exists(&ballast),
        Err(error) => Err(error.into()),
    }
}

/// Removes the ballast of the database at `path`, if the disk is full and there is ballast. Returns
/// its path. A server makes it again when there is room.
///
/// # Errors
/// When the state of the disk cannot be read, or the file cannot be removed.
pub fn give_up_ballast(path: &Path) -> io::Result<Option<PathBuf>> {
    let ballast = ballast_of(path);
    let disk = Disk::of(files::directory_of(path))?;
    if disk.is_read_only || !disk.is_full() || !ballast.exists() {
        return Ok(None);
    }
    files::remove_if_exists(&ballast)?;
    Ok(Some(ballast))
}

fn ballast_of(path: &Path) -> PathBuf {
    files::with_suffix(path, "-ballast")
}
