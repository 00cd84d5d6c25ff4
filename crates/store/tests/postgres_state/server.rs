//! A database server that a test may crash.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

/// A server with a directory and a port of its own, which ends with the test.
pub(crate) struct Server {
    directory: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// A new one, which keeps what it acknowledges, as those of operators do.
    pub(crate) async fn start() -> Self {
        let mut server = Self::stopped();
        let initialise = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D"];
        run(as_owner("initdb").args(initialise).arg(server.data()));
        server.go().await;
        server
    }

    /// A standby that follows this server.
    pub(crate) async fn standby(&self) -> Self {
        let mut standby = Self::stopped();
        let copy = ["-R", "-h", "127.0.0.1", "-U", "postgres", "-c", "fast", "--no-sync", "-p"];
        run(as_owner("pg_basebackup")
            .args(copy)
            .arg(self.port.to_string())
            .arg("-D")
            .arg(standby.data()));
        standby.go().await;
        standby
    }

    /// Copies the log of this server until the copier is dropped.
    pub(crate) fn copy_log(&self) -> Copier {
        let mut command = as_owner("pg_receivewal");
        command.args(["-h", "127.0.0.1", "-U", "postgres", "--no-sync", "-p"]);
        command.arg(self.port.to_string()).arg("-D").arg(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Copier(command.spawn().unwrap())
    }

    fn stopped() -> Self {
        let directory = TempDir::new().unwrap();
        let owner = owner();
        if let Some((user, group)) = owner {
            chown(directory.path(), Some(user), Some(group)).unwrap();
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        }
        Self { directory, port: free_port(), process: None }
    }

    /// Starts the server, and waits until it lets somebody in.
    pub(crate) async fn go(&mut self) {
        let going = async {
            self.process = Some(self.spawn());
            while self.try_client().await.is_none() {
                let ended = self.process.as_mut().unwrap().try_wait().unwrap();
                // It does not start beside processes of a crash, which may be there for a moment.
                if ended.is_some() {
                    self.process = Some(self.spawn());
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), going).await.unwrap();
    }

    fn spawn(&self) -> Child {
        let settings = ["listen_addresses=127.0.0.1", "max_connections=60", "wal_keep_size=256MB"];
        let mut command = as_owner("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        command.arg("-p").arg(self.port.to_string());
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        run(as_owner("pg_ctl").args(["promote", "-w", "-D"]).arg(self.data()));
    }

    /// All its processes end at once.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        self.process.take().unwrap().wait().unwrap();
    }

    /// Ends in order.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        send("-INT", &[process.id()]);
        process.wait().unwrap();
    }

    /// Stops all its processes.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// The first is the one that starts all others.
    fn signal(&self, name: &str) {
        let main = self.process.as_ref().unwrap().id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().map(|child| child.parse().unwrap());
        send(name, &[vec![main], children.collect()].concat());
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address())
    }

    /// A connection.
    pub(crate) async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    async fn try_client(&self) -> Option<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.ok()?;
        tokio::spawn(async move {
            let _: Result<_, _> = connection.await;
        });
        Some(client)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.thaw();
            self.kill();
        }
    }
}

/// A program that copies the log of a server.
pub(crate) struct Copier(Child);

impl Drop for Copier {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn send(signal: &str, processes: &[u32]) {
    // Some may have ended meanwhile.
    let processes = processes.iter().map(u32::to_string);
    let _: std::process::ExitStatus =
        Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status().unwrap();
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A program of the newest PostgreSQL here, which refuses to run as root. It ends with the test.
pub(crate) fn as_owner(program: &str) -> Command {
    let program = programs().join(program);
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL").current_dir("/");
    if owner().is_some() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg("--").arg(program);
    command
}

fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).max_by_key(|path| number(path));
    newest.expect("PostgreSQL is not installed (Debian: apt-get install postgresql)").join("bin")
}

/// The user and the group of the server, where this is root.
fn owner() -> Option<(u32, u32)> {
    let id = |what: &str| {
        let output = Command::new("id").args([what, "postgres"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    };
    let own = Command::new("id").arg("-u").output().unwrap();
    (own.stdout == b"0\n").then(|| (id("-u"), id("-g")))
}

fn free_port() -> u16 {
    // Servers take ports below those that the system gives to connections.
    let seed = usize::try_from(std::process::id()).unwrap() * 17;
    let port = |number: usize| u16::try_from(20_000 + (seed + number) % 12_000).unwrap();
    (0..12_000).map(port).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
