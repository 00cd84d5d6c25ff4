//! A database that is gone, empty, moved or replaced, before the start and under a running server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign_authority::{
    model::{
        account::AccountName,
        audit::{AuditEvent, EventKind},
    },
    ports::{AccountStore, CreateAccountError, RevocationStore, RoomKept, StoreError, StoreUpkeep},
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
    let mark_alone = 32 + 24 + 4096;
    assert_eq!(fs::metadata(place.named("-wal")).unwrap().len(), mark_alone);
    assert_eq!(store.log_report().dropped_transactions, 0);
    register(&store, 20).await.unwrap();
    assert!(store.tidy().await.unwrap());
    let copy = place.directory.path().join("copy");
    fs::copy(&place.database, &copy).unwrap();
    assert_eq!(accounts_in(&copy), 21);
}

/// Leaves the files of a server that was killed, of which `registered` accounts are in the log.
async fn killed(registered: u64) -> Place {
    let (place, copy) = (Place::new(), Place::new());
    let store = place.serve().unwrap();
    for number in 0..registered {
        register(&store, number).await.unwrap();
    }
    for suffix in ["", "-wal"] {
        fs::copy(place.named(suffix), copy.named(suffix)).unwrap();
    }
    copy
}

#[tokio::test]
async fn after_a_kill_a_start_without_the_log_is_refused_until_the_loss_is_accepted() {
    for registered in [0, 3] {
        let place = killed(registered).await;
        let (log, aside) = (place.named("-wal"), place.directory.path().join("aside"));
        fs::rename(&log, &aside).unwrap();
        for is_empty in [false, true] {
            if is_empty {
                fs::write(&log, "").unwrap();
            }
            for refusal in [place.serve(), place.open(OpenMode::Existing)] {
                let refusal = refusal.map(drop).unwrap_err();
                assert!(matches!(refusal, OpenError::MissingLog { .. }), "{refusal}");
                let said = refusal.to_string();
                assert!(said.contains(log.to_str().unwrap()), "{said}");
                assert!(said.contains("serve --accept-loss"), "{said}");
            }
        }
        fs::rename(&aside, &log).unwrap();
        let store = place.serve().unwrap();
        assert!(!store.lacked_log());
        for number in 0..registered {
            assert!(knows(&store, number).await, "{number}");
        }
    }
    let place = killed(3).await;
    fs::remove_file(place.named("-wal")).unwrap();
    let options = SqliteOptions { is_server: true, accept_loss: true, ..SqliteOptions::default() };
    let store = SqliteStore::open(&place.database, &options).unwrap();
    assert!(store.lacked_log());
    drop(store);
    assert!(!place.serve().unwrap().lacked_log(), "it is accepted once");
}

#[tokio::test]
async fn a_bare_copy_of_a_running_servers_database_is_neither_served_nor_restored() {
    let (place, copy) = (Place::new(), Place::new());
    let store = place.serve().unwrap();
    register(&store, 1).await.unwrap();
    fs::copy(&place.database, &copy.database).unwrap();
    assert!(matches!(copy.serve().map(drop), Err(OpenError::MissingLog { .. })));
    let target = Place::new();
    countersign_store::sqlite::restore(&copy.database, &target.database).unwrap_err();

    drop(store);
    fs::copy(&place.database, &copy.database).unwrap();
    assert!(knows(&copy.serve().unwrap(), 1).await, "after a stop, the file is all there is");
}

#[tokio::test]
async fn a_backup_of_a_running_server_carries_no_mark_of_it() {
    let (place, restored) = (Place::new(), Place::new());
    let store = place.serve().unwrap();
    register(&store, 1).await.unwrap();
    let backup = place.directory.path().join("backup.db");
    store.backup(&backup).unwrap();
    countersign_store::sqlite::restore(&backup, &restored.database).unwrap();
    assert!(!restored.named("-wal").exists());
    assert!(knows(&restored.serve().unwrap(), 1).await);
}

#[tokio::test]
async fn a_command_that_takes_over_the_log_of_a_killed_server_takes_its_mark_back() {
    let place = killed(3).await;
    drop(place.open(OpenMode::Existing).unwrap());
    assert!(!place.named("-wal").exists(), "who closes the database last folds its log");
    assert!(knows(&place.serve().unwrap(), 2).await);
}

#[tokio::test]
async fn a_command_beside_a_server_leaves_mark_and_log_to_it() {
    let place = Place::new();
    let store = place.serve().unwrap();
    let command = place.open(OpenMode::Existing).unwrap();
    register(&command, 1).await.unwrap();
    drop(command);
    let bare = Place::new();
    fs::copy(&place.database, &bare.database).unwrap();
    assert!(matches!(bare.serve().map(drop), Err(OpenError::MissingLog { .. })));
    assert!(knows(&store, 1).await);
}

#[tokio::test]
async fn a_start_that_is_cut_off_at_any_moment_leaves_what_the_next_one_takes() {
    // An unmarked file with an empty log, as before the mark; then the mark in the log alone.
    let place = killed(0).await;
    drop(place.serve().unwrap());
    let unmarked = fs::read(&place.database).unwrap();
    for log in [None, Some(Vec::new()), Some(fs::read(killed(0).await.named("-wal")).unwrap())] {
        let cut = Place::new();
        fs::write(&cut.database, &unmarked).unwrap();
        if let Some(log) = &log {
            fs::write(cut.named("-wal"), &log[..log.len() / 2]).unwrap();
        }
        drop(cut.serve().unwrap());
        drop(cut.serve().unwrap());
    }
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
    let refusal = register(&store, 1).await.unwrap_err();
    let says = refusal.to_string();
    assert!(says.contains("limits.disk_reserve_bytes"), "{says}");
    let is_told = matches!(
        &refusal,
        CreateAccountError::Store(StoreError::Unavailable(cause)) if cause.is::<RoomKept>()
    );
    assert!(is_told, "a caller knows that nothing was done: {refusal:?}");
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
