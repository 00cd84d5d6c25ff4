//! `countersign serve`, as the system around it treats it: signals and environments.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
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
    fn start(command: Command) -> Self {
        let mut server = Self::spawn(command);
        server.says("listening on ");
        server
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
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

/// `countersign healthcheck` with these arguments.
fn healthcheck(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("healthcheck").args(args).env_clear().env("http_proxy", "http://192.0.2.1:1");
    command.output().unwrap()
}

/// The port in the line that says where the server listens.
fn port(said: &str) -> String {
    let (_, rest) = said.split_once("listening on http://127.0.0.1:").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

#[test]
fn a_healthcheck_succeeds_while_the_server_is_ready_and_fails_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = serve(dir.path(), &[]).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let mut server = Server { child, lines };
    let port = port(&server.says("listening on "));
    let address = format!("127.0.0.1:{port}");
    let url = format!("http://{address}/");
    for args in [&["--listen", &address][..], &["--url", &url]] {
        let asked = healthcheck(args);
        assert!(asked.status.success(), "{asked:?}");
        assert_eq!(asked.stdout, b"ready\n");
    }
    // Moved away, as by an administrator's mistake: it answers, but is not ready.
    fs::rename(dir.path().join("countersign.db"), dir.path().join("elsewhere")).unwrap();
    server.says("the store is not where it was");
    // A good answer holds for a second.
    let mut asked = (0..1000).map(|_| healthcheck(&["--listen", &address]));
    let asked = asked.find(|asked| !asked.status.success()).unwrap();
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stderr).contains("answers 503"), "{asked:?}");
    drop(server);
    let asked = healthcheck(&["--listen", &address, "--timeout", "3"]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stderr).contains("does not answer"), "{asked:?}");
}

#[test]
fn the_service_manager_learns_when_the_server_is_ready_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let data_dir = dir.path().join("data");
    let mut child = serve(&data_dir, &[("NOTIFY_SOCKET", path.to_str().unwrap())]).spawn().unwrap();
    let received = || {
        let mut message = [0; 100];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(received(), "READY=1");
    let lines = BufReader::new(child.stderr.take().unwrap());
    let server = Server { child, lines };
    server.send(Signal::TERM);
    assert_eq!(received(), "STOPPING=1");
}

#[test]
fn a_server_that_drains_answers_but_is_not_ready_and_a_second_signal_ends_it() {
    for second in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let delay = ("COUNTERSIGN_CLUSTER_DRAIN_DELAY", "300");
        let mut server = Server::spawn(serve(dir.path(), &[delay]));
        let port = port(&server.says("listening on "));
        let address = format!("127.0.0.1:{port}");
        assert!(healthcheck(&["--listen", &address]).status.success());
        server.send(Signal::TERM);
        server.says("not ready any more");
        // By new connections, as a load balancer makes them.
        for _ in 0..2 {
            let asked = healthcheck(&["--listen", &address]);
            assert_eq!(asked.status.code(), Some(1), "{asked:?}");
            assert!(String::from_utf8_lossy(&asked.stderr).contains("answers 503"), "{asked:?}");
        }
        server.send(second);
        server.says("requests under way may finish");
        assert!(server.child.wait().unwrap().success());
        assert!(TcpStream::connect(&address).is_err());
    }
}

#[test]
fn a_server_without_a_delay_stops_at_the_first_signal() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(serve(dir.path(), &[]));
    server.send(Signal::TERM);
    let said = server.says("requests under way may finish");
    assert!(!said.contains("not ready"), "{said}");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_start_whose_standard_error_is_full_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let data_dir = dir.path().join("data");
    let mut command = serve(&data_dir, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    command.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut child = command.spawn().unwrap();
    socket.recv(&mut [0; 100]).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    // What cannot start has a status, though nobody can be told why.
    let mut command = serve(&data_dir, &[("COUNTERSIGN_LISTN", "x")]);
    command.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert_eq!(command.status().unwrap().code(), Some(1));
    let mut wrong = serve(&data_dir, &[]);
    wrong.arg("--no-such-option");
    wrong.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert_eq!(wrong.status().unwrap().code(), Some(2));
}

#[test]
fn an_address_to_listen_on_that_is_none_is_answered_with_examples() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [":8080", "localhost", "box.lan:8080", "localhost:+80", "8080", "::1:80x"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--listen", wrong, "--data-dir"]).arg(dir.path()).env_clear();
        let by_option = command.output().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--data-dir"]).arg(dir.path());
        let by_variable = command.env_clear().env("COUNTERSIGN_LISTEN", wrong).output().unwrap();
        for (output, status) in [(by_option, 2), (by_variable, 1)] {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(status), "{told}");
            assert!(told.contains("127.0.0.1:8080") && told.contains(wrong), "{told}");
        }
    }
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["serve", "--listen", "localhost:0", "--data-dir"]).arg(dir.path()).env_clear();
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut server = Server::spawn(command);
    let said = server.says("listening on ");
    let (_, rest) = said.split_once("listening on http://localhost:").unwrap();
    let port: u16 = rest.split(',').next().unwrap().parse().unwrap();
    assert!(server.says("try: ").ends_with(&format!("--server http://localhost:{port}\n")));
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    if TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", port)).unwrap();
    }
    let asked = healthcheck(&["--listen", &format!("localhost:{port}")]);
    assert!(asked.status.success(), "{asked:?}");
}

#[test]
fn a_master_key_may_be_for_a_group_of_the_process_and_not_for_all() {
    let dir = tempfile::tempdir().unwrap();
    drop(Server::start(serve(dir.path(), &[])));
    let key = dir.path().join("master.key");
    let set = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o660, 0o440] {
        set(mode);
        drop(Server::start(serve(dir.path(), &[])));
    }
    set(0o644);
    let refused = serve(dir.path(), &[]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("mode 0644") && told.contains("COUNTERSIGN_MASTER_KEY"), "{told}");
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

#[test]
fn with_json_logs_every_line_is_json_the_first_and_the_last_too() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("COUNTERSIGN_LOG_FORMAT", "json"), ("COUNTERSIGN_RATE_LIMITS", "off")];
    let mut server = Server::spawn(serve(dir.path(), &settings));
    let mut said = server.says("listening on ");
    said += &server.says("try: countersign register");
    // A second server cannot have the same data directory.
    let failed = serve(dir.path(), &settings).output().unwrap();
    assert!(!failed.status.success());
    said += &String::from_utf8(failed.stderr).unwrap();
    server.send(Signal::TERM);
    said += &server.says("stopped");
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let levels_of = |text: &str| {
        let found = lines.iter().filter(|line| line["message"].as_str().unwrap().contains(text));
        found.map(|line| line["level"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(levels_of("made the master key"), ["INFO"]);
    assert_eq!(levels_of("rate limits are OFF"), ["WARN"]);
    assert_eq!(levels_of("countersign: "), ["ERROR"]);
}
