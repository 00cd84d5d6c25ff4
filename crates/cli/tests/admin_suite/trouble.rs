//! What is wrong with a data directory is said, and nothing in it changes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Server, admin, admin_with, snapshot, used_data_dir};

/// One command of every kind that opens the database.
const COMMANDS: [&[&str]; 9] = [
    &["accounts", "list"],
    &["accounts", "disable", "alice"],
    &["audit"],
    &["backup", "/nonexistent/backup.db"],
    &["check"],
    &["invitations", "list"],
    &["invite"],
    &["rekey", "--yes"],
    &["signing-keys", "rotate"],
];

/// Every command must fail for `reason` and change nothing.
fn refuses(dir: &Path, reason: &str) {
    let before = dir.is_dir().then(|| snapshot(dir));
    for command in COMMANDS {
        let refusal = admin(dir, command).refusal();
        assert!(refusal.contains(reason), "{command:?}: {refusal}");
    }
    assert_eq!(dir.is_dir().then(|| snapshot(dir)), before);
}

#[test]
fn a_missing_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("data");
    refuses(&missing, &format!("there is no data directory {}: name it", missing.display()));
    assert!(!missing.exists());
}

#[test]
fn a_directory_without_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let reason = format!("there is no database in {}: name another", dir.path().display());
    refuses(dir.path(), &reason);
}

#[test]
fn a_file_that_is_no_database() {
    let dir = used_data_dir();
    fs::write(dir.path().join("countersign.db"), "a text, and a long one\n".repeat(1000)).unwrap();
    refuses(dir.path(), "this is not a SQLite database");
}

#[test]
fn a_damaged_database() {
    let dir = used_data_dir();
    let path = dir.path().join("countersign.db");
    let mut pages = fs::read(&path).unwrap();
    for page in pages.chunks_mut(4096).skip(2).step_by(3) {
        page[..64].fill(0xa5);
    }
    fs::write(&path, pages).unwrap();
    refuses(dir.path(), "the database is damaged");
}

#[test]
fn a_database_of_a_later_version() {
    let dir = used_data_dir();
    let path = dir.path().join("countersign.db");
    let mut pages = fs::read(&path).unwrap();
    pages[60..64].copy_from_slice(&1000_u32.to_be_bytes());
    fs::write(&path, pages).unwrap();
    refuses(dir.path(), "use a newer program");
}

#[test]
fn a_missing_master_key() {
    let dir = used_data_dir();
    fs::remove_file(dir.path().join("master.key")).unwrap();
    for command in [&["rekey", "--yes"][..], &["signing-keys", "rotate"]] {
        let refusal = admin(dir.path(), command).refusal();
        let reason = "there is no master key: put back";
        assert!(refusal.contains(reason), "{command:?}: {refusal}");
    }
    admin(dir.path(), &["accounts", "list"]).result();
}

#[test]
fn a_master_key_that_others_can_read() {
    let dir = used_data_dir();
    let path = dir.path().join("master.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refusal = admin(dir.path(), &["signing-keys", "rotate"]).refusal();
    assert!(refusal.contains(&format!("chmod 600 {}", path.display())), "{refusal}");
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let dir = used_data_dir();
    let refusal = admin(dir.path(), &["check", "--config", "no-such.toml"]).refusal();
    assert!(refusal.contains("cannot read no-such.toml"), "{refusal}");
    let unknown = ("COUNTERSIGN_LISTN", "x");
    let refusal = admin_with(dir.path(), unknown, &["check"]).refusal();
    assert!(refusal.contains("COUNTERSIGN_LISTN is not a setting"), "{refusal}");
}

#[test]
fn a_check_of_a_sound_directory_says_what_is_there() {
    let mut server = Server::start(&["--listen", "localhost:0"]);
    let sound = admin(server.data_dir(), &["check"]).result();
    let lines: Vec<_> = sound.lines().collect();
    assert!(lines[0].starts_with("database      ok: 0 accounts, 0 keys, "), "{sound}");
    assert!(lines[1].starts_with("master key    ok: /"), "{sound}");
    assert_eq!(lines[2], "signing keys  ok: 3 keys, 2 active");
    assert_eq!(lines[3], format!("issuer        ok: {} at the last start", server.url()));
    assert_eq!(lines[4], "server        runs");
    server.kill();
    let sound = admin(server.data_dir(), &["check"]).result();
    assert!(sound.contains("server        does not run"), "{sound}");
}

#[test]
fn a_check_says_why_a_server_that_goes_by_an_address_has_no_passkeys() {
    let server = Server::start(&[]);
    let sound = admin(server.data_dir(), &["check"]).result();
    let name = server.url().replace("127.0.0.1", "localhost");
    assert!(sound.contains(&format!("for passkeys set issuer = {name:?}")), "{sound}");
}

#[test]
fn a_check_reports_each_thing_that_is_wrong() {
    let dir = used_data_dir();
    let said = admin_with(dir.path(), ("COUNTERSIGN_MASTER_KEY", "another"), &["check"]);
    assert!(!said.succeeded);
    assert!(said.stdout.contains("database      ok: "), "{}", said.stdout);
    assert!(said.stdout.contains("master key    FAILED: wrong master key in"), "{}", said.stdout);
    assert!(said.stderr.contains("1 check failed"), "{}", said.stderr);
}
