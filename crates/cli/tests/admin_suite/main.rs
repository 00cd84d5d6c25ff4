//! `countersign admin`, as an administrator uses it: beside a running server, or without one.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod audit;
mod backup;
mod gone;
mod invitations;
mod keys;
mod memory;
mod passkeys;
mod recovery;
mod rekey;
mod restore;
mod shared;
mod signing_keys;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
#[path = "../user/mod.rs"]
mod user;

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use countersign_client::{
    Client, ClientError, Login, LoginRequest, NewAccount, SavedToken, Transport, TransportOptions,
};
use countersign_protocol::keys::{NewKey, PrivateKey, Thumbprint};
use countersign_system::{SystemClock, SystemRandom};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Server, countersign};

/// How long a server may take to notice what an administrator did, on a busy machine.
const NOTICE: Duration = Duration::from_secs(30);

/// What a command wrote.
struct Said {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Said {
    /// What it wrote to standard output. It must have succeeded.
    fn result(self) -> String {
        assert!(self.succeeded, "it failed:\n{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it remarked. It must have succeeded.
    fn remark(self) -> String {
        assert!(self.succeeded, "it failed:\n{}", self.stderr);
        self.stderr
    }

    /// Why it failed, which it must have done without writing a result.
    fn refusal(self) -> String {
        assert!(!self.succeeded, "it succeeded:\n{}", self.stdout);
        assert_eq!(self.stdout, "", "a failure has no result");
        self.stderr
    }
}

/// Runs `countersign admin` on `data_dir`.
fn admin(data_dir: &Path, args: &[&str]) -> Said {
    run(&mut admin_command(data_dir, args))
}

/// The same, with `variable` set.
fn admin_with(data_dir: &Path, (name, value): (&str, &str), args: &[&str]) -> Said {
    run(admin_command(data_dir, args).env(name, value))
}

fn admin_command(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = countersign(["admin", "--data-dir"]);
    command.arg(data_dir).args(args);
    command
}

fn run(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        succeeded: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The lines of `text` as JSON.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kinds of all audit events, oldest first.
fn event_kinds(data_dir: &Path) -> Vec<String> {
    let said = admin(data_dir, &["audit", "--all", "--json", "--limit", "100000"]);
    let kind = |event: &Value| event["event"].as_str().unwrap().to_owned();
    json_lines(&said.result()).iter().map(kind).collect()
}

/// A data directory in which a server has run, with nobody registered.
fn used_data_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Server::start_in(dir.path(), &[]).kill();
    // Whoever closes the database last brings all of it into one file.
    admin(dir.path(), &["accounts", "list"]).result();
    dir
}

/// The names and contents of all files in `directory`, save the lock.
fn snapshot(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name != "server.lock")
        .map(|(name, path)| (name, fs::read(path).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

/// Asks again and again until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async { while !is_so().await {} };
    tokio::time::timeout(NOTICE, asking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Somebody with a key.
struct Person {
    name: String,
    client: Client,
    key: Arc<PrivateKey>,
}

impl Person {
    /// Somebody who knows `server` and is called `name`, but is not registered.
    async fn new(server: &Server, name: &str) -> Self {
        let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
        Self::with_key(server, name, key).await
    }

    async fn with_key(server: &Server, name: &str, key: PrivateKey) -> Self {
        Self::with_key_at(server.url(), name, Arc::new(key)).await
    }

    /// Somebody who knows the server, or servers, by the name `url`.
    async fn at_url(url: &str, name: &str) -> Self {
        let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
        Self::with_key_at(url, name, Arc::new(key)).await
    }

    async fn registered_at(url: &str, name: &str) -> Self {
        let person = Self::at_url(url, name).await;
        person.register(None).await.unwrap();
        person
    }

    async fn with_key_at(url: &str, name: &str, key: Arc<PrivateKey>) -> Self {
        let transport = Transport::new(TransportOptions::default()).unwrap();
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let client = Client::discover(url, transport, clock, random).await.unwrap();
        Self { name: name.to_owned(), client, key }
    }

    async fn registered(server: &Server, name: &str) -> Self {
        let person = Self::new(server, name).await;
        person.register(None).await.unwrap();
        person
    }

    /// The same, at another server.
    async fn at(&self, server: &Server) -> Self {
        Self::with_key_at(server.url(), &self.name, Arc::clone(&self.key)).await
    }

    async fn register(&self, enrolment_code: Option<&str>) -> Result<(), ClientError> {
        let label = Some("laptop");
        let account = NewAccount { username: &self.name, label, enrolment_code };
        self.client.register(&self.key, &account).await.map(drop)
    }

    /// A login that is not renewed when its token is dead.
    async fn login(&self, scope: Option<&str>) -> Result<Login, ClientError> {
        let request =
            LoginRequest { subject: &self.name, scope, resource: None, session_key: None };
        let login = self.client.login(&self.key, &request).await?;
        Ok(self.resume(login.save()))
    }

    /// Goes on with what was saved of a login.
    fn resume(&self, saved: SavedToken) -> Login {
        self.client.resume(Arc::clone(&self.key), saved)
    }

    fn thumbprint(&self) -> Thumbprint {
        self.key.public_key().thumbprint()
    }
}

/// Whether the server accepts the login's token; anything but a verdict is a failure.
async fn is_accepted(login: &Login) -> bool {
    match login.whoami().await {
        Ok(_) => true,
        Err(ClientError::Refused(refusal)) if refusal.status == 401 => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_command_explains_itself() {
    for command in [
        &["accounts"][..],
        &["audit"],
        &["backup"],
        &["check"],
        &["init"],
        &["invitations"],
        &["invite"],
        &["issuer"],
        &["keys"],
        &["migrate"],
        &["rekey"],
        &["restore"],
        &["signing-keys", "rotate"],
    ] {
        let help = admin(Path::new("."), &[command, &["--help"]].concat()).result();
        assert!(help.contains("Usage: countersign admin"), "{help}");
        assert!(help.contains("--data-dir"), "{help}");
    }
}
