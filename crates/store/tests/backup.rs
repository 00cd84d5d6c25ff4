//! Backups of a database in use, and their way back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use countersign_authority::{
    model::account::AccountName,
    ports::{AccountStore, CredentialStore, SigningKeyChange, SigningKeyStore},
};
use countersign_store::sqlite::{
    BackupError, DatabaseSummary, LockError, OpenError, RestoreError, ServerLock, SqliteOptions,
    SqliteStore, restore, verify_backup,
};
use countersign_testkit::samples;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    database: PathBuf,
    backup: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("data").join("countersign.db");
        let backup = directory.path().join("backup.db");
        Self { directory, database, backup }
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.database, &SqliteOptions::default()).unwrap()
    }

    /// The names in the data directory.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.database.parent().unwrap()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The content of `self.backup`: one account, called `name`.
    async fn make_backup(&self, number: u64, name: &str) {
        let store = self.open();
        store.create_account(samples::new_account(number, name)).await.unwrap();
        store.backup(&self.backup).unwrap();
    }
}

async fn has_account(store: &SqliteStore, number: u64) -> bool {
    let name = AccountName::Id(samples::account_id(number));
    store.account(&name).await.unwrap().is_some()
}

#[tokio::test]
async fn a_backup_holds_everything_and_is_for_its_owner_only() {
    let place = Place::new();
    let store = place.open();
    let alice = samples::new_account(1, "alice");
    store.create_account(alice.clone()).await.unwrap();
    let _receipt = store.record_login(samples::login(&alice, 1)).await.unwrap();
    let put = vec![samples::signing_key(1)];
    let change = SigningKeyChange { put, ..SigningKeyChange::default() };
    store.change_signing_keys(change).await.unwrap();

    let summary = store.backup(&place.backup).unwrap();
    let expected = DatabaseSummary {
        schema_version: 33,
        accounts: 1,
        credentials: 1,
        invitations: 0,
        signing_keys: 1,
        audit_events: 2,
    };
    assert_eq!(summary, expected);
    assert_eq!(verify_backup(&place.backup).unwrap(), expected);
    assert_eq!(fs::metadata(&place.backup).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(place.directory.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");

    let copy = SqliteStore::open(&place.backup, &SqliteOptions::default()).unwrap();
    assert_eq!(copy.signing_keys().await.unwrap().keys, [samples::signing_key(1)]);
    let again = copy.record_login(samples::login(&alice, 1)).await;
    assert!(again.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_moment_while_another_process_writes() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        async move {
            let mut number = 0;
            while !stop.load(SeqCst) {
                let new = samples::new_account(number, &format!("user{number}"));
                store.create_account(new).await.unwrap();
                number += 1;
            }
            number
        }
    });
    let other = place.open();
    let mut seen = 0;
    for round in 0..10 {
        let to = place.directory.path().join(format!("backup-{round}.db"));
        let summary = other.backup(&to).unwrap();
        // Account, key and event are written together.
        assert_eq!(summary.accounts, summary.credentials);
        assert_eq!(summary.accounts, summary.audit_events);
        assert!(summary.accounts >= seen);
        seen = summary.accounts;
    }
    stop.store(true, SeqCst);
    assert!(writing.await.unwrap() >= seen);
}

#[test]
fn a_backup_never_overwrites() {
    let place = Place::new();
    let store = place.open();
    fs::write(&place.backup, "precious").unwrap();
    let refusal = store.backup(&place.backup).unwrap_err();
    assert!(matches!(refusal, BackupError::Exists { .. }), "{refusal:?}");
    assert_eq!(fs::read_to_string(&place.backup).unwrap(), "precious");

    let nowhere = place.directory.path().join("missing").join("backup.db");
    assert!(matches!(store.backup(&nowhere), Err(BackupError::Io { .. })));
}

#[tokio::test]
async fn what_is_no_backup_does_not_verify() {
    let place = Place::new();
    let missing = verify_backup(&place.backup);
    assert!(matches!(missing, Err(BackupError::Unusable(OpenError::Missing { .. }))));
    place.make_backup(1, "alice").await;
    let whole = fs::read(&place.backup).unwrap();

    let mut overwritten = whole.clone();
    let middle = whole.len() / 2 / 4096 * 4096;
    overwritten[middle..middle + 4096].fill(0x5a);
    for damaged in [&overwritten[..], &whole[..whole.len() - 4096], b"text", b""] {
        fs::write(&place.backup, damaged).unwrap();
        let refusal = verify_backup(&place.backup).unwrap_err();
        assert!(refusal.to_string().starts_with(place.backup.to_str().unwrap()), "{refusal}");
    }
}

#[tokio::test]
async fn a_database_in_use_is_no_backup() {
    let place = Place::new();
    let store = place.open();
    store.create_account(samples::new_account(1, "alice")).await.unwrap();
    let refusal = verify_backup(&place.database).unwrap_err();
    assert!(matches!(refusal, BackupError::InUse { .. }), "{refusal:?}");
}

#[tokio::test]
async fn a_restore_brings_back_the_backup_and_keeps_what_was_there() {
    let place = Place::new();
    place.make_backup(1, "alice").await;
    for round in 1..=2 {
        place.open().create_account(samples::new_account(2, "bob")).await.unwrap();
        let restored = restore(&place.backup, &place.database).unwrap();
        assert_eq!(restored.summary.accounts, 1);
        let previous = restored.previous.unwrap();
        let name = format!("countersign.db.before-restore-{round}");
        assert_eq!(previous.file_name().unwrap(), name.as_str());

        let store = place.open();
        assert!(has_account(&store, 1).await && !has_account(&store, 2).await);
        let previous = SqliteStore::open(&previous, &SqliteOptions::default()).unwrap();
        assert!(has_account(&previous, 1).await && has_account(&previous, 2).await);
    }
    assert_eq!(fs::metadata(&place.database).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(place.backup.exists());
}

#[tokio::test]
async fn a_restore_needs_no_database_to_replace() {
    let place = Place::new();
    place.make_backup(1, "alice").await;
    fs::remove_dir_all(place.database.parent().unwrap()).unwrap();
    assert_eq!(restore(&place.backup, &place.database).unwrap().previous, None);
    assert!(has_account(&place.open(), 1).await);
    assert_eq!(place.files(), ["countersign.db", "countersign.db-lock", "server.lock"]);
}

#[tokio::test]
async fn the_log_of_a_crashed_server_goes_along_with_its_database() {
    let place = Place::new();
    place.make_backup(1, "alice").await;
    crash_with_account(&place, 2, "bob").await;
    assert!(place.files().contains(&"countersign.db-wal".to_owned()), "{:?}", place.files());

    let previous = restore(&place.backup, &place.database).unwrap().previous.unwrap();
    let expected = [
        "countersign.db",
        "countersign.db-lock",
        "countersign.db.before-restore-1",
        "countersign.db.before-restore-1-wal",
        "server.lock",
    ];
    assert_eq!(place.files(), expected);
    let store = place.open();
    assert!(has_account(&store, 1).await && !has_account(&store, 2).await);
    let previous = SqliteStore::open(&previous, &SqliteOptions::default()).unwrap();
    assert!(has_account(&previous, 2).await);
}

#[tokio::test]
async fn a_damaged_database_can_be_replaced() {
    let place = Place::new();
    place.make_backup(1, "alice").await;
    fs::write(&place.database, "no longer a database").unwrap();
    let previous = restore(&place.backup, &place.database).unwrap().previous.unwrap();
    assert!(has_account(&place.open(), 1).await);
    assert_eq!(fs::read_to_string(previous).unwrap(), "no longer a database");
}

#[tokio::test]
async fn nothing_is_restored_under_a_running_server_or_from_a_bad_backup() {
    let place = Place::new();
    place.make_backup(1, "alice").await;
    let lock = ServerLock::acquire(place.database.parent().unwrap()).unwrap();
    let refusal = restore(&place.backup, &place.database).unwrap_err();
    assert!(matches!(refusal, RestoreError::Lock(LockError::Held { .. })), "{refusal:?}");
    drop(lock);

    fs::write(&place.backup, "no backup").unwrap();
    let refusal = restore(&place.backup, &place.database).unwrap_err();
    assert!(matches!(refusal, RestoreError::Backup(_)), "{refusal:?}");
    assert_eq!(place.files(), ["countersign.db", "countersign.db-lock", "server.lock"]);
    assert!(has_account(&place.open(), 1).await);
}

/// Interrupts a restore after each of its steps, as a crash would, and runs it again.
#[tokio::test]
async fn an_interrupted_restore_is_finished_by_running_it_again() {
    for steps in 0..=2 {
        let place = Place::new();
        place.make_backup(1, "alice").await;
        crash_with_account(&place, 2, "bob").await;
        let named = |suffix: &str| {
            let mut name = place.database.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        fs::copy(&place.backup, named(".restoring")).unwrap();
        let moves = [("-wal", ".before-restore-1-wal"), ("", ".before-restore-1")];
        for (from, to) in moves.into_iter().take(steps) {
            fs::rename(named(from), named(to)).unwrap();
        }

        let refusal = SqliteStore::open(&place.database, &SqliteOptions::default()).map(drop);
        assert!(matches!(refusal, Err(OpenError::RestoreUnfinished { .. })), "{refusal:?}");
        restore(&place.backup, &place.database).unwrap();
        let store = place.open();
        assert!(has_account(&store, 1).await && !has_account(&store, 2).await);
        drop(store);
        let previous = named(".before-restore-1");
        let previous = SqliteStore::open(&previous, &SqliteOptions::default()).unwrap();
        assert!(has_account(&previous, 2).await, "after {steps} steps");
    }
}

/// Leaves the files as a killed server does, with an account that only the log knows.
async fn crash_with_account(place: &Place, number: u64, name: &str) {
    let store = place.open();
    store.create_account(samples::new_account(number, name)).await.unwrap();
    let copies = place.directory.path().join("copies");
    copy_files(place.database.parent().unwrap(), &copies);
    drop(store);
    copy_files(&copies, place.database.parent().unwrap());
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn the_next_backup_sweeps_what_killed_ones_have_left_and_nothing_else() {
    let place = Place::new();
    let store = place.open();
    let named = |name: &str| place.directory.path().join(name);
    let killed = named("yesterday.db.countersign-partial");
    let journal = named("yesterday.db.countersign-partial-journal");
    let (foreign, running) = (named("download.partial"), named("now.db.countersign-partial"));
    for path in [&killed, &journal, &foreign, &running] {
        fs::write(path, "a part").unwrap();
    }
    let lock = fs::File::open(&running).unwrap();
    lock.lock().unwrap();
    store.backup(&place.backup).unwrap();
    assert!(!killed.exists() && !journal.exists());
    assert!(foreign.exists() && running.exists());
    let refusal = store.backup(&named("now.db")).unwrap_err();
    assert!(matches!(refusal, BackupError::InProgress { .. }), "{refusal:?}");
}
