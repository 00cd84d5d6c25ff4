//! A database that is gone is no first start, and what was done is not reported as failed.

use std::{
    fs::{self, OpenOptions},
    path::Path,
    process::Command,
};

use super::{Said, Server, admin, admin_command, event_kinds, run, used_data_dir};
use crate::support::countersign;

fn serve(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = countersign(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data_dir).args(args);
    command
}

/// Why a server did not start.
fn refusal(command: &mut Command) -> String {
    let Said { succeeded, stderr, .. } = run(command);
    assert!(!succeeded);
    stderr
}

#[test]
fn a_start_without_its_database_is_refused_until_a_new_one_is_asked_for() {
    let dir = used_data_dir();
    let database = dir.path().join("countersign.db");
    let whole = fs::read(&database).unwrap();
    for remains in [None, Some(""), Some("master.key"), Some("server.lock")] {
        match remains {
            None => fs::remove_file(&database).unwrap(),
            Some("") => fs::write(&database, "").unwrap(),
            Some(name) => fs::remove_file(dir.path().join(name)).unwrap_or_default(),
        }
        if remains == Some("server.lock") {
            break;
        }
        let said = refusal(&mut serve(dir.path(), &[]));
        assert!(said.contains("the database is gone"), "{said}");
        assert!(said.contains("server.lock"), "it says by what it knows: {said}");
    }
    fs::write(&database, whole).unwrap();
    let said = refusal(&mut serve(dir.path(), &["--new"]));
    assert!(said.contains("there is a database already"), "{said}");
    fs::remove_file(&database).unwrap();
    Server::start_in(dir.path(), &["--new"]).kill();
    Server::start_in(dir.path(), &[]).kill();
}

#[test]
fn the_first_start_needs_no_option_nor_the_second() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = countersign(["serve"]);
        // Port 8080 may be taken where the tests run.
        command.current_dir(dir.path()).env("COUNTERSIGN_LISTEN", "127.0.0.1:0");
        Server::start_command(command, dir.path()).kill();
        assert!(dir.path().join("countersign-data/countersign.db").exists());
    }
}

#[test]
fn a_given_master_key_and_no_data_is_a_volume_that_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let (variable, key) = ("COUNTERSIGN_MASTER_KEY", "a passphrase of the operator");
    let said = refusal(serve(dir.path(), &[]).env(variable, key));
    assert!(said.contains("COUNTERSIGN_MASTER_KEY is set") && said.contains("--new"), "{said}");
    assert!(!dir.path().join("countersign.db").exists());
}

#[test]
fn a_database_of_another_installation_is_refused() {
    let (dir, other) = (used_data_dir(), used_data_dir());
    for name in ["countersign.db", "master.key"] {
        fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
    }
    let said = refusal(&mut serve(dir.path(), &[]));
    assert!(said.contains("the database of another installation"), "{said}");
    fs::remove_file(dir.path().join("server.lock")).unwrap();
    Server::start_in(dir.path(), &[]).kill();
}

#[test]
fn a_refused_database_does_not_swallow_the_log_of_the_right_one() {
    let (dir, other) = (tempfile::tempdir().unwrap(), used_data_dir());
    let [database, log] =
        ["countersign.db", "countersign.db-wal"].map(|name| dir.path().join(name));
    let mut server = Server::start_in(dir.path(), &[]);
    admin(dir.path(), &["invite"]).result();
    server.kill();
    let whole = fs::read(&log).unwrap();
    assert!(!whole.is_empty());
    fs::copy(other.path().join("countersign.db"), &database).unwrap();
    for refused in [
        refusal(&mut serve(dir.path(), &[])),
        admin(dir.path(), &["invitations", "list"]).refusal(),
        admin(dir.path(), &["rekey", "--yes"]).refusal(),
    ] {
        assert!(refused.contains("the database of another installation"), "{refused}");
    }
    assert!(fs::read(&log).unwrap() == whole, "the log is as it was");
}

#[test]
fn after_a_kill_the_missing_log_is_missed_and_going_on_without_it_is_audited() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("countersign.db-wal");
    Server::start_in(dir.path(), &[]).kill();
    Server::start_in(dir.path(), &[]).kill();
    fs::rename(&log, dir.path().join("away")).unwrap();
    for said in
        [refusal(&mut serve(dir.path(), &[])), admin(dir.path(), &["accounts", "list"]).refusal()]
    {
        assert!(said.contains("countersign.db-wal is missing or empty"), "{said}");
        assert!(said.contains("serve --accept-loss"), "{said}");
    }
    Server::start_in(dir.path(), &["--accept-loss"]).kill();
    assert!(event_kinds(dir.path()).contains(&"database.loss-accepted".to_owned()));
    Server::start_in(dir.path(), &[]).kill();
}

#[test]
fn a_bare_copy_of_a_running_servers_database_is_refused() {
    let (server, copy) = (Server::start(&[]), tempfile::tempdir().unwrap());
    for name in ["countersign.db", "master.key"] {
        fs::copy(server.data_dir().join(name), copy.path().join(name)).unwrap();
    }
    let said = refusal(&mut serve(copy.path(), &[]));
    assert!(said.contains("a bare copy of a database in use"), "{said}");
}

#[test]
fn a_second_server_does_not_start_though_the_lock_file_was_deleted() {
    let server = Server::start(&[]);
    fs::remove_file(server.data_dir().join("server.lock")).unwrap();
    let said = refusal(&mut serve(server.data_dir(), &[]));
    assert!(said.contains("another server is running on this database"), "{said}");
    let said = admin(server.data_dir(), &["rekey", "--yes"]).refusal();
    assert!(said.contains("another server is running on this database"), "{said}");
}

#[test]
fn a_backup_that_is_whole_is_no_failure_when_nobody_can_be_told() {
    let dir = used_data_dir();
    let backup = dir.path().join("backup.db");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = admin_command(dir.path(), &["backup", backup.to_str().unwrap()]);
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("the backup is whole"), "{stderr}");
    assert!(stderr.contains(backup.to_str().unwrap()), "{stderr}");
    assert!(backup.exists());
    let closed = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let again = dir.path().join("again.db");
    let mut command = admin_command(dir.path(), &["backup", again.to_str().unwrap()]);
    assert!(command.stderr(closed).status().unwrap().success(), "remarks are not the result");
}

#[test]
fn a_code_that_goes_into_a_closed_pipe_is_named_so_that_it_can_be_withdrawn() {
    let dir = used_data_dir();
    let list = dir.path().join("names");
    fs::write(&list, "alice\nbob\n").unwrap();
    for args in [&["invite"][..], &["invite", "--names-from", list.to_str().unwrap()]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = admin_command(dir.path(), args).stdout(writer).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        let list =
            super::json_lines(&admin(dir.path(), &["invitations", "list", "--json"]).result());
        for made in list.iter().filter(|made| made["state"] == "open") {
            let hash = made["hash"].as_str().unwrap();
            assert!(stderr.contains(&hash[..8]), "{hash}: {stderr}");
            admin(dir.path(), &["invitations", "withdraw", hash]).remark();
        }
    }
}

#[test]
fn an_invitation_whose_code_nobody_saw_is_named_so_that_it_can_be_withdrawn() {
    let dir = used_data_dir();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = admin_command(dir.path(), &["invite"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let hash = stderr.split("the invitation ").nth(1).unwrap().split(' ').next().unwrap();
    admin(dir.path(), &["invitations", "withdraw", hash]).remark();
}
