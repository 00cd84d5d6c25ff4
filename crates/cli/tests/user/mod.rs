//! Somebody with a home directory and a server.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use super::support::countersign;

/// The passphrase of every keyring here.
pub(crate) const PASSPHRASE: &str = "correct horse";

pub(crate) struct User {
    home: TempDir,
    server: String,
}

/// What a command did.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl User {
    pub(crate) fn of(server: &str) -> Self {
        Self { home: tempfile::tempdir().unwrap(), server: server.to_owned() }
    }

    /// The command, with a home, a server and a passphrase.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = countersign(args);
        command
            .env("HOME", self.home.path())
            .env("COUNTERSIGN_SERVER", &self.server)
            .env("COUNTERSIGN_PASSPHRASE", PASSPHRASE)
            .current_dir(self.home.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args))
    }

    /// The standard output of a command that succeeds.
    pub(crate) fn does(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.status, 0, "{args:?}\n{}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// The standard error of a command that fails.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.status, 1, "{args:?}\n{}{}", said.stdout, said.stderr);
        let explains = |line: &str| line.starts_with("countersign: ");
        assert!(said.stderr.lines().any(explains), "{}", said.stderr);
        said.stderr
    }

    /// A path in the home directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.path(".local/share/countersign/keyring.json")
    }

    /// Runs OpenSSL, which must succeed, in the home directory.
    pub(crate) fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        command.args(args.split(' ')).current_dir(self.home.path());
        let said = Said::of(command);
        assert_eq!(said.status, 0, "openssl {args}\n{}", said.stderr);
    }
}

impl Said {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
        Self {
            status: status.code().expect("an exit status"),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

// Each file of tests uses a part of these.
const _: fn(&User, &str) = User::openssl;
const _: fn(&User) -> PathBuf = User::keyring;
const _: fn(&User, &[&str]) -> String = User::fails;
const _: fn(&Path, &str) = write_private;
