//! Files with a secret in them: for their owner alone, and there only when they are whole.
//!
//! A command that is killed must not leave a secret behind under a name that nobody looks for. So
//! the file has no name until it is on the disk, where the file system can do that.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

/// Makes the file `path`, which must not exist, with this content, durably.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(file) = openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR) else {
        return create_by_rename(path, content);
    };
    let file = File::from(file);
    fill(&file, directory, content)?;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => sync(directory),
        Err(rustix::io::Errno::EXIST) => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => create_by_rename(path, content),
    }
}

/// The same where files must have names.
fn create_by_rename(path: &Path, content: &[u8]) -> io::Result<()> {
    let (directory, unfinished) = (directory_of(path), unfinished(path));
    remove(&unfinished)?;
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|file| fill(&file, directory, content))
        .and_then(|()| fs::rename(&unfinished, path))
        .and_then(|()| sync(directory));
    if written.is_err() {
        // What went wrong before is what the caller must learn.
        let _: io::Result<()> = remove(&unfinished);
    }
    written
}

/// The name of `path` while it is being written, where it must have one.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Removes a file, durably, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync(directory_of(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in `directory` durable.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn fill(mut file: &File, directory: &Path, content: &[u8]) -> io::Result<()> {
    // What root writes here is for the service to which the directory belongs.
    let (directory, owner) = (fs::metadata(directory)?, file.metadata()?.uid());
    if owner == 0 && directory.uid() != 0 {
        fchown(file, Some(directory.uid()), Some(directory.gid()))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn both_ways_make_the_same_file_and_leave_nothing_else() {
        for create in [create, create_by_rename] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("secret");
            fs::write(unfinished(&path), "a part of an older one").unwrap();
            create(&path, b"a secret").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"a secret");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            remove(&unfinished(&path)).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
