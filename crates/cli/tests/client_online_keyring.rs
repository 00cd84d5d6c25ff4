//! The online keyring: what people do with it, and what becomes of wrong passwords and of two devices.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod user;

use std::{process::Stdio, thread};

use support::{Server, countersign};
use user::{PASSPHRASE, Said, User, write_private};

const PASSWORD: &str = "online battery staple";

/// Runs a command of `user`, which says the password of the online keyring.
fn online(user: &User, password: &str, args: &[&str]) -> Said {
    let mut command = user.command(&[&["keyring"], args].concat());
    command.env("COUNTERSIGN_ONLINE_PASSWORD", password);
    Said::of(command)
}

/// The standard output of such a command, which succeeds.
fn does(user: &User, args: &[&str]) -> String {
    let said = online(user, PASSWORD, args);
    assert_eq!(said.status, 0, "{args:?}\n{}{}", said.stdout, said.stderr);
    said.stdout
}

/// The standard error of such a command, which fails.
fn fails(user: &User, args: &[&str]) -> String {
    let said = online(user, PASSWORD, args);
    assert_eq!(said.status, 1, "{args:?}\n{}{}", said.stdout, said.stderr);
    said.stderr
}

/// Alice, whose keyring is online, and its recovery code.
fn alice(server: &Server) -> (User, String) {
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let said = does(&alice, &["push"]);
    let code = said.lines().find_map(|line| line.strip_prefix("recovery code: ")).unwrap();
    assert_eq!(code.len(), 39, "{code}");
    (alice, code.to_owned())
}

fn private_key(user: &User, entry: &str) -> String {
    user.does(&["keyring", "export", entry, "--reveal-private-key"])
}

#[test]
fn a_keyring_that_was_pushed_is_pulled_where_there_is_nothing() {
    let server = Server::start(&[]);
    let (alice, code) = alice(&server);
    let empty = User::of(server.url());
    let pulled = does(&empty, &["pull", "alice"]);
    assert_eq!(pulled, "added to the keyring: alice\n");
    assert_eq!(private_key(&empty, "alice"), private_key(&alice, "alice"));
    assert!(empty.does(&["whoami"]).contains("alice"));
    assert!(does(&empty, &["pull"]).contains("has all of it already"), "whose, says the entry");
    assert!(does(&alice, &["push"]).contains("has all of it already"));

    // Who has forgotten the password types the code as it comes.
    let other = User::of(server.url());
    write_private(&other.path("code"), &code.to_lowercase().replace('-', " "));
    let args = ["keyring", "pull", "alice", "--recovery", "--recovery-code-file", "code"];
    assert_eq!(other.does(&args), "added to the keyring: alice\n");

    let status = alice.does(&["keyring", "online"]);
    for told in ["revision", "opened by  password, since", "opened by  recovery code, since"] {
        assert!(status.contains(told), "{status}");
    }
    let status = alice.does(&["keyring", "online", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["keyring"]["slots"].as_array().unwrap().len(), 2);
}

#[test]
fn a_wrong_password_and_an_unknown_account_are_told_alike() {
    let server = Server::start(&[]);
    let (_alice, _) = alice(&server);
    let empty = User::of(server.url());
    let wrong = online(&empty, "another password", &["pull", "alice"]);
    assert_eq!(wrong.status, 1);
    let told = |username: &str| {
        format!(
            "the password is not right, or {username} has no online keyring at {}",
            server.url()
        )
    };
    assert!(wrong.stderr.contains(&told("alice")), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("--recovery"), "{}", wrong.stderr);
    let unknown = fails(&empty, &["pull", "nobody"]);
    assert!(unknown.contains(&told("nobody")), "{unknown}");
    assert!(!empty.keyring().exists(), "nothing was made");
    let whose = fails(&empty, &["pull"]);
    assert!(whose.contains("countersign keyring pull NAME"), "{whose}");
    let code = empty.fails(&["keyring", "pull", "alice", "--recovery"]);
    assert!(code.contains("set COUNTERSIGN_RECOVERY_CODE, or set"), "{code}");
    let whose = format!("Recovery code of the online keyring of alice at {}: ", server.url());
    assert!(code.contains(&format!("{whose}there is no terminal to ask at")), "{code}");
}

#[test]
fn too_many_tries_are_told_with_the_time_to_wait() {
    let data = tempfile::tempdir().unwrap();
    let mut command = countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data.path().join("data"));
    // A server begins with half of them used.
    command.env("COUNTERSIGN_RATE_LIMITS_KEYRING_TRIES", "10");
    let server = Server::start_command(command, data.path());
    let (alice, _) = alice(&server);
    let empty = User::of(server.url());
    for _ in 0..5 {
        let wrong = online(&empty, "another password", &["pull", "alice"]).stderr;
        assert!(wrong.contains("the password is not right"), "{wrong}");
    }
    for user in [&empty, &alice] {
        let refused = fails(user, &["pull", "alice"]);
        assert!(refused.contains("HTTP 429"), "{refused}");
        assert!(refused.contains("try again in") && refused.contains("minutes"), "{refused}");
    }
}

#[test]
fn entries_that_differ_are_refused_unless_they_are_to_replace() {
    let server = Server::start(&[]);
    let (alice, _) = alice(&server);
    let other = User::of(server.url());
    does(&other, &["pull", "alice"]);
    for (user, name) in [(&alice, "one"), (&other, "two")] {
        user.openssl("genpkey -algorithm ED25519 -out key.pem");
        let server = ["--server", "https://elsewhere.example"];
        user.does(
            &[&["keyring", "import", "spare", "key.pem", "--username", name], &server[..]].concat(),
        );
    }
    assert_eq!(does(&alice, &["push", "--as", "alice"]), "added to the online keyring: spare\n");
    let before = private_key(&other, "spare");
    for args in [&["push", "--as", "alice"][..], &["pull", "alice"]] {
        let refused = fails(&other, args);
        assert!(refused.contains("the entry spare differs"), "{refused}");
        assert!(refused.contains("--replace"), "{refused}");
    }
    assert_eq!(private_key(&other, "spare"), before);
    let spare = private_key(&alice, "spare");
    assert_ne!(spare, before);
    let replaced = does(&other, &["pull", "alice", "--replace"]);
    let kept = "kept in the keyring: what was spare, as spare-2\n";
    assert_eq!(replaced, format!("replaced in the keyring: spare\n{kept}"));
    assert_eq!(private_key(&other, "spare"), spare);
    assert_eq!(private_key(&other, "spare-2"), before, "no private key is lost");
}

#[test]
fn the_key_that_a_recovery_made_outlives_a_pull_of_the_revoked_one() {
    let server = Server::start(&[]);
    let (alice, _) = alice(&server);
    let mut invite = countersign(["admin", "--data-dir"]);
    invite.arg(server.data_dir()).args(["invite", "alice", "--recover", "--revoke-others"]);
    let invited = Said::of(invite);
    assert_eq!(invited.status, 0, "{}", invited.stderr);
    let told = format!("--server {}", server.url());
    assert!(invited.stderr.contains(&told), "of the start by --listen: {}", invited.stderr);

    let elsewhere = User::of(server.url());
    elsewhere.does(&["recover", "alice", "--code", invited.stdout.trim()]);
    let recovered = private_key(&elsewhere, "alice");
    let said = does(&elsewhere, &["pull", "alice", "--replace"]);
    assert!(said.contains("kept in the keyring: what was alice, as alice-2"), "{said}");
    assert_eq!(private_key(&elsewhere, "alice"), private_key(&alice, "alice"));
    assert_eq!(private_key(&elsewhere, "alice-2"), recovered);
    assert!(elsewhere.does(&["whoami", "alice-2"]).contains("alice"));
    elsewhere.fails(&["whoami", "alice"]);
}

#[test]
fn another_password_makes_the_old_one_and_the_old_code_useless() {
    let server = Server::start(&[]);
    let (alice, old_code) = alice(&server);
    write_private(&alice.path("short"), "7 bytes");
    write_private(&alice.path("new"), "another battery");
    let change =
        |file: &str| online(&alice, PASSWORD, &["online", "password", "--new-password-file", file]);
    let short = change("short");
    assert!(short.stderr.contains("has at least 8 bytes, and this one has 7"), "{}", short.stderr);
    assert!(!short.stderr.contains("without a terminal"), "{}", short.stderr);
    let said = change("new");
    assert_eq!(said.status, 0, "{}", said.stderr);
    let new_code = said.stdout.lines().find_map(|line| line.strip_prefix("recovery code: "));
    let new_code = new_code.unwrap();
    assert_ne!(new_code, old_code);

    let by_code = |code: &str| {
        let mut command = alice.command(&["keyring", "pull", "--recovery"]);
        command.env("COUNTERSIGN_RECOVERY_CODE", code);
        Said::of(command)
    };
    assert_eq!(online(&alice, PASSWORD, &["pull"]).status, 1);
    assert_eq!(online(&alice, "another battery", &["pull"]).status, 0);
    let refused = by_code(&old_code);
    assert!(refused.stderr.contains("the recovery code is not right"), "{}", refused.stderr);
    assert_eq!(by_code(new_code).status, 0);

    // Another code leaves the password; who has forgotten that changes it by the code.
    let said = online(&alice, "another battery", &["online", "recovery"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(by_code(new_code).status, 1);
    assert_eq!(online(&alice, "another battery", &["pull"]).status, 0);
    let newest = said.stdout.lines().find_map(|line| line.strip_prefix("recovery code: "));
    let mut command = alice.command(&["keyring", "online", "password", "--recovery"]);
    command.env("COUNTERSIGN_RECOVERY_CODE", newest.unwrap());
    write_private(&alice.path("newest"), PASSWORD);
    command.args(["--new-password-file", "newest"]);
    assert_eq!(Said::of(command).status, 0);
    assert!(does(&alice, &["pull"]).contains("has all of it already"));
}

#[test]
fn devices_that_push_at_once_lose_nothing() {
    let server = Server::start(&[]);
    let (alice, _) = alice(&server);
    let devices: Vec<User> = (0..3).map(|_| User::of(server.url())).collect();
    for (number, device) in devices.iter().enumerate() {
        does(device, &["pull", "alice"]);
        device.openssl("genpkey -algorithm ED25519 -out key.pem");
        let name = format!("spare-{number}");
        device.does(&["keyring", "import", &name, "key.pem", "--server", "https://a.example"]);
    }
    thread::scope(|scope| {
        for device in &devices {
            scope.spawn(|| does(device, &["push", "--as", "alice"]));
        }
    });
    let pulled = does(&alice, &["pull", "alice"]);
    for number in 0..3 {
        assert!(pulled.contains(&format!("spare-{number}")), "{pulled}");
    }
}

#[test]
fn what_is_deleted_is_gone_and_can_be_made_again() {
    let server = Server::start(&[]);
    let (alice, _) = alice(&server);
    assert!(alice.fails(&["keyring", "online", "delete"]).contains("say --yes"));
    alice.does(&["keyring", "online", "delete", "--yes"]);
    assert_eq!(alice.does(&["keyring", "online"]), "there is no online keyring\n");
    let none = alice.fails(&["keyring", "online", "revisions"]);
    assert!(none.contains("no online keyring") && none.contains("keyring push"), "{none}");
    assert!(fails(&alice, &["pull"]).contains("the password is not right, or"));
    assert!(does(&alice, &["push"]).contains("recovery code: "));
    let missing = alice.fails(&["keyring", "online", "restore", "77"]);
    assert!(missing.contains("no revision 77"), "{missing}");
}

#[test]
fn a_login_for_some_scopes_changes_no_slots() {
    let server = Server::start(&[]);
    let (alice, _) = alice(&server);
    let mut grant = countersign(["admin", "--data-dir"]);
    grant.arg(server.data_dir()).args(["accounts", "grant", "alice", "read", "write"]);
    assert!(grant.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    alice.does(&["login", "--scope", "read"]);
    let refused = alice.fails(&["keyring", "online", "delete", "--yes"]);
    assert!(refused.contains("HTTP 403"), "{refused}");
    alice.does(&["login"]);
    alice.does(&["keyring", "online", "delete", "--yes"]);
}

#[test]
fn nothing_secret_is_printed_but_the_recovery_code_once() {
    let server = Server::start(&[]);
    let alice = User::of(server.url());
    alice.does(&["register", "alice"]);
    let mut shown = String::new();
    let mut run = |password: &str, args: &[&str]| {
        let said = online(&alice, password, args);
        shown.push_str(&said.stdout);
        shown.push_str(&said.stderr);
        said
    };
    let made = run(PASSWORD, &["push"]).stdout;
    let code = made.lines().find_map(|line| line.strip_prefix("recovery code: ")).unwrap();
    run(PASSWORD, &["push"]);
    run("not the password", &["push"]);
    run(PASSWORD, &["pull"]);
    run("not the password", &["pull"]);
    run(PASSWORD, &["online"]);
    run(PASSWORD, &["online", "status", "--json"]);
    for secret in [PASSWORD, "not the password", PASSPHRASE] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(shown.matches(code).count(), 1);
    let key = private_key(&alice, "alice");
    assert!(key.lines().filter(|line| !line.starts_with('-')).all(|line| !shown.contains(line)));
}
