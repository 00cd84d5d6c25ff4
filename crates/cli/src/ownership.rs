//! Explains why the data directory cannot be used: whose it is, and as whom this process runs, or what
//! else is in the way.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use countersign_store::sqlite::OpenError;
use rustix::{
    fs::{Access, access},
    io::Errno,
    process::{getegid, geteuid},
};

/// `error`, which happened while `data_dir` was used. If a file or a directory is in the way, or their
/// permissions are, that is said with what to do.
pub(crate) fn explain(data_dir: &Path, error: anyhow::Error) -> anyhow::Error {
    // If it does not exist yet, the directory above it decides.
    let existing = data_dir.ancestors().find_map(|path| {
        let path = if path == Path::new("") { Path::new(".") } else { path };
        Some((path, fs::metadata(path).ok()?))
    });
    let Some((path, found)) = existing.filter(|_| is_about_files(&error)) else { return error };
    if !found.is_dir() {
        return error.context(format!(
            "{} is a file, and the data directory is a directory: name another with --data-dir",
            path.display()
        ));
    }
    match access(path, Access::WRITE_OK | Access::EXEC_OK) {
        Err(Errno::ROFS) => error.context(format!(
            "{} is on a file system that is mounted read-only: mount it for writing, or name a directory \
             elsewhere with --data-dir",
            path.display()
        )),
        Err(Errno::ACCESS) if found.uid() == geteuid().as_raw() => error.context(format!(
            "{path} may not be written by its owner either, who runs this (mode {:04o}): chmod u+rwx {path}, \
             or name another directory with --data-dir",
            found.mode() & 0o7777,
            path = path.display()
        )),
        Err(Errno::ACCESS) => of_others(data_dir, (path, &found), error),
        Ok(()) | Err(_) if has_kind(&error, ErrorKind::PermissionDenied) => {
            of_others(data_dir, (path, &found), error)
        }
        Ok(()) | Err(_) => error,
    }
}

/// Whether the system, or SQLite, which hides the error of the system, refused something with a file.
fn is_about_files(error: &anyhow::Error) -> bool {
    use ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let kinds = [AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem];
    let is_of_sqlite = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(OpenError::Sqlite { .. }))
    };
    kinds.into_iter().any(|kind| has_kind(error, kind)) || error.chain().any(is_of_sqlite)
}

fn has_kind(error: &anyhow::Error, kind: ErrorKind) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == kind)
    })
}

/// `error` with the owner of the directory `path`, which this process may not change, and with its user.
fn of_others(
    data_dir: &Path,
    (path, found): (&Path, &Metadata),
    error: anyhow::Error,
) -> anyhow::Error {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    error.context(format!(
        "{} belongs to user {}, group {} (mode {:04o}), and this process runs as user {user}, group \
         {group}: {}",
        path.display(),
        found.uid(),
        found.gid(),
        found.mode() & 0o7777,
        way_out(data_dir, user, group)
    ))
}

/// Advice. The owner of a directory with files in it is not changed: somebody may have named a
/// system directory by mistake.
fn way_out(data_dir: &Path, user: u32, group: u32) -> String {
    let is_free = match fs::read_dir(data_dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if is_free {
        format!(
            "run it as the owner, or let root make the data directory: `install -d -o {user} -g {group} \
             -m 0700 {}`",
            data_dir.display()
        )
    } else {
        "run it as the owner, or name another directory with --data-dir".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn whoever_may_not_use_the_directory_learns_whose_it_is_and_who_he_is() {
        let dir = tempfile::tempdir().unwrap();
        let denied = || anyhow::Error::from(io::Error::from(ErrorKind::PermissionDenied));
        let user = geteuid().as_raw();
        for path in [dir.path().to_owned(), dir.path().join("not/there")] {
            let told = format!("{:#}", explain(&path, denied().context("server.lock")));
            let whose = format!("{} belongs to user {user}, ", dir.path().display());
            assert!(told.starts_with(&whose), "{told}");
            assert!(told.contains(&format!("runs as user {user}, ")), "{told}");
        }
        let other = explain(dir.path(), anyhow!("the disk is full"));
        assert_eq!(other.to_string(), "the disk is full");
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_called_that() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        fs::write(&file, "").unwrap();
        for (path, kind) in [
            (file.clone(), ErrorKind::AlreadyExists),
            (file.join("within"), ErrorKind::NotADirectory),
        ] {
            let told = explain(&path, io::Error::from(kind).into()).to_string();
            let expected = format!("{} is a file, and the data directory is", file.display());
            assert!(told.starts_with(&expected) && told.ends_with("--data-dir"), "{told}");
        }
    }

    #[test]
    fn nobody_is_told_to_take_a_directory_in_which_something_lies() {
        let dir = tempfile::tempdir().unwrap();
        let told = |path: &Path| {
            let denied = anyhow::Error::from(io::Error::from(ErrorKind::PermissionDenied));
            explain(path, denied).to_string()
        };
        let new = dir.path().join("not/there");
        let made = format!("-m 0700 {}`", new.display());
        assert!(told(&new).contains("`install -d -o ") && told(&new).ends_with(&made));
        assert!(told(dir.path()).ends_with(&format!("-m 0700 {}`", dir.path().display())));
        fs::write(dir.path().join("of another program"), "").unwrap();
        for full in [dir.path(), Path::new("/")] {
            let told = told(full);
            assert!(told.ends_with("or name another directory with --data-dir"), "{told}");
        }
    }
}
