//! What may lie where the database should be, and what the operator is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
};

use countersign_authority::ports::AccountStore;
use countersign_store::sqlite::{OpenError, OpenMode, SqliteOptions, SqliteStore};
use countersign_testkit::samples;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &SqliteOptions::default())
}

fn open_existing(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &SqliteOptions { mode: OpenMode::Existing, ..SqliteOptions::default() })
}

fn directory_and_path() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    (directory, path)
}

/// A database with some accounts in it, closed.
async fn filled(path: &Path) {
    let store = Arc::new(open(path).unwrap());
    let mut creations = JoinSet::new();
    for number in 0..200 {
        let store = Arc::clone(&store);
        let new = samples::new_account(number, &format!("user{number}"));
        creations.spawn(async move { store.create_account(new).await.unwrap() });
    }
    creations.join_all().await;
}

/// Opening `path` fails with `expected`, whose message names the file, and does not change it.
fn assert_refused(path: &Path, expected: impl Fn(&OpenError) -> bool) {
    let before = fs::read(path).unwrap();
    for open in [open, open_existing] {
        let error = open(path).map(drop).unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(fs::read(path).unwrap(), before);
}

#[test]
fn a_new_database_is_for_its_owner_only() {
    let (directory, _) = directory_and_path();
    let data_dir = directory.path().join("a").join("data");
    let path = data_dir.join("countersign.db");
    let store = open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    let files: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(store);
    let mut names: Vec<_> =
        fs::read_dir(&data_dir).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["countersign.db", "countersign.db-lock"]);
}

#[test]
fn what_is_to_exist_is_not_created() {
    let (_directory, path) = directory_and_path();
    assert!(matches!(open_existing(&path).map(drop), Err(OpenError::Missing { .. })));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(matches!(open_existing(&path).map(drop), Err(OpenError::Missing { .. })));
    open(&path).unwrap();
    open_existing(&path).unwrap();
}

#[test]
fn another_kind_of_file_is_refused() {
    let (_directory, path) = directory_and_path();
    for content in ["hello", &"not a database\n".repeat(1000)] {
        fs::write(&path, content).unwrap();
        assert_refused(&path, |error| matches!(error, OpenError::NotADatabase { .. }));
    }
}

#[test]
fn a_directory_is_refused() {
    let (directory, _) = directory_and_path();
    assert!(open(directory.path()).is_err());
    let (_directory, file) = directory_and_path();
    fs::write(&file, "").unwrap();
    let error = open(&file.join("countersign.db")).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

#[test]
fn a_database_of_another_program_is_refused() {
    let (_directory, path) = directory_and_path();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE keys(kid INTEGER PRIMARY KEY, key BLOB)").unwrap();
    drop(other);
    assert_refused(&path, |error| matches!(error, OpenError::Foreign { .. }));
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused() {
    let (_directory, path) = directory_and_path();
    filled(&path).await;
    change(&path, "PRAGMA user_version = 99");
    assert_refused(&path, |error| matches!(error, OpenError::NewerSchema { found: 99, .. }));
}

#[tokio::test]
async fn a_schema_that_was_made_differently_is_refused() {
    let (_directory, path) = directory_and_path();
    filled(&path).await;
    for change_checksum in
        ["UPDATE migrations SET checksum = zeroblob(32)", "DELETE FROM migrations"]
    {
        change(&path, change_checksum);
        assert_refused(&path, |error| matches!(error, OpenError::AlteredMigration { .. }));
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let (_directory, path) = directory_and_path();
    filled(&path).await;
    let whole = fs::read(&path).unwrap();

    let mut overwritten = whole.clone();
    let middle = whole.len() / 2 / 4096 * 4096;
    overwritten[middle..middle + 4096].fill(0x5a);
    let truncated = &whole[..whole.len() * 2 / 3];
    for damaged in [&overwritten, truncated] {
        fs::write(&path, damaged).unwrap();
        assert_refused(&path, |error| matches!(error, OpenError::Damaged { .. }));
    }

    fs::write(&path, whole).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(store.accounts(None, 1000).await.unwrap().len(), 200);
}

#[test]
fn two_programs_may_create_the_database_at_the_same_time() {
    for _ in 0..20 {
        let (_directory, path) = directory_and_path();
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    open(&path).unwrap();
                });
            }
        });
    }
}

#[test]
fn a_path_is_a_path_and_not_a_uri() {
    let (directory, _) = directory_and_path();
    let path = directory.path().join("file:x?mode=memory#%41");
    open(&path).unwrap();
    assert!(path.exists());
}

fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}
