//! `countersign serve`, as the system around it treats it: signals and environments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// `countersign serve` on a free port.
fn serve(data_dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command.env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A running server, and what it says.
struct Server {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, lines };
        server.says("listening on ");
        server
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line with `text`.
    fn says(&mut self, text: &str) -> String {
        let mut said = String::new();
        loop {
            let start = said.len();
            let length = self.lines.read_line(&mut said).unwrap();
            assert!(length > 0, "it ended without {text:?}:\n{said}");
            if said[start..].contains(text) {
                return said;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn signals_that_ask_for_a_reload_are_ignored_and_said_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(serve(dir.path(), &[]));
    for (signal, name) in
        [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")]
    {
        server.send(signal);
        server.says(name);
        server.send(signal);
    }
    server.send(Signal::TERM);
    let rest = server.says("stopped");
    assert!(!rest.contains("SIGHUP"), "once: {rest}");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn an_environment_of_empty_variables_and_service_links_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [
        ("COUNTERSIGN_CONFIG", ""),
        ("COUNTERSIGN_DATABASE", ""),
        ("COUNTERSIGN_DATA_DIR", ""),
        ("COUNTERSIGN_ISSUER", ""),
        ("COUNTERSIGN_LISTEN", ""),
        ("COUNTERSIGN_LOG_LEVEL", ""),
        ("COUNTERSIGN_MASTER_KEY", ""),
        ("COUNTERSIGN_TLS_CERT", ""),
        ("COUNTERSIGN_TLS_KEY", ""),
        ("COUNTERSIGN_TOKENS_LIFETIME", ""),
        ("NOT_MY_KEY", ""),
        ("COUNTERSIGN_PORT", "tcp://10.43.0.9:8080"),
        ("COUNTERSIGN_SERVICE_HOST", "10.43.0.9"),
    ];
    drop(Server::start(serve(dir.path(), &environment)));
    assert!(dir.path().join("master.key").exists(), "an empty key is none, so it made one");
    drop(Server::start(serve(dir.path(), &environment)));
}
