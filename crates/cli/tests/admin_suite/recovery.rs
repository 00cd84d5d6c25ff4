//! What was lost is mended by an administrator, with the commands of the documents: the only key of an
//! account, a password, a master key.

use std::fs;

use super::{Person, Server, admin, admin_with, event_kinds, json_lines, user::User};

/// The events of an account, as its administrator reads them, with their details.
fn trail_of(server: &Server, name: &str) -> Vec<(String, String)> {
    let said = admin(server.data_dir(), &["audit", "--json", "--account", name]).result();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    json_lines(&said).iter().map(|line| (text(&line["event"]), text(&line["detail"]))).collect()
}

#[tokio::test]
async fn an_account_whose_only_key_is_lost_gets_another_one() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let lost = Person::registered(&server, "alice").await;
    let said = admin(dir, &["keys", "revoke", "alice", &lost.thumbprint().to_string()]).remark();
    assert!(said.contains("countersign admin invite alice --recover"), "{said}");
    let refusal = admin(dir, &["invite", "alice"]).refusal();
    assert!(refusal.contains("countersign admin invite alice --recover"), "{refusal}");

    let said = admin(dir, &["invite", "alice", "--recover"]);
    assert!(
        said.stderr.contains("use it with: countersign recover alice --code"),
        "{}",
        said.stderr
    );
    let code = said.result();
    let code = code.trim();
    let list = json_lines(&admin(dir, &["invitations", "list", "--json"]).result());
    assert_eq!((&list[0]["purpose"], &list[0]["username"]), (&"recover".into(), &"alice".into()));

    let alice = User::of(server.url());
    let wrong = alice.fails(&["recover", "bob", "--code", code]);
    assert!(wrong.contains("recovery-code"), "{wrong}");
    let registers = alice.fails(&["register", "carol", "--code", code]);
    assert!(registers.contains("countersign recover NAME"), "{registers}");
    let said = alice.does(&["recover", "alice", "--code", code, "--label", "new laptop"]);
    assert!(said.starts_with("alice is back at "), "{said}");
    assert!(alice.does(&["login"]).starts_with("logged in as alice at "));
    assert!(alice.does(&["keys", "list"]).contains("new laptop"));
    assert!(lost.login(None).await.is_err());
    let again = User::of(server.url()).fails(&["recover", "alice", "--code", code]);
    assert!(again.contains("recovery-code"), "{again}");

    for kind in ["recovery.created", "recovery.used", "key.added", "recovery.refused"] {
        // Refusals are gathered for a moment before they are written down.
        let is_written = async || trail_of(&server, "alice").iter().any(|(event, _)| event == kind);
        super::eventually(kind, is_written).await;
    }
}

#[tokio::test]
async fn a_code_can_revoke_the_others_and_a_key_from_a_file_can_be_let_in() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let other = Person::registered(&server, "alice").await;
    let login = other.login(None).await.unwrap();
    let said = admin(dir, &["invite", "alice", "--recover", "--revoke-others", "--expires", "5m"]);
    let code = said.result();
    assert!(super::is_accepted(&login).await, "not before the code is used");

    let alice = User::of(server.url());
    alice.openssl("genpkey -algorithm ED25519 -out key.pem");
    let recover = ["recover", "alice", "--code", code.trim(), "--key", "key.pem", "--no-keyring"];
    let said = alice.run(&recover);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("keys that were revoked by that: 1"), "{}", said.stderr);
    assert!(!super::is_accepted(&login).await);
    alice.does(&["login", "--key", "key.pem", "--username", "alice"]);
}

#[tokio::test]
async fn everybody_on_a_list_gets_a_code_that_leads_back() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let lost = Person::registered(&server, "alice").await;
    let _bob = Person::registered(&server, "bob").await;
    let list = dir.join("names.txt");
    fs::write(&list, "Alice\nbob\n").unwrap();
    let invite = ["invite", "--recover", "--revoke-others", "--names-from", list.to_str().unwrap()];
    let table = admin(dir, &invite).result();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows[1][0], rows[2][0], rows.len()), ("alice", "bob", 3));
    let alice = User::of(server.url());
    // With what copying puts around it.
    alice.does(&["recover", "alice", "--code", &format!(" {}\r\n", rows[1][1])]);
    assert!(lost.login(None).await.is_err(), "--revoke-others counts for a list too");

    fs::write(&list, "bob\ncarol\n").unwrap();
    let refusal = admin(dir, &invite).refusal();
    assert!(refusal.contains("no code is made; "), "{refusal}");
    assert!(refusal.contains("line 2: there is no account carol"), "{refusal}");
    let import = admin(dir, &["invite", "--recover", "--import", list.to_str().unwrap()]);
    assert!(import.refusal().contains("--import"));
}

#[test]
fn an_interrupted_recovery_is_gone_on_with() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let alice = User::of(server.url());
    alice.does(&["register", "alice", "--as", "old"]);
    let code = admin(dir, &["invite", "alice", "--recover"]).result();
    alice.openssl("genpkey -algorithm ED25519 -out key.pem");
    // The server did it, and its answer was lost.
    let key = ["--key", "key.pem"];
    alice.does(&[&["recover", "alice", "--code", code.trim(), "--no-keyring"], &key[..]].concat());
    let again = alice.does(&[&["recover", "alice", "--code", code.trim()], &key[..]].concat());
    assert!(again.starts_with("alice is back at "), "{again}");
    let used = alice.fails(&["recover", "alice", "--code", code.trim(), "--as", "third"]);
    assert!(used.contains("an administrator makes another"), "{used}");
    assert!(!alice.does(&["keyring", "list"]).contains("third"));
}

#[test]
fn a_forgotten_password_is_made_anew() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let forgetful = User::of(server.url());
    let register = ["register", "alice", "--dialect", "password", "--email", "alice@example.com"];
    forgetful.does(&register);
    forgetful.does(&["login", "--dialect", "password"]);
    let said = admin(dir, &["invite", "alice", "--recover"]);
    assert!(said.stderr.contains("add --dialect password"), "{}", said.stderr);
    let code = said.result();

    // On another device, where the keyring knows nothing of the account.
    let alice = User::of(server.url());
    let recover = ["recover", "alice", "--code", code.trim(), "--dialect", "password"];
    let said = alice.does(&recover);
    assert!(said.starts_with("alice is back at "), "{said}");
    assert!(alice.does(&["login", "--dialect", "password"]).starts_with("logged in as alice"));
    forgetful.does(&["logout"]);
    let old = forgetful.fails(&["login", "--dialect", "password"]);
    assert!(old.contains("401"), "{old}");

    // And where the entry of the account is still there, it gets the new password.
    let code = admin(dir, &["invite", "alice", "--recover"]).result();
    forgetful.does(&["recover", "alice", "--code", code.trim(), "--dialect", "password"]);
    assert!(forgetful.does(&["login", "--dialect", "password"]).starts_with("logged in as alice"));

    let trail = trail_of(&server, "alice");
    let used = trail.iter().filter(|(event, _)| event == "recovery.used").collect::<Vec<_>>();
    assert_eq!(used.len(), 2, "{trail:?}");
    assert!(used[0].1.starts_with("a new password, by the code"), "{used:?}");
}

#[test]
fn an_account_of_keys_has_no_password_to_be_made_anew() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let code = admin(server.data_dir(), &["invite", "alice", "--recover"]).result();
    let other = User::of(server.url());
    let recover = ["recover", "alice", "--code", code.trim(), "--dialect", "password"];
    let refused = other.fails(&recover);
    assert!(refused.contains("the account has no password"), "{refused}");
    other.does(&["recover", "alice", "--code", code.trim()]);
}

#[test]
fn codes_are_made_for_accounts_that_may_act() {
    let server = Server::start(&[]);
    let dir = server.data_dir();
    let nobody = admin(dir, &["invite", "nobody", "--recover"]).refusal();
    assert!(nobody.contains("there is no account nobody"), "{nobody}");
    User::of(server.url()).does(&["register", "alice"]);
    admin(dir, &["accounts", "disable", "alice"]).result();
    let refusal = admin(dir, &["invite", "alice", "--recover"]).refusal();
    assert!(refusal.contains("countersign admin accounts enable alice"), "{refusal}");
    admin(dir, &["accounts", "enable", "alice"]).result();
    admin(dir, &["invite", "alice", "--recover"]).result();
    let said = admin(dir, &["invite", "alice", "--recover"]).remark();
    assert!(said.contains("an earlier code for alice no longer works"), "{said}");
    assert_eq!(json_lines(&admin(dir, &["invitations", "list", "--json"]).result()).len(), 1);
}

#[tokio::test]
async fn a_server_whose_master_key_is_lost_starts_again_and_knows_everybody() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = data_dir.path();
    let mut server = Server::start_in(dir, &[]);
    let alice = Person::registered(&server, "alice").await;
    let login = alice.login(None).await.unwrap();
    let bob = User::of(server.url());
    bob.does(&["register", "bob", "--dialect", "passwordless"]);
    let token = login.token().expose().to_owned();
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    server.kill();
    fs::remove_file(dir.join("master.key")).unwrap();

    let refused = super::run(&mut serve(dir));
    assert!(refused.stderr.contains("--abandon-signing-keys"), "{}", refused.stderr);
    assert!(admin(dir, &["rekey", "--yes"]).refusal().contains("--abandon-signing-keys"));
    let abandon = ["rekey", "--abandon-signing-keys"];
    let asked = admin(dir, &abandon).refusal();
    for lost in ["signing key", "1 key pair of the server for accounts, as passwordless", "bob"] {
        assert!(asked.contains(lost), "{lost}: {asked}");
    }
    assert!(asked.contains("make a copy first: countersign admin backup"), "{asked}");
    assert!(asked.contains("say --yes"), "{asked}");
    assert!(!dir.join("master.key").exists(), "nothing has changed");
    admin(dir, &["rekey", "--abandon-signing-keys", "--yes"]).result();

    let server = Server::start_in(dir, &["--listen", &address]);
    alice.at(&server).await.login(None).await.unwrap();
    let check = whoami_status(&server, &token);
    assert_eq!(check, "401", "tokens of before are refused");
    assert!(
        bob.fails(&["login", "bob", "--dialect", "passwordless"]).contains("nothing was signed")
    );
    bob.does(&["login", "bob"]);
    assert!(event_kinds(dir).contains(&"master-key.abandoned".to_owned()));
    let said = admin(dir, &["audit", "--json", "--event", "master-key.abandoned"]).result();
    assert!(said.contains("1 key pairs for accounts"), "{said}");
    admin(dir, &["check"]).result();
}

#[test]
fn a_master_key_that_is_there_is_not_given_up() {
    let dir = super::used_data_dir();
    let refusal = admin(dir.path(), &["rekey", "--abandon-signing-keys", "--yes"]).refusal();
    assert!(refusal.contains("the master key is not lost"), "{refusal}");
    // A wrong one in the environment hides it, and is no reason either.
    let wrong = ("COUNTERSIGN_MASTER_KEY", "a passphrase of somebody else");
    let refusal = admin_with(dir.path(), wrong, &["rekey", "--abandon-signing-keys", "--yes"]);
    assert!(refusal.refusal().contains("the master key is not lost"));
    let path = dir.path().join("master.key");
    fs::write(&path, "some key of another server").unwrap();
    let refusal = admin(dir.path(), &["rekey", "--abandon-signing-keys", "--yes"]).refusal();
    assert!(refusal.contains("move it away"), "{refusal}");
    fs::remove_file(&path).unwrap();
    let said = admin_with(dir.path(), wrong, &["rekey", "--abandon-signing-keys", "--yes"]);
    assert!(said.remark().contains("from now on COUNTERSIGN_MASTER_KEY must not be set"));
    Server::start_in(dir.path(), &[]).kill();
}

fn serve(dir: &std::path::Path) -> std::process::Command {
    let mut command = super::countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir);
    command
}

/// The status of a request with a token of before; its proof would not even be looked at.
fn whoami_status(server: &Server, token: &str) -> String {
    let mut command = std::process::Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"]);
    command.arg(format!("Authorization: DPoP {token}")).arg(format!("{}/v1/whoami", server.url()));
    super::run(&mut command).result()
}
