//! A database that is gone, empty, moved or replaced, before the start and under a running server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign_authority::{
    account::AccountName,
    audit::{AuditEvent, EventKind},
    ports::{AccountStore, CreateAccountError, RevocationStore, StoreWatch},
};
use countersign_protocol::UnixTime;
use countersign_store::sqlite::{
    Memory, OpenError, OpenMode, Presence, ServerLock, SqliteOptions, SqliteStore, make_room,
    presence,
};
use countersign_testkit::samples;
use rusqlite::Connection;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    database: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("countersign.db");
        Self { directory, database }
    }

    fn named(&self, suffix: &str) -> PathBuf {
        let mut name = self.database.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn open(&self, mode: OpenMode) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.database, &SqliteOptions { mode, ..SqliteOptions::default() })
    }

    fn serve(&self) -> Result<SqliteStore, OpenError> {
        let options = SqliteOptions { is_server: true, ..SqliteOptions::default() };
        SqliteStore::open(&self.database, &options)
    }

    /// Leaves the files as a killed server does: with accounts that only the log knows.
    async fn crashed() -> Self {
        let (place, copy) = (Self::new(), Self::new());
        let store = place.open(OpenMode::CreateOrUpgrade).unwrap();
        for number in 0..20 {
            register(&store, number).await.unwrap();
        }
        for suffix in ["", "-wal", "-shm"] {
            fs::copy(place.named(suffix), copy.named(suffix)).unwrap();
        }
        copy
    }
}

async fn register(store: &SqliteStore, number: u64) -> Result<(), CreateAccountError> {
    store.create_account(samples::new_account(number, &format!("user{number}"))).await
}

async fn knows(store: &SqliteStore, number: u64) -> bool {
    let name = AccountName::Id(samples::account_id(number));
    store.account(&name).await.unwrap().is_some()
}

fn accounts_in(database: &Path) -> i64 {
    let connection = Connection::open(database).unwrap();
    connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn nothing_is_written_to_files_that_were_moved_away_or_replaced() {
    for suffix in ["", "-wal", "-shm"] {
        let place = Place::new();
        let store = place.serve().unwrap();
        register(&store, 1).await.unwrap();
        let (path, aside) = (place.named(suffix), place.directory.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        assert!(register(&store, 2).await.is_err(), "{suffix}");
        assert!(store.check().await.is_err() && store.tidy().await.is_err());
        let reason = store.condition().misplaced.unwrap();
        assert!(reason.contains(path.to_str().unwrap()), "{reason}");
        fs::write(&path, "").unwrap();
        assert!(register(&store, 2).await.is_err(), "{suffix}");

        fs::rename(&aside, &path).unwrap();
        register(&store, 2).await.unwrap();
        store.check().await.unwrap();
        assert_eq!(store.condition().misplaced, None);
    }
}

#[tokio::test]
async fn an_empty_database_beside_a_log_is_refused_and_the_log_stays() {
    let place = Place::crashed().await;
    let log = fs::read(place.named("-wal")).unwrap();
    for remove in [false, true] {
        fs::write(&place.database, "").unwrap();
        if remove {
            fs::remove_file(&place.database).unwrap();
        }
        for mode in [OpenMode::CreateOrUpgrade, OpenMode::Upgrade, OpenMode::Existing] {
            let refusal = place.open(mode).map(drop).unwrap_err();
            assert!(
                matches!(refusal, OpenError::Gone { .. } | OpenError::Missing { .. }),
                "{mode:?}: {refusal}"
            );
            assert_eq!(fs::read(place.named("-wal")).unwrap(), log);
        }
    }
}

#[tokio::test]
async fn a_database_whose_log_is_unreadable_is_gone_and_the_log_stays() {
    let place = Place::crashed().await;
    assert_eq!(fs::metadata(&place.database).unwrap().len(), 4096, "all of it is in the log");
    let mut log = fs::read(place.named("-wal")).unwrap();
    log[13] ^= 1;
    fs::write(place.named("-wal"), &log).unwrap();
    fs::remove_file(place.named("-shm")).unwrap();
    for mode in [OpenMode::Upgrade, OpenMode::Existing] {
        assert!(place.open(mode).map(drop).is_err(), "{mode:?}");
        assert_eq!(fs::read(place.named("-wal")).unwrap(), log);
    }
    log[13] ^= 1;
    fs::write(place.named("-wal"), &log).unwrap();
    assert!(knows(&place.open(OpenMode::Upgrade).unwrap(), 19).await);
}

#[tokio::test]
async fn a_second_server_is_refused_though_the_lock_file_is_gone() {
    let place = Place::new();
    let first = place.serve().unwrap();
    assert!(matches!(place.serve().map(drop), Err(OpenError::InUse { .. })));
    place.open(OpenMode::Existing).unwrap();
    drop(first);
    place.serve().unwrap();
}

#[tokio::test]
async fn a_start_and_housekeeping_bring_the_log_into_the_database() {
    let place = Place::crashed().await;
    let store = place.serve().unwrap();
    assert_eq!(fs::metadata(place.named("-wal")).unwrap().len(), 0);
    assert_eq!(store.log_report().dropped_transactions, 0);
    register(&store, 20).await.unwrap();
    assert!(store.tidy().await.unwrap());
    let copy = place.directory.path().join("copy");
    fs::copy(&place.database, &copy).unwrap();
    assert_eq!(accounts_in(&copy), 21);
}

#[tokio::test]
async fn a_log_that_a_reader_pins_is_not_reported_as_folded() {
    let place = Place::new();
    let store = place.serve().unwrap();
    register(&store, 1).await.unwrap();
    let reader = Connection::open(&place.database).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").unwrap();
    register(&store, 2).await.unwrap();
    assert!(!store.tidy().await.unwrap());
    assert!(store.condition().log_bytes > 0);
    drop(reader);
    assert!(store.tidy().await.unwrap());
}

#[tokio::test]
async fn accounts_stop_before_revocations_when_the_disk_fills() {
    let place = Place::new();
    let options = SqliteOptions { disk_reserve: u64::MAX, ..SqliteOptions::default() };
    let store = SqliteStore::open(&place.database, &options).unwrap();
    let refusal = register(&store, 1).await.unwrap_err().to_string();
    assert!(refusal.contains("limits.disk_reserve_bytes"), "{refusal}");
    let event = AuditEvent::new(UnixTime::EPOCH, EventKind::TokenRevoked);
    let token = samples::revoked_token("jti", UnixTime::EPOCH);
    store.revoke_token(token, event).await.unwrap();
}

#[test]
fn a_missing_database_is_a_first_start_only_without_a_trace_of_another() {
    let place = Place::new();
    let lock = ServerLock::acquire(place.directory.path()).unwrap();
    let key = place.directory.path().join("master.key");
    let look = |lock: &ServerLock| presence(&place.database, lock, std::slice::from_ref(&key));
    assert_eq!(look(&lock), Presence::NeverSeen);
    fs::write(&key, "key").unwrap();
    assert_eq!(look(&lock), Presence::Gone(vec![key.clone()]));
    lock.remember(Memory::Beginning).unwrap();
    assert_eq!(look(&lock), Presence::Beginning, "a first start that was interrupted goes on");

    let id = place.serve().unwrap().installation();
    lock.remember(Memory::Installation(id)).unwrap();
    assert_eq!(look(&lock), Presence::Database);
    fs::remove_file(&place.database).unwrap();
    fs::remove_file(&key).unwrap();
    drop(lock);
    let lock = ServerLock::acquire(place.directory.path()).unwrap();
    assert_eq!(look(&lock), Presence::Gone(vec![lock.path().to_owned()]));
    fs::write(&place.database, "").unwrap();
    assert!(matches!(look(&lock), Presence::Gone(_)));
}

#[tokio::test]
async fn room_for_a_new_database_is_made_without_destroying_anything() {
    let place = Place::crashed().await;
    assert!(matches!(make_room(&place.database), Err(OpenError::Exists { .. })));
    let log = fs::read(place.named("-wal")).unwrap();
    fs::remove_file(&place.database).unwrap();
    assert_eq!(make_room(&place.database).unwrap(), Some(place.named(".before-new-1")));
    assert_eq!(fs::read(place.named(".before-new-1-wal")).unwrap(), log);
    assert!(!place.named("-shm").exists());
    place.open(OpenMode::CreateOrUpgrade).unwrap();
    assert_eq!(make_room(&place.database.with_extension("other")).unwrap(), None);
}

#[tokio::test]
async fn an_installation_keeps_its_id_through_backup_and_restore() {
    let place = Place::new();
    let store = place.open(OpenMode::CreateOrUpgrade).unwrap();
    let id = store.installation();
    let backup = place.directory.path().join("backup.db");
    store.backup(&backup).unwrap();
    drop(store);
    countersign_store::sqlite::restore(&backup, &place.database).unwrap();
    assert_eq!(place.open(OpenMode::Upgrade).unwrap().installation(), id);
    let other = Place::new();
    assert_ne!(other.open(OpenMode::CreateOrUpgrade).unwrap().installation(), id);
}
