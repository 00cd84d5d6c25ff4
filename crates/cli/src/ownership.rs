//! Explains permission errors: who owns the data directory, and as whom this process runs.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use rustix::process::{getegid, geteuid};

/// `error`, which happened while `data_dir` was used. If it is about permissions, the owner and the
/// user are added.
pub(crate) fn explain(data_dir: &Path, error: anyhow::Error) -> anyhow::Error {
    let is_denied = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == ErrorKind::PermissionDenied)
    });
    // If it does not exist yet, the owner of the directory above it decides.
    let existing = data_dir.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)));
    match existing.filter(|_| is_denied) {
        Some((path, found)) => {
            let (user, group) = (geteuid().as_raw(), getegid().as_raw());
            error.context(format!(
                "{} belongs to user {}, group {} (mode {:04o}), and this process runs as user {user}, \
                 group {group}: {}",
                path.display(),
                found.uid(),
                found.gid(),
                found.mode() & 0o7777,
                way_out(data_dir, user, group)
            ))
        }
        None => error,
    }
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
