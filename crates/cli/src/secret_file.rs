//! Files with a secret in them: readable by their owner alone, or by a group of this process. They
//! appear only when they are complete.
//!
//! A killed command must not leave a secret behind under a name that nobody looks for. So the file
//! has no name until it is on the disk, if the file system can do that.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use anyhow::bail;
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, linkat, openat},
    process::{getegid, geteuid, getgroups},
};

/// Whose secret it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A person, whose group may be that of all users of the machine.
    Person,
    /// A service, whose groups are its own. Kubernetes gives the files of a volume to one (`fsGroup`).
    Service,
}

/// Refuses the file `path`, in which `keeper` has a secret, if others can read it. `otherwise` says how
/// else the secret can be given, for where files have no modes.
///
/// A file of somebody else may be readable by a group of this process, because we could not read it
/// otherwise: mounted Kubernetes Secrets are like that. A pipe, as of `<(pass show keyring)`, has
/// no other readers.
pub(crate) fn check(
    path: &Path,
    file: &Metadata,
    keeper: Keeper,
    otherwise: &str,
) -> anyhow::Result<()> {
    let (mode, group) = (file.mode() & 0o777, file.gid());
    let is_foreign = file.uid() != geteuid().as_raw();
    let group_may_read = (is_foreign || keeper == Keeper::Service) && own_groups().contains(&group);
    if !file.is_file() || is_for_us_alone(mode, group_may_read) {
        return Ok(());
    }
    bail!(
        "{path} can be read by others (mode {mode:04o}, group {group}): chmod 600 {path}. A mounted \
         Secret of Kubernetes may be for a group of this process (defaultMode 0440, fsGroup). Where \
         files have no modes (FAT, WSL's drvfs): {otherwise}",
        path = path.display()
    );
}

fn is_for_us_alone(mode: u32, group_may_read: bool) -> bool {
    let mode = Mode::from_raw_mode(mode);
    !mode.intersects(Mode::RWXO) && (group_may_read || !mode.intersects(Mode::RWXG))
}

fn own_groups() -> Vec<u32> {
    let others = getgroups().unwrap_or_default();
    others.into_iter().chain([getegid()]).map(Gid::as_raw).collect()
}

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

/// The same, on file systems where files must have names.
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
        // The caller needs the first error, not this one.
        let _: io::Result<()> = remove(&unfinished);
    }
    written
}

/// The temporary name of `path` while it is written, if it must have one.
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
    // Files that root writes here are for the service that owns the directory.
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
    fn a_secret_is_for_its_owner_or_a_group_of_the_process() {
        for (mode, alone, with_group) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, false, true),
            (0o660, false, true),
            (0o644, false, false),
            (0o604, false, false),
            (0o777, false, false),
        ] {
            assert_eq!(is_for_us_alone(mode, false), alone, "{mode:o}");
            assert_eq!(is_for_us_alone(mode, true), with_group, "{mode:o}");
        }
    }

    #[test]
    fn what_a_service_keeps_may_be_for_its_group_and_what_a_person_keeps_may_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "x").unwrap();
        let verdict = |mode, keeper| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            check(&path, &fs::metadata(&path).unwrap(), keeper, "set VARIABLE")
        };
        verdict(0o440, Keeper::Service).unwrap();
        verdict(0o440, Keeper::Person).unwrap_err();
        verdict(0o600, Keeper::Person).unwrap();
        let told = verdict(0o644, Keeper::Service).unwrap_err().to_string();
        for part in ["mode 0644", "chmod 600 ", "fsGroup", "set VARIABLE"] {
            assert!(told.contains(part), "{told}");
        }
    }

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
