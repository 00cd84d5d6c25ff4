//! The real program, as a server and as a command.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// `countersign serve` on a free port; stopped on drop.
pub(crate) struct Server {
    url: String,
    data_dir: PathBuf,
    child: Child,
    stderr: Option<JoinHandle<String>>,
    /// The place of the data directory, unless the test cares for it.
    temporary: Option<TempDir>,
}

impl Server {
    /// Starts a server in a data directory of its own.
    pub(crate) fn start(extra_args: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(&temporary.path().join("data"), extra_args);
        server.temporary = Some(temporary);
        server
    }

    /// Starts a server in a data directory that outlives it.
    pub(crate) fn start_in(data_dir: &Path, extra_args: &[&str]) -> Self {
        let mut command = countersign(["serve", "--data-dir"]);
        command.arg(data_dir).args(extra_args);
        if !extra_args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        // Many tests share the one address.
        command.env("COUNTERSIGN_RATE_LIMITS", "off");
        Self::start_command(command, data_dir)
    }

    /// Starts a server by a command of the caller's own.
    pub(crate) fn start_command(mut command: Command, data_dir: &Path) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
        let (url, stderr) = watch(child.stderr.take().unwrap());
        let url = url.recv_timeout(START);
        let data_dir = data_dir.to_owned();
        let stderr = Some(stderr);
        let mut server = Self { url: String::new(), data_dir, child, stderr, temporary: None };
        server.url = url.unwrap_or_else(|_| panic!("no server:\n{}", server.kill()));
        server
    }

    /// The origin, such as `http://127.0.0.1:43210`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where database and master key lie.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Waits until the server has ended by itself, and returns all that it wrote to standard error.
    pub(crate) fn wait_for_end(&mut self) -> String {
        self.stderr.take().map(|stderr| stderr.join().unwrap()).unwrap_or_default()
    }

    /// Stops the server at once, as a power cut would, and returns all that it wrote to standard
    /// error.
    pub(crate) fn kill(&mut self) -> String {
        // An error means that it has stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.wait_for_end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        drop(self.temporary.take());
    }
}

// Each file of tests uses a part of the fixture.
const _: fn(&[&str]) -> Server = Server::start;
const _: fn(&Server) -> &Path = Server::data_dir;
const _: fn(&Server) -> &str = Server::url;
const _: fn(&Server) -> u32 = Server::pid;

/// The program with `args`, an empty environment and nothing to read.
pub(crate) fn countersign<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// Reads the lines of a server for as long as it lives; sends where it listens.
fn watch(stderr: ChildStderr) -> (mpsc::Receiver<String>, JoinHandle<String>) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut text = String::new();
        loop {
            let start = text.len();
            if lines.read_line(&mut text).unwrap_or(0) == 0 {
                break;
            }
            let line = &text[start..];
            if let Some((url, _)) =
                line.strip_prefix("listening on ").and_then(|rest| rest.split_once(','))
            {
                let _ = sender.send(url.to_owned());
                drop(sender);
                break;
            }
        }
        let _ = lines.read_to_string(&mut text);
        text
    });
    (receiver, thread)
}
