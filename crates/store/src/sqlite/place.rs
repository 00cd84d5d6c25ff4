//! Checks that the open files are still the files at their paths.
//!
//! A database that was moved, deleted or replaced under a running server goes on working for that
//! server, and all that the server writes is lost when it ends. So the writer checks before each
//! commit.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use thiserror::Error;

use super::files;

/// The files of an open database: itself, its write-ahead log, and the index of that.
pub(super) struct Place {
    files: [OpenFile; 3],
}

struct OpenFile {
    path: PathBuf,
    /// The file that was there when it was first checked. SQLite keeps it open.
    first_seen: Mutex<Option<FileId>>,
}

/// The identity of a file. No other file gets this number while somebody has the file open.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// Something else, or nothing, lies where the database was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Misplaced {
    #[error(
        "{}: the file was moved or deleted while the server uses it; nothing is written until it \
         is back. Stop the server, put the file back or restore a backup, and start it again",
        .0.display()
    )]
    Gone(PathBuf),
    #[error(
        "{}: another file lies in the place of the one that the server uses; nothing is written. \
         Stop the server, and start it on the database that is meant",
        .0.display()
    )]
    Replaced(PathBuf),
}

impl Place {
    /// The place of the open database at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let file = |path: PathBuf| OpenFile { first_seen: Mutex::new(id_of(&path)), path };
        let named = |suffix| files::with_suffix(path, suffix);
        Self { files: [file(path.to_owned()), file(named("-wal")), file(named("-shm"))] }
    }

    /// Checks that every file is still at its path.
    pub(super) fn check(&self) -> Result<(), Misplaced> {
        self.files.iter().try_for_each(OpenFile::check)
    }
}

impl OpenFile {
    fn check(&self) -> Result<(), Misplaced> {
        let found = id_of(&self.path);
        let mut first_seen = self.first_seen.lock();
        match (*first_seen, found) {
            (None, found) => *first_seen = found,
            (Some(expected), Some(found)) if expected == found => {}
            (Some(_), Some(_)) => return Err(Misplaced::Replaced(self.path.clone())),
            (Some(_), None) => return Err(Misplaced::Gone(self.path.clone())),
        }
        Ok(())
    }
}

fn id_of(path: &Path) -> Option<FileId> {
    let file = fs::metadata(path).ok()?;
    Some(FileId { device: file.dev(), inode: file.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_deleted_or_replaced_is_noticed_and_what_is_back_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("countersign.db");
        for suffix in ["", "-wal", "-shm"] {
            let path = files::with_suffix(&path, suffix);
            fs::write(&path, suffix).unwrap();
        }
        let place = Place::of(&path);
        assert_eq!(place.check(), Ok(()));
        for suffix in ["", "-wal", "-shm"] {
            let (path, aside) = (files::with_suffix(&path, suffix), dir.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            assert_eq!(place.check(), Err(Misplaced::Gone(path.clone())));
            fs::write(&path, "another").unwrap();
            assert_eq!(place.check(), Err(Misplaced::Replaced(path.clone())));
            fs::rename(&aside, &path).unwrap();
            assert_eq!(place.check(), Ok(()));
        }
    }
}
