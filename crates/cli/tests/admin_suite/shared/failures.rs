//! What goes wrong with the database, in words that show no password.

use std::fs;

use super::{Shared, countersign, run};

/// What a command says that was given this URL.
fn refusal_of(url: &str) -> String {
    let mut command = countersign(["admin", "check"]);
    let refusal = run(command.env("COUNTERSIGN_DATABASE_URL", url)).refusal();
    assert!(!refusal.contains("s3cret"), "{refusal}");
    refusal
}

#[test]
fn a_wrong_url_is_refused_with_the_reason_and_without_the_password() {
    let shared = Shared::empty();
    let (_, place) = shared.database.url().split_once('@').unwrap();
    let (server, name) = place.split_once('/').unwrap();
    for (url, reason) in [
        (format!("postgres://postgres:s3cret@127.0.0.1:1/{name}"), "no database server answers"),
        (format!("postgres://postgres:s3cret@{server}/nothing"), "\"nothing\" does not exist"),
        (format!("postgres://nobody:s3cret@{server}/{name}"), "refuses user and password"),
        (format!("postgres://postgres:s3cret@{place}"), "the database is empty"),
        (format!("mysql://postgres:s3cret@{place}"), "begins with postgres://"),
        (format!("postgres://postgres:s3cret@{place}?nonsense=1"), "cannot be read"),
    ] {
        let refusal = refusal_of(&url);
        assert!(refusal.contains(reason), "{url}: {refusal}");
    }
}

#[test]
fn a_password_on_the_command_line_is_warned_of() {
    let url = "postgres://postgres:s3cret@127.0.0.1:1/x";
    let refusal = run(&mut countersign(["admin", "check", "--database-url", url])).refusal();
    assert!(refusal.contains("COUNTERSIGN_DATABASE_URL_FILE"), "{refusal}");
    assert!(!refusal.contains("s3cret"), "{refusal}");
}

#[test]
fn the_url_may_be_in_a_file_and_what_is_wrong_with_that_shows_no_password() {
    let shared = Shared::new();
    let path = shared.directory().join("url");
    fs::write(&path, shared.database.url()).unwrap();
    let mut command = countersign(["admin", "check", "--data-dir"]);
    command.arg(shared.directory()).env("COUNTERSIGN_DATABASE_URL_FILE", &path);
    let refusal = run(&mut command).refusal();
    assert!(refusal.contains("chmod 600"), "{refusal}");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(run(&mut command).result().contains("PostgreSQL"));

    let config = shared.directory().join("countersign.toml");
    fs::write(&config, "database_url = postgres://postgres:s3cret@db/auth\n").unwrap();
    let refusal = run(countersign(["admin", "check", "--config"]).arg(&config)).refusal();
    assert!(refusal.contains("line 1") && !refusal.contains("s3cret"), "{refusal}");
}

#[test]
fn what_copies_files_names_the_tools_of_postgresql() {
    let shared = Shared::new();
    for command in [&["backup", "x.db"][..], &["restore", "x.db", "--yes"]] {
        let refusal = shared.admin(command).refusal();
        assert!(refusal.contains("is no file"), "{refusal}");
        assert!(refusal.contains("docs/operations.md"), "{refusal}");
    }
    let refusal = shared.refused_start(&["--new"]);
    assert!(refusal.contains("--new and --accept-loss are for"), "{refusal}");
}

#[test]
fn commands_about_shared_databases_need_a_url() {
    for command in [&["init"][..], &["migrate"], &["issuer", "http://localhost:1"]] {
        let refusal = run(&mut countersign([&["admin"], command].concat())).refusal();
        assert!(refusal.contains("give --database-url"), "{refusal}");
    }
}
