//! `admin rekey`, and what a start makes of one that was interrupted.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use countersign_authority::ports::{VaultRecord, VaultStore as _};
use countersign_protocol::envelope::aes_gcm::{RootKey, SecretBytes};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use super::{
    Person, Said, Server, admin, admin_with, countersign, event_kinds, snapshot, used_data_dir,
};

const VARIABLE: &str = "COUNTERSIGN_MASTER_KEY";
const NEW_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn after_a_rekey_everything_goes_on_and_the_old_key_opens_nothing() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = data_dir.path();
    let mut server = Server::start_in(dir, &[]);
    let alice = Person::registered(&server, "alice").await;
    let signing_keys = admin(dir, &["signing-keys", "list", "--json"]).result();
    let refusal = admin(dir, &["rekey", "--yes"]).refusal();
    assert!(refusal.contains("stop the server first"), "{refusal}");
    server.kill();

    let old = key_file(dir);
    let said = admin(dir, &["rekey", "--yes"]).remark();
    assert!(said.contains("the master key is changed"), "{said}");
    assert!(said.contains("earlier backups open only with the old key"), "{said}");
    let new = key_file(dir);
    assert_ne!(new, old);
    assert!(!dir.join("master.key.new").exists());
    let mode = fs::metadata(dir.join("master.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(admin(dir, &["signing-keys", "list", "--json"]).result(), signing_keys);
    assert!(event_kinds(dir).contains(&"master-key.changed".to_owned()));

    fs::write(dir.join("master.key"), &old).unwrap();
    let before = snapshot(dir);
    let refusal = refused_start(dir);
    assert!(refusal.contains("wrong master key in"), "{refusal}");
    assert!(refusal.contains("made with another one"), "{refusal}");
    assert_eq!(snapshot(dir), before);

    fs::write(dir.join("master.key"), &new).unwrap();
    let server = Server::start_in(dir, &[]);
    alice.at(&server).await.login(None).await.unwrap();
}

/// A database whose vault has the first form, in which the master key was the root.
#[tokio::test]
async fn a_rekey_says_when_the_old_key_still_opens_what_an_early_version_sealed() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = data_dir.path();
    let root = RootKey::new(SecretBytes::filled(|place| place.fill(0x5e)));
    let (salt, nonce) = ([3; 16], [4; 12]);
    let sealed_roots =
        root.derive("vault check").seal(nonce, &salt, b"countersign vault, version 1");
    let store = SqliteStore::open(&dir.join("countersign.db"), &SqliteOptions::default()).unwrap();
    assert!(store.create_vault(&VaultRecord { salt, nonce, sealed_roots }).await.unwrap());
    drop(store);
    write_private(&dir.join("master.key"), &"5e".repeat(32));
    let mut server = Server::start_in(dir, &[]);
    let alice = Person::registered(&server, "alice").await;
    server.kill();

    let said = admin(dir, &["rekey", "--yes"]).remark();
    assert!(said.contains("the old key still opens what was sealed until now"), "{said}");
    let mut server = Server::start_in(dir, &[]);
    alice.at(&server).await.login(None).await.unwrap();
    server.kill();
    let said = admin(dir, &["rekey", "--yes"]).remark();
    assert!(said.contains("the master key is changed") && !said.contains("WARNING"), "{said}");
    admin(dir, &["check"]).result();
}

#[test]
fn a_change_that_was_interrupted_before_the_vault_changed_is_undone_by_the_next_start() {
    let dir = used_data_dir();
    let key = key_file(dir.path());
    write_private(&dir.path().join("master.key.new"), NEW_KEY);
    Server::start_in(dir.path(), &[]).kill();
    assert_eq!(key_file(dir.path()), key);
    assert!(!dir.path().join("master.key.new").exists());
}

#[test]
fn a_change_that_was_interrupted_before_the_file_got_its_name_is_finished_by_the_next_start() {
    let (dir, new) = interrupted();
    // Commands that only look take the key that fits, and leave the files as they are.
    admin(dir.path(), &["check"]).result();
    assert!(dir.path().join("master.key.new").exists());
    let said = Server::start_in(dir.path(), &[]).kill();
    assert!(said.contains("finished an interrupted change of its master key"), "{said}");
    assert_eq!(key_file(dir.path()), new);
    assert!(!dir.path().join("master.key.new").exists());
    admin(dir.path(), &["check"]).result();
}

#[test]
fn another_rekey_finishes_an_interrupted_one_first() {
    let (dir, interrupted) = interrupted();
    let kept = dir.path().join("kept.key");
    admin(dir.path(), &["rekey", "--keep-old", kept.to_str().unwrap()]).result();
    assert_eq!(fs::read_to_string(kept).unwrap(), interrupted);
    assert_ne!(key_file(dir.path()), interrupted);
    admin(dir.path(), &["check"]).result();
}

#[test]
fn keys_of_which_none_fits_are_left_alone() {
    let dir = used_data_dir();
    write_private(&dir.path().join("master.key"), "some other key");
    write_private(&dir.path().join("master.key.new"), NEW_KEY);
    let before = snapshot(dir.path());
    let refusal = refused_start(dir.path());
    assert!(refusal.contains("wrong master key in"), "{refusal}");
    assert!(refusal.contains("master.key and "), "{refusal}");
    assert!(admin(dir.path(), &["rekey", "--yes"]).refusal().contains("wrong master key in"));
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_given_key_becomes_the_master_key_and_the_old_one_can_be_kept() {
    let dir = used_data_dir();
    let old = key_file(dir.path());
    let (given, kept) = (dir.path().join("given.key"), dir.path().join("kept.key"));
    write_private(&given, NEW_KEY);
    let (given, kept) = (given.to_str().unwrap(), kept.to_str().unwrap());
    let args = ["rekey", "--new-key-file", given, "--keep-old", kept];
    let said = admin(dir.path(), &args).remark();
    assert!(said.contains(&format!("the old key, which is in {kept}")), "{said}");
    assert_eq!(fs::read_to_string(kept).unwrap(), old);
    admin_with(dir.path(), (VARIABLE, NEW_KEY), &["check"]).result();
    admin(dir.path(), &["check"]).result();

    let again = admin(dir.path(), &["rekey", "--yes", "--new-key-file", given]).refusal();
    assert!(again.contains("this is the present master key already"), "{again}");
    let args = ["rekey", "--keep-old", kept];
    assert!(admin(dir.path(), &args).refusal().contains("exists already"));
    admin(dir.path(), &["check"]).result();
}

#[test]
fn without_a_terminal_the_old_key_is_given_up_only_if_that_is_said() {
    let dir = used_data_dir();
    let before = snapshot(dir.path());
    for args in [&["rekey"][..], &["rekey", "--new-key-env", "NEXT"]] {
        let next = ("NEXT", "a passphrase for the next years");
        let refusal = admin_with(dir.path(), next, args).refusal();
        assert!(refusal.contains("--keep-old FILE keeps it"), "{refusal}");
        assert!(refusal.contains("there is no terminal to ask at; say --yes"), "{refusal}");
    }
    assert_eq!(snapshot(dir.path()), before);
    admin(dir.path(), &["rekey", "--yes"]).result();
}

#[test]
fn a_key_from_the_environment_is_changed_where_the_operator_keeps_it() {
    let dir = used_data_dir();
    let old = fs::read_to_string(dir.path().join("master.key")).unwrap();
    fs::remove_file(dir.path().join("master.key")).unwrap();
    let mut rekey = super::admin_command(dir.path(), &["rekey", "--yes", "--new-key-env", "NEXT"]);
    rekey.env(VARIABLE, old.trim()).env("NEXT", "a passphrase for the next years");
    let said = super::run(&mut rekey).remark();
    assert!(said.contains(&format!("{VARIABLE} must be set to the new key")), "{said}");
    assert!(!dir.path().join("master.key").exists());
    admin_with(dir.path(), (VARIABLE, "a passphrase for the next years"), &["check"]).result();
    let check = admin_with(dir.path(), (VARIABLE, old.trim()), &["check"]);
    assert!(!check.succeeded);
}

#[test]
fn a_key_from_the_environment_gives_way_to_a_generated_one_in_a_file() {
    let dir = used_data_dir();
    let path = dir.path().join("master.key");
    let old = fs::read_to_string(&path).unwrap();
    let old = (VARIABLE, old.trim());
    let refusal = admin_with(dir.path(), old, &["rekey", "--yes"]).refusal();
    assert!(refusal.contains("move that file away"), "{refusal}");
    fs::remove_file(&path).unwrap();
    let said = admin_with(dir.path(), old, &["rekey", "--yes"]).remark();
    assert!(said.contains(&format!("{VARIABLE} must not be set")), "{said}");
    admin(dir.path(), &["check"]).result();

    let refusal = refused(countersign(["serve"]).env(VARIABLE, old.1), dir.path());
    let hint = format!("it must hold the one of {}, or not be set", path.display());
    assert!(refusal.contains(&hint), "{refusal}");
}

#[test]
fn a_master_key_that_can_be_guessed_begins_no_database() {
    for weak in ["x", "password", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "short but mixed 1"] {
        let dir = tempfile::tempdir().unwrap();
        let refusal = refused(countersign(["serve", "--new"]).env(VARIABLE, weak), dir.path());
        assert!(refusal.contains("openssl rand -base64 32"), "{refusal}");
        assert!(!dir.path().join("countersign.db").exists(), "{weak}");
    }
    let dir = used_data_dir();
    let args = ["rekey", "--yes", "--new-key-env", "NEXT"];
    let refusal = admin_with(dir.path(), ("NEXT", "guessable"), &args).refusal();
    assert!(refusal.contains("the master key in NEXT can be guessed"), "{refusal}");
    admin(dir.path(), &["check"]).result();
}

#[test]
fn a_weak_key_of_the_dialect_begins_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let start = |variable: &str| {
        let mut command = countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(dir.path()).env(variable, "x");
        Server::start_command(command, dir.path()).kill()
    };
    let said = start("NOT_MY_KEY");
    assert!(said.contains("WARNING: the master key in NOT_MY_KEY can be guessed"), "{said}");
    // What a database was made with goes on to open it.
    let said = start(VARIABLE);
    assert!(said.contains(&format!("WARNING: the master key in {VARIABLE}")), "{said}");
}

#[test]
fn a_new_key_that_is_not_there_is_asked_for() {
    let dir = used_data_dir();
    let before = snapshot(dir.path());
    let refusal = admin(dir.path(), &["rekey", "--new-key-file", "no-such-file"]).refusal();
    assert!(refusal.contains("there is no file no-such-file"), "{refusal}");
    let refusal = admin(dir.path(), &["rekey", "--new-key-env", "NO_SUCH"]).refusal();
    assert!(refusal.contains("NO_SUCH is not set"), "{refusal}");
    let empty = admin_with(dir.path(), ("EMPTY", ""), &["rekey", "--new-key-env", "EMPTY"]);
    assert!(empty.refusal().contains("EMPTY is not set, or empty"));
    assert_eq!(snapshot(dir.path()), before);
}

/// A data directory whose master key was changed, but for the last step; and the new key.
fn interrupted() -> (TempDir, String) {
    let dir = used_data_dir();
    let old = key_file(dir.path());
    admin(dir.path(), &["rekey", "--yes"]).result();
    let new = key_file(dir.path());
    fs::rename(dir.path().join("master.key"), dir.path().join("master.key.new")).unwrap();
    write_private(&dir.path().join("master.key"), &old);
    (dir, new)
}

fn key_file(dir: &Path) -> String {
    fs::read_to_string(dir.join("master.key")).unwrap()
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a server says that does not start.
fn refused_start(dir: &Path) -> String {
    refused(&mut countersign(["serve"]), dir)
}

fn refused(command: &mut std::process::Command, dir: &Path) -> String {
    let command = command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
    Said::refusal(super::run(command))
}
