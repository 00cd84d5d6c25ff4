//! What logins and registrations cost on both engines of the durable store, side by side on one disk.
//!
//! `scripts/with-postgres --durable cargo bench --bench engines [LOGINS]` prints a table. The processor's time is
//! that of this process alone: what the database server spends is its own affair, and on another machine.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "prints its table")]
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_authority::ports::{NewAccount, Store};
use countersign_store::{
    postgres::{PostgresOptions, PostgresStore, SchemaMode},
    sqlite::{SqliteOptions, SqliteStore},
};
use countersign_testkit::samples::{self, NOW};
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};
use tokio::{runtime::Runtime, task::JoinSet};

/// Writes that wait at the same time.
const TOGETHER: usize = 256;
/// Logins, unless the command says how many.
const LOGINS: u32 = 20_000;
/// Accounts that log in.
const ACCOUNTS: u32 = 4_000;

fn main() {
    let logins = env::args().find_map(|word| word.parse().ok()).unwrap_or(LOGINS);
    let server = env::var("COUNTERSIGN_TEST_POSTGRES").unwrap_or_default();
    if server.is_empty() {
        println!(
            "run it beside a server: scripts/with-postgres --durable cargo bench --bench engines"
        );
        return;
    }
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = SqliteStore::open(&directory.path().join("db"), &SqliteOptions::default()).unwrap();
    let accounts: Arc<[NewAccount]> =
        (0..ACCOUNTS.into()).map(|n| samples::new_account(n, &format!("user{n}"))).collect();
    println!("{:<12}{:<14}{:>10}{:>16}", "engine", "what", "a second", "µs of ours each");
    let sqlite = runtime.block_on(measure("sqlite", Arc::new(file), &accounts, logins));
    let options = PostgresOptions {
        mode: SchemaMode::CreateOrUpgrade,
        now: NOW,
        ..PostgresOptions::default()
    };
    let database = PostgresStore::open(&server.parse().unwrap(), &options).unwrap();
    let postgres = runtime.block_on(measure("postgres", Arc::new(database), &accounts, logins));
    println!("processor time of a login, postgres : sqlite = {:.2}", postgres / sqlite);
}

/// Registers the accounts and logs them in. Returns the processor time of a login, in microseconds.
async fn measure(
    name: &str,
    store: Arc<dyn Store>,
    accounts: &Arc<[NewAccount]>,
    logins: u32,
) -> f64 {
    let (of, all) = (store.clone(), accounts.clone());
    report(name, "registration", ACCOUNTS, move |n| {
        let (store, new) = (of.clone(), all[n as usize].clone());
        async move { store.create_account(new).await.unwrap() }
    })
    .await;
    let all = accounts.clone();
    report(name, "login", logins, move |n| {
        let (store, login) =
            (store.clone(), samples::login(&all[(n % ACCOUNTS) as usize], n.into()));
        async move { drop(store.record_login(login).await.unwrap()) }
    })
    .await
}

/// Does something `count` times, many at once, and prints how fast. Returns the processor time of each.
async fn report<F>(engine: &str, what: &str, count: u32, work: impl Fn(u32) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let (spent, begun) = (processor_time(), Instant::now());
    let mut running = JoinSet::new();
    for number in 0..count {
        if running.len() == TOGETHER {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(work(number));
    }
    running.join_all().await;
    let (took, spent) = (begun.elapsed(), processor_time().saturating_sub(spent));
    let each = spent.as_secs_f64() * 1e6 / f64::from(count);
    println!("{engine:<12}{what:<14}{:>10.0}{each:>16.1}", f64::from(count) / took.as_secs_f64());
    each
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}
