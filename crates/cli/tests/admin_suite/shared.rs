//! Servers that share a PostgreSQL database, and the commands that are about such a one.

mod balancer;
mod databases;
mod failures;
mod moving;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use tempfile::TempDir;

use self::{balancer::Balancer, databases::Database};
use super::{Person, Said, Server, countersign, eventually, is_accepted, json_lines, run};

/// A database that is ready for servers, and the data directory with its master key.
struct Shared {
    database: Database,
    data_dir: TempDir,
}

impl Shared {
    fn new() -> Self {
        let shared = Self::empty();
        shared.admin(&["init"]).remark();
        shared
    }

    fn empty() -> Self {
        Self { database: Database::new(), data_dir: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> &Path {
        self.data_dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = countersign(args);
        command.arg("--data-dir").arg(self.directory());
        command.args(["--database-url", self.database.url()]);
        command
    }

    fn admin(&self, args: &[&str]) -> Said {
        run(&mut self.command(&[&["admin"], args].concat()))
    }

    /// A server that goes by `issuer`.
    fn server(&self, issuer: &str) -> Server {
        Server::start_command(self.serve(issuer), self.directory())
    }

    fn serve(&self, issuer: &str) -> Command {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--issuer", issuer]);
        command.env("COUNTERSIGN_RATE_LIMITS", "off");
        command
    }

    /// What a start says that is refused.
    fn refused_start(&self, args: &[&str]) -> String {
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        run(&mut self.command(&[&serve[..], args].concat())).refusal()
    }
}

#[test]
fn a_database_is_made_ready_once_and_by_no_server() {
    let shared = Shared::empty();
    let refusal = shared.refused_start(&[]);
    assert!(refusal.contains("the database is empty"), "{refusal}");
    assert!(refusal.contains("countersign admin init"), "{refusal}");
    let refusal = shared.admin(&["migrate"]).refusal();
    assert!(refusal.contains("countersign admin init"), "{refusal}");
    assert!(!shared.directory().join("master.key").exists());

    let said = shared.admin(&["init"]).remark();
    assert!(said.contains("made the master key"), "{said}");
    let key = fs::read(shared.directory().join("master.key")).unwrap();
    let keys = shared.admin(&["signing-keys", "list", "--json"]).result();
    assert!(!keys.is_empty());

    let said = shared.admin(&["init"]).remark();
    assert!(said.contains("is ready already"), "{said}");
    assert_eq!(fs::read(shared.directory().join("master.key")).unwrap(), key);
    assert_eq!(shared.admin(&["signing-keys", "list", "--json"]).result(), keys);
    let said = shared.admin(&["migrate"]).remark();
    assert!(said.contains("schema version 1 already"), "{said}");

    fs::remove_file(shared.directory().join("master.key")).unwrap();
    let refusal = shared.refused_start(&[]);
    assert!(refusal.contains("every server of a database needs its master key"), "{refusal}");
    assert!(!shared.directory().join("master.key").exists());
}

#[test]
fn of_several_who_make_it_ready_at_once_one_has_the_key_and_the_others_have_none() {
    let shared = Shared::empty();
    let elsewhere = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d"];
    let init = |name: &str| {
        let mut command = countersign(["admin", "init", "--database-url", shared.database.url()]);
        command.arg("--data-dir").arg(elsewhere.path().join(name));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for mut child in names.map(init) {
        child.wait().unwrap();
    }
    let keys = names.map(|name| elsewhere.path().join(name).join("master.key"));
    let made: Vec<_> = keys.iter().filter(|key| key.exists()).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    fs::copy(made[0], shared.directory().join("master.key")).unwrap();
    shared.server("http://localhost:1");
}

#[test]
fn servers_may_start_for_the_first_time_at_once() {
    let shared = Shared::new();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| shared.server("http://localhost:1"));
        }
    });
}

#[test]
fn what_was_interrupted_is_finished_with_the_same_key() {
    let shared = Shared::new();
    let key = fs::read(shared.directory().join("master.key")).unwrap();
    shared.database.run("TRUNCATE keys, signing_keys, native_keys CASCADE");
    let said = shared.admin(&["init"]).remark();
    assert!(said.contains("ready: tables and signing keys"), "{said}");
    assert_eq!(fs::read(shared.directory().join("master.key")).unwrap(), key);
    shared.database.run("DELETE FROM vault");
    let refusal = shared.refused_start(&[]);
    assert!(refusal.contains("has no vault yet"), "{refusal}");
}

#[tokio::test]
async fn what_happens_at_one_server_counts_at_the_others() {
    let shared = Shared::new();
    let balancer = Balancer::start();
    let (one, other) = (shared.server(balancer.url()), shared.server(balancer.url()));
    // A client of its own has a connection of its own.
    let at = async |server: &Server, person: &Person| {
        balancer.lead_to(server.url());
        Person::with_key_at(balancer.url(), &person.name, Arc::clone(&person.key)).await
    };
    balancer.lead_to(one.url());
    let alice = Person::registered_at(balancer.url(), "alice").await;
    let login = alice.login(None).await.unwrap();

    let elsewhere = at(&other, &alice).await;
    elsewhere.login(None).await.unwrap();
    assert!(is_accepted(&elsewhere.resume(login.save())).await, "a token of the first server");

    let thumbprint = alice.thumbprint().to_string();
    shared.admin(&["keys", "revoke", "alice", &thumbprint]).result();
    for server in [&one, &other] {
        let person = at(server, &alice).await;
        let resumed = person.resume(login.save());
        eventually("the token dies everywhere", async || !is_accepted(&resumed).await).await;
        assert!(person.login(None).await.is_err());
    }
}

#[tokio::test]
async fn administrators_need_the_url_and_no_file() {
    let shared = Shared::new();
    let balancer = Balancer::start();
    let server = shared.server(balancer.url());
    balancer.lead_to(server.url());
    let alice = Person::registered_at(balancer.url(), "alice").await;

    let accounts = shared.admin(&["accounts", "list", "--json"]).result();
    assert_eq!(json_lines(&accounts)[0]["username"], "alice");
    let code = shared.admin(&["invite", "bob"]).result();
    let bob = Person::at_url(balancer.url(), "bob").await;
    bob.register(Some(code.trim())).await.unwrap();
    shared.admin(&["accounts", "disable", "bob", "--as", "carol"]).result();
    let events = shared.admin(&["audit", "--account", "bob", "--json"]).result();
    let disabled = json_lines(&events).pop().unwrap();
    assert_eq!(disabled["event"], "account.disabled");
    assert!(disabled["actor"].as_str().unwrap().starts_with("carol (uid "), "{disabled}");
    let login = alice.login(None).await.unwrap();
    shared.admin(&["signing-keys", "rotate", "--withdraw"]).result();
    eventually("the key is withdrawn", async || !is_accepted(&login).await).await;

    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = countersign(["admin", "accounts", "list", "--data-dir"]);
    command
        .arg(elsewhere.path().join("none"))
        .env("COUNTERSIGN_DATABASE_URL", shared.database.url());
    assert!(run(&mut command).result().contains("alice"));
}

#[test]
fn servers_of_one_database_have_one_issuer_until_all_of_them_get_another() {
    let shared = Shared::new();
    let mut server = shared.server("http://localhost:1");
    let refusal = shared.refused_start(&["--issuer", "http://localhost:2"]);
    assert!(refusal.contains("go by http://localhost:1"), "{refusal}");
    assert!(refusal.contains("countersign admin issuer http://localhost:2"), "{refusal}");
    let refusal = shared.admin(&["issuer", "http://localhost:2"]).refusal();
    assert!(refusal.contains("stop the servers first"), "{refusal}");
    server.kill();
    shared.forget_servers();
    shared.admin(&["issuer", "http://localhost:2"]).remark();
    let said = shared.admin(&["init", "--issuer", "http://localhost:3"]).remark();
    assert!(said.contains("is ready already"), "{said}");
    let refusal = shared.refused_start(&["--issuer", "http://localhost:1"]);
    assert!(refusal.contains("go by http://localhost:2"), "{refusal}");
    shared.server("http://localhost:2");
}

#[test]
fn of_two_servers_with_one_name_the_second_does_not_start_unless_the_first_was_killed() {
    let shared = Shared::new();
    let named = || {
        let mut command = shared.serve("http://localhost:1");
        command.env("COUNTERSIGN_CLUSTER_NODE_ID", "auth-1");
        command
    };
    let start = || Server::start_command(named(), shared.directory());
    let mut first = start();
    let refusal = run(&mut named()).refusal();
    assert!(refusal.contains("another server of this database is called auth-1 too"), "{refusal}");
    first.kill();
    let mut second = start();
    // It has the name until another has taken it, as one on a machine that stood still finds out.
    shared.database.run("UPDATE nodes SET started_at = started_at + 1");
    let said = second.wait_for_end();
    assert!(said.contains("another server of this database is called auth-1 too"), "{said}");
}

#[test]
fn the_issuer_may_be_decided_before_any_server_starts() {
    let shared = Shared::empty();
    shared.admin(&["init", "--issuer", "http://localhost:1"]).remark();
    let refusal = shared.refused_start(&["--issuer", "http://localhost:2"]);
    assert!(refusal.contains("go by http://localhost:1"), "{refusal}");
    shared.server("http://localhost:1");
}

#[test]
fn the_master_key_changes_while_no_server_runs() {
    let shared = Shared::new();
    let mut server = shared.server("http://localhost:1");
    let refusal = shared.admin(&["rekey", "--yes"]).refusal();
    assert!(refusal.contains("stop the servers first"), "{refusal}");
    server.kill();
    shared.forget_servers();
    let path = shared.directory().join("master.key");
    let old = fs::read(&path).unwrap();
    let said = shared.admin(&["rekey", "--yes"]).remark();
    assert!(said.contains("every server needs the new master key"), "{said}");
    let new = fs::read(&path).unwrap();
    assert_ne!(new, old);
    fs::write(&path, &old).unwrap();
    let refusal = shared.refused_start(&["--issuer", "http://localhost:1"]);
    assert!(refusal.contains("wrong master key"), "{refusal}");
    fs::write(&path, &new).unwrap();
    shared.server("http://localhost:1");
}

#[test]
fn a_check_shows_the_servers_and_their_clocks() {
    let shared = Shared::new();
    let _server = shared.server("http://localhost:1");
    let said = shared.admin(&["check"]).result();
    for part in [
        "database      ok: 0 accounts",
        "server        ok: PostgreSQL ",
        "takes writes; schema version 1,",
        "standbys      ok: 0 standbys",
        "clock         ok: this machine is ",
        "master key    ok: ",
        "issuer        ok: http://localhost:1 ",
        "nodes         1 server running",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

impl Shared {
    /// As if those that were killed had been silent for long.
    fn forget_servers(&self) {
        self.database.run("DELETE FROM nodes");
    }
}
