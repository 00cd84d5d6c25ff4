//! What happens to connections, transactions and servers. Everything is answered within its deadline, nothing
//! is acknowledged that was not kept, and the store goes on by itself.

use std::{process::Command, time::Duration};

use countersign_authority::{
    model::{account::AccountStatus, audit::EventKind},
    ports::{AccountStore as _, CreateAccountError, StoreError, StoreUpkeep as _},
};
use countersign_protocol::AccountId;
use countersign_store::postgres::{PostgresOptions, PostgresStore};
use countersign_testkit::samples::{self, account_id, new_account};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::{
    databases::{Database, few},
    proxy::Proxy,
};

/// Longer than any answer may take.
const DEADLINE: Duration = Duration::from_millis(2500);

async fn exists(store: &PostgresStore, id: AccountId) -> Result<bool, StoreError> {
    store.account(&id.to_string().parse().unwrap()).await.map(|found| found.is_some())
}

/// Runs `work`, which must end in time.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.unwrap()
}

/// The processes of the server that serve the store.
async fn backends(client: &Client) -> Vec<i32> {
    let select = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'countersign'";
    client.query(select, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Reads and writes on every connection of a store whose threads are as few as those of [`one_of_each`].
async fn use_all(store: &PostgresStore, number: u64) {
    store.create_account(new_account(number, &format!("user{number}"))).await.unwrap();
    assert!(exists(store, account_id(number)).await.unwrap());
    store.changes(None).await.unwrap();
}

fn one_of_each() -> PostgresOptions {
    PostgresOptions { writers: 1, ..few() }
}

#[tokio::test]
async fn connections_that_the_server_ends_are_made_anew_and_nobody_notices() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    for number in 1..4 {
        use_all(&store, number).await;
        assert_eq!(backends(&client).await.len(), 3);
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'countersign'";
        client.query(end, &[]).await.unwrap();
        assert!(backends(&client).await.is_empty());
    }
    use_all(&store, 4).await;
}

/// Sends a signal to processes of the server.
fn signal(name: &str, processes: &[i32]) {
    let processes = processes.iter().map(i32::to_string);
    assert!(Command::new("kill").arg(name).args(processes).status().unwrap().success());
}

/// Stopped processes, which go on in the end.
struct Stopped(Vec<i32>);

impl Stopped {
    fn these(processes: Vec<i32>) -> Self {
        signal("-STOP", &processes);
        Self(processes)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time_and_the_next_connection_serves() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    use_all(&store, 1).await;
    let stopped = Stopped::these(backends(&client).await);
    let (written, read, heard) = in_time(async {
        tokio::join!(
            store.create_account(new_account(2, "bob")),
            exists(&store, account_id(1)),
            store.changes(None)
        )
    })
    .await;
    assert!(matches!(written, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
    assert!(matches!(read, Err(StoreError::Unavailable(_))));
    assert!(matches!(heard, Err(StoreError::Unavailable(_))));
    // The old connections are still stopped.
    use_all(&store, 3).await;
    drop(stopped);
    use_all(&store, 4).await;
    assert!(!exists(&store, account_id(2)).await.unwrap(), "nothing that was given up is kept");
}

/// One caller notices. All others ask their connections first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_connections_that_do_not_answer_one_costs_a_caller_his_time() {
    let database = Database::fresh().await;
    let options = PostgresOptions { writers: 6, ..few() };
    let (store, client) = (database.open_as(&options), database.client().await);
    let create = |number| store.create_account(new_account(number, &format!("user{number}")));
    // Six changes that wait have six connections.
    let blocker = database.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE accounts IN EXCLUSIVE MODE").await.unwrap();
    let creating = async {
        let all = tokio::join!(create(1), create(2), create(3), create(4), create(5), create(6));
        drop(all);
    };
    let ending = async {
        while backends(&client).await.len() < 6 {}
        blocker.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(creating, ending);
    let _stopped = Stopped::these(backends(&client).await);
    assert!(create(7).await.is_err());
    for number in 8..20 {
        in_time(create(number)).await.unwrap();
    }
}

#[tokio::test]
async fn who_waits_too_long_for_somebody_elses_lock_keeps_his_connection() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    use_all(&store, 1).await;
    let before = backends(&client).await;
    client.batch_execute("BEGIN; SELECT 1 FROM accounts FOR UPDATE").await.unwrap();
    let disable = || {
        let event = samples::event(EventKind::AccountDisabled);
        store.set_status(account_id(1), AccountStatus::Disabled, event)
    };
    assert!(matches!(in_time(disable()).await, Err(StoreError::Unavailable(_))));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(disable().await.unwrap());
    assert_eq!(backends(&client).await, before);
}

/// Makes the first `times` inserts into `table` fail with `code`, `when` they happen or are committed.
async fn fail_first(client: &Client, times: u32, code: &str, when: &str) {
    let trigger = match when {
        "at once" => "CREATE TRIGGER fail AFTER INSERT ON audit_events",
        _ => {
            "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED"
        }
    };
    // A sequence counts also what is rolled back.
    let sql = format!(
        "CREATE SEQUENCE runs;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('runs') <= {times} THEN {code}; END IF; RETURN NULL;
         END $$;
         {trigger} FOR EACH ROW EXECUTE FUNCTION fail()"
    );
    client.batch_execute(&sql).await.unwrap();
}

fn raise(code: &str) -> String {
    format!("RAISE EXCEPTION 'no' USING ERRCODE = '{code}'")
}

async fn runs(client: &Client) -> i64 {
    client.query_one("SELECT last_value FROM runs", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_change_that_met_another_is_run_again() {
    for code in ["40001", "40P01", "23505"] {
        for when in ["at once", "at the commit"] {
            let database = Database::fresh().await;
            let (store, client) = (database.open_as(&one_of_each()), database.client().await);
            fail_first(&client, 2, &raise(code), when).await;
            store.create_account(new_account(1, "alice")).await.unwrap();
            assert_eq!(runs(&client).await, 3, "{code} {when}");
        }
    }
}

#[tokio::test]
async fn a_change_that_always_meets_another_fails_and_leaves_nothing() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    fail_first(&client, 100, &raise("40P01"), "at once").await;
    let created = in_time(store.create_account(new_account(1, "alice"))).await;
    assert!(matches!(created, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
    assert_eq!(runs(&client).await, 4);
    assert!(!exists(&store, account_id(1)).await.unwrap());
}

#[tokio::test]
async fn a_statement_that_is_refused_is_not_run_again() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    fail_first(&client, 1, &raise("XX000"), "at once").await;
    let created = store.create_account(new_account(1, "alice")).await;
    assert!(matches!(created, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
    assert_eq!(runs(&client).await, 1);
    use_all(&store, 1).await;
}

/// A commit whose answer was lost may have happened. To run the change again could do it twice.
#[tokio::test]
async fn a_commit_without_an_answer_is_neither_acknowledged_nor_run_again() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    let end = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1)";
    fail_first(&client, 1, end, "at the commit").await;
    let created = in_time(store.create_account(new_account(1, "alice"))).await;
    let Err(CreateAccountError::Store(StoreError::Unavailable(error))) = created else {
        panic!("{created:?}")
    };
    assert!(error.to_string().contains("whether it kept the change"), "{error}");
    assert_eq!(runs(&client).await, 1);
    use_all(&store, 2).await;
}

/// So a server speaks that has stopped waiting for its standby.
#[tokio::test]
async fn a_commit_with_a_warning_is_not_acknowledged() {
    let database = Database::fresh().await;
    let (store, client) = (database.open_as(&one_of_each()), database.client().await);
    // Its connections come after that, and would hear of no warning.
    let quiet = format!("ALTER DATABASE {} SET client_min_messages = error", database.name());
    client.batch_execute(&quiet).await.unwrap();
    fail_first(&client, 1, "RAISE WARNING 'canceling the wait'", "at the commit").await;
    let created = store.create_account(new_account(1, "alice")).await;
    assert!(matches!(created, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
    assert_eq!(runs(&client).await, 1);
    assert!(exists(&store, account_id(1)).await.unwrap(), "it was kept nonetheless");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_everything_fails_at_once_and_then_works_again() {
    let database = Database::fresh().await;
    let proxy = Proxy::to(database.address()).await;
    let store = PostgresStore::open(&database.url_through(&proxy.address), &one_of_each()).unwrap();
    use_all(&store, 1).await;
    proxy.shut();
    // The first of each kind notices.
    assert!(in_time(store.create_account(new_account(2, "bob"))).await.is_err());
    let failing = async {
        for _ in 0..100 {
            let written = store.create_account(new_account(2, "bob")).await;
            assert!(matches!(written, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
            assert!(exists(&store, account_id(1)).await.is_err());
            assert!(store.changes(None).await.is_err());
        }
    };
    timeout(Duration::from_secs(1), failing).await.unwrap();
    assert!(store.condition().failed_writes >= 100);
    proxy.open();
    let returning = async { while store.create_account(new_account(2, "bob")).await.is_err() {} };
    timeout(Duration::from_secs(5), returning).await.unwrap();
    use_all(&store, 3).await;
}
