//! What remembering and looking up costs: the replay log, the SQLite store.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    hash::RandomState,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_authority::{
    model::account::AccountName,
    ports::{AccountStore as _, CredentialStore as _},
};
use countersign_protocol::{
    AccountId, ReplayEntry,
    digest::sha256,
    replay::{FoundNew, MemoryReplayLog, ReplayOwner},
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_testkit::{
    keys,
    samples::{self, EPOCH, NOW},
};
use divan::{Bencher, counter::ItemsCount};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinSet};

/// Accounts in the store.
const ACCOUNTS: u64 = 1000;
/// Writes that wait at the same time.
const TOGETHER: u64 = 256;

fn main() {
    divan::main();
}

/// Numbers that no benchmark of this process has used.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

const BY_NONCE: FoundNew = FoundNew::ByNonce(EPOCH.id);

const OWNER: ReplayOwner = ReplayOwner::Account(AccountId::from_bytes([1; 16]));

#[divan::bench(threads = [1, 2])]
fn replay_log_records(bencher: Bencher<'_, '_>) {
    let log = MemoryReplayLog::new(EPOCH, 100_000_000, 100_000_000, RandomState::new());
    let forget_at = NOW + Duration::from_mins(1);
    let entry = || ReplayEntry { digest: sha256(&[&fresh().to_be_bytes()]), forget_at };
    bencher
        .with_inputs(entry)
        .bench_values(|entry| log.record(entry, BY_NONCE, OWNER, NOW).unwrap());
}

#[divan::bench(threads = [1, 2])]
fn replay_log_refuses(bencher: Bencher<'_, '_>) {
    let log = MemoryReplayLog::new(EPOCH, 100_000_000, 100_000_000, RandomState::new());
    let entry = samples::replay_entry(1);
    let _receipt = log.record(entry, BY_NONCE, OWNER, NOW).unwrap();
    bencher.bench(|| log.record(black_box(entry), BY_NONCE, OWNER, NOW).unwrap_err());
}

/// A store on disk, with accounts.
struct Store {
    sqlite: Arc<SqliteStore>,
    runtime: Runtime,
    _directory: TempDir,
}

fn store() -> Store {
    // Beside the binaries: a temporary directory may lie in memory, where nothing is durable.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("countersign.db");
    let sqlite = Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let made = Store { sqlite, runtime, _directory: directory };
    made.create_accounts(0..ACCOUNTS);
    made
}

impl Store {
    /// Creates accounts, all of them at once.
    fn create_accounts(&self, numbers: impl Iterator<Item = u64>) {
        self.runtime.block_on(async {
            let mut creations = JoinSet::new();
            for number in numbers {
                let new = samples::new_account(number, &format!("account-{number}"));
                let store = Arc::clone(&self.sqlite);
                creations.spawn(async move { store.create_account(new).await });
            }
            while let Some(created) = creations.join_next().await {
                created.unwrap().unwrap();
            }
        });
    }
}

#[divan::bench]
fn account_by_name(bencher: Bencher<'_, '_>) {
    let store = store();
    let name = AccountName::Username(samples::username("account-500"));
    let find = || store.runtime.block_on(store.sqlite.account(black_box(&name))).unwrap().unwrap();
    bencher.bench_local(find);
}

#[divan::bench]
fn credential_by_thumbprint(bencher: Bencher<'_, '_>) {
    let store = store();
    let thumbprint = keys::ed25519_public(500).thumbprint();
    let find = || {
        let credential = store.sqlite.credential(black_box(&thumbprint));
        store.runtime.block_on(credential).unwrap().unwrap()
    };
    bencher.bench_local(find);
}

/// One login at a time, each durable before the next.
#[divan::bench(sample_count = 50)]
fn login_recorded_alone(bencher: Bencher<'_, '_>) {
    let store = store();
    let account = samples::new_account(500, "account-500");
    bencher.bench_local(|| {
        let login = samples::login(&account, fresh());
        store.runtime.block_on(store.sqlite.record_login(login)).unwrap()
    });
}

/// Many at a time, committed together.
#[divan::bench(sample_count = 50)]
fn logins_recorded_together(bencher: Bencher<'_, '_>) {
    let store = store();
    let account = samples::new_account(500, "account-500");
    bencher.counter(ItemsCount::new(TOGETHER)).bench_local(|| {
        store.runtime.block_on(async {
            let mut logins = JoinSet::new();
            for _ in 0..TOGETHER {
                let login = samples::login(&account, fresh());
                let store = Arc::clone(&store.sqlite);
                logins.spawn(async move { store.record_login(login).await });
            }
            while let Some(recorded) = logins.join_next().await {
                let _receipt = recorded.unwrap().unwrap();
            }
        });
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn accounts_created_together(bencher: Bencher<'_, '_>) {
    let store = store();
    let numbers = || (0..TOGETHER).map(|_| fresh()).collect::<Vec<_>>();
    bencher
        .counter(ItemsCount::new(TOGETHER))
        .with_inputs(numbers)
        .bench_local_values(|numbers| store.create_accounts(numbers.into_iter()));
}
