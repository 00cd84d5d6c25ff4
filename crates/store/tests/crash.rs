//! A process that is killed loses nothing that it acknowledged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    ops::Range,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use countersign_authority::{
    model::account::AccountName,
    ports::{AccountStore, CredentialStore, RecordLoginError},
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore, verify_backup};
use countersign_testkit::samples;

/// Names the database to the process that is to be killed.
const DATABASE: &str = "COUNTERSIGN_CRASH_TEST_DATABASE";
const WRITERS: u64 = 16;

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("countersign.db");
    let mut first = 0;
    // Each process goes on with the database that the one before it left.
    for acknowledgements in [1, 50, 500] {
        let acknowledged = write_and_be_killed(&database, first, acknowledgements);
        assert!(acknowledged.len() >= acknowledgements);
        let store = SqliteStore::open(&database, &SqliteOptions::default()).unwrap();
        for number in &acknowledged {
            let name = AccountName::Id(samples::account_id(*number));
            assert!(store.account(&name).await.unwrap().is_some(), "account {number} is lost");
            let new = samples::new_account(*number, &format!("user{number}"));
            let again = store.record_login(samples::login(&new, *number)).await;
            assert!(matches!(again, Err(RecordLoginError::AlreadyUsed)), "{again:?}");
        }
        drop(store);
        let summary = verify_backup(&database).unwrap();
        assert_eq!(summary.accounts, summary.credentials);
        first += 1_000_000;
    }
}

/// Starts this program again to write accounts from number `first` on, kills it after as many
/// acknowledgements, and returns the numbers of all that it acknowledged.
fn write_and_be_killed(database: &Path, first: u64, acknowledgements: usize) -> Vec<u64> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "what_is_acknowledged_is_there", "--nocapture"])
        .env(DATABASE, database)
        .env("FIRST", first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut numbers = Vec::new();
    for line in lines {
        // A line that was cut off by the kill was not acknowledged in full.
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("acknowledged ").and_then(|n| n.strip_suffix('.'))
        else {
            continue;
        };
        numbers.push(number.parse().unwrap());
        if numbers.len() == acknowledgements {
            // SIGKILL; what is in the pipe is still read.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    numbers
}

/// Writes some accounts and finds them; or, as the process that is to be killed, writes on and on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_there() {
    if let Some(database) = env::var_os(DATABASE) {
        let first: u64 = env::var("FIRST").unwrap().parse().unwrap();
        write(Path::new(&database), first..u64::MAX).await;
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("countersign.db");
    write(&database, 0..100).await;
    assert_eq!(verify_backup(&database).unwrap().accounts, 100);
}

/// Writes accounts and logins of those numbers, and says so when each is durable.
async fn write(database: &Path, numbers: Range<u64>) {
    let store = Arc::new(SqliteStore::open(database, &SqliteOptions::default()).unwrap());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        let numbers = numbers.start + writer..numbers.end;
        writers.spawn(async move {
            for number in numbers.step_by(usize::try_from(WRITERS).unwrap()) {
                let new = samples::new_account(number, &format!("user{number}"));
                store.create_account(new.clone()).await.unwrap();
                let _receipt = store.record_login(samples::login(&new, number)).await.unwrap();
                let line = format!("acknowledged {number}.\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    writers.join_all().await;
}
