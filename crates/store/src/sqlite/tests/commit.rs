//! Group commit: what shares a transaction, and what does not.

use std::sync::mpsc;

use countersign_authority::ports::{Changes, CreateAccountError, StoreUpkeep};
use countersign_testkit::samples;
use parking_lot::Mutex;

use super::{super::job, *};

#[tokio::test]
async fn writes_that_wait_are_committed_together() {
    let fixture = Fixture::new();
    let before = fixture.store.statistics();
    let lock = fixture.lock();
    let mut calls: Pending<'_, _> = (0..200)
        .map(|n| fixture.store.create_account(samples::new_account(n, &format!("user{n}"))))
        .collect();
    assert!(start(&mut calls).await.is_empty());
    drop(lock);
    for call in calls {
        call.await.unwrap();
    }
    let after = fixture.store.statistics();
    assert_eq!(after.writes - before.writes, 200);
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(fixture.accounts().await, 200);
}

#[tokio::test]
async fn a_refused_write_undoes_only_itself() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let mut calls: Pending<'_, _> = [(1, "alice"), (2, "ALICE"), (3, "carol")]
        .map(|(n, name)| fixture.store.create_account(samples::new_account(n, name)))
        .into();
    start(&mut calls).await;
    drop(lock);
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await);
    }
    assert!(
        matches!(results[..], [Ok(()), Err(CreateAccountError::UsernameTaken), Ok(())]),
        "{results:?}"
    );
    assert_eq!(fixture.accounts().await, 2);
}

#[tokio::test]
async fn a_write_that_fails_half_way_undoes_only_itself() {
    let fixture = Fixture::new();
    let before = fixture.store.statistics();
    let lock = fixture.lock();
    let creation = |n, name| fixture.store.create_account(samples::new_account(n, name));
    let mut first: Pending<'_, _> = vec![creation(1, "alice")];
    start(&mut first).await;
    let half = "INSERT INTO revoked_tokens(jti, expires_at) VALUES ('half', 0);
        SELECT no_such_column";
    let mut broken: Pending<'_, _> = vec![Box::pin(fixture.execute(half))];
    start(&mut broken).await;
    let mut last: Pending<'_, _> = vec![creation(2, "bob")];
    start(&mut last).await;
    drop(lock);
    first.remove(0).await.unwrap();
    let cause = broken.remove(0).await.unwrap_err().to_string();
    assert!(cause.contains("no_such_column"), "{cause}");
    last.remove(0).await.unwrap();

    assert_eq!(fixture.store.statistics().commits - before.commits, 1);
    assert_eq!(fixture.accounts().await, 2);
    let half = "SELECT count(*) FROM revoked_tokens";
    let count = fixture.other_program().query_row(half, [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(0));
}

#[tokio::test]
async fn nobody_is_told_of_a_commit_that_fails() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    // A reference to nothing that is checked only at the commit.
    let dangling = "PRAGMA defer_foreign_keys = on;
        INSERT INTO accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        VALUES (99, x'00', 'nobody', 'active', '', 0)";
    let mut creation: Pending<'_, _> =
        vec![fixture.store.create_account(samples::new_account(1, "alice"))];
    start(&mut creation).await;
    let mut broken: Pending<'_, _> = vec![Box::pin(fixture.execute(dangling))];
    start(&mut broken).await;
    drop(lock);
    let creation = creation.remove(0).await;
    assert!(
        matches!(creation, Err(CreateAccountError::Store(StoreError::Unavailable(_)))),
        "{creation:?}"
    );
    assert!(matches!(broken.remove(0).await, Err(StoreError::Unavailable(_))));

    assert_eq!(fixture.accounts().await, 0);
    fixture.create(samples::new_account(1, "alice")).await;
}

#[tokio::test]
async fn nobody_is_told_of_a_transaction_that_was_given_up() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let mut creation: Pending<'_, _> =
        vec![fixture.store.create_account(samples::new_account(1, "alice"))];
    start(&mut creation).await;
    // As SQLite itself does when it runs out of memory or disk.
    let give_up = "ROLLBACK; SELECT no_such_column";
    let mut broken: Pending<'_, _> = vec![Box::pin(fixture.execute(give_up))];
    start(&mut broken).await;
    drop(lock);
    let creation = creation.remove(0).await;
    assert!(
        matches!(creation, Err(CreateAccountError::Store(StoreError::Unavailable(_)))),
        "{creation:?}"
    );
    let cause = broken.remove(0).await.unwrap_err().to_string();
    assert!(cause.contains("no_such_column"), "{cause}");
    fixture.create(samples::new_account(1, "alice")).await;
}

#[tokio::test]
async fn closing_the_store_finishes_what_was_queued() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let insert = "INSERT INTO revoked_tokens(jti, expires_at) VALUES (?, 0)";
    let mut results = Vec::new();
    for number in 0..50 {
        let (job, result) =
            job::new(move |c| Ok::<_, StoreError>(rows::execute(c, insert, [number.to_string()])?));
        fixture.store.writer.submit(job).unwrap();
        results.push(result);
    }
    let Fixture { store, path, _directory } = fixture;
    let closing = std::thread::spawn(move || drop(store));
    drop(lock);
    closing.join().unwrap();
    for result in results {
        assert_eq!(result.await.unwrap(), 1);
    }
    let count = "SELECT count(*) FROM revoked_tokens";
    let connection = Connection::open(path).unwrap();
    assert_eq!(connection.query_row(count, [], |row| row.get::<_, i64>(0)), Ok(50));
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_is_not_done() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let mut calls: Pending<'_, _> = [(1, "alice"), (2, "bob")]
        .map(|(n, name)| fixture.store.create_account(samples::new_account(n, name)))
        .into();
    start(&mut calls).await;
    drop(calls.pop());
    drop(lock);
    calls.remove(0).await.unwrap();
    fixture.store.check().await.unwrap();
    assert_eq!(fixture.accounts().await, 1);
}

/// Nobody else can write while a transaction is open, so nothing has changed: not even when the disk lets
/// its commit wait for a minute.
#[tokio::test]
async fn a_writer_that_is_stuck_keeps_nobody_from_looking_for_changes() {
    let fixture = Fixture::new();
    let before = fixture.store.changes(None).await.unwrap().cursor;
    let (mut stuck, go_on) = fixture.stall().await;
    assert!(fixture.store.changes(Some(before)).await.unwrap().changes.is_empty());
    assert!(start(&mut stuck).await.is_empty(), "it is stuck still");
    go_on.send(()).unwrap();
    stuck.remove(0).await.unwrap();

    // What was written before the transaction began is told while it is open.
    fixture.other_program().execute_batch("UPDATE health SET checks = 7").unwrap();
    let (mut stuck, go_on) = fixture.stall().await;
    let told = fixture.store.changes(Some(before)).await.unwrap();
    assert_eq!(told.changes, Changes::Everything);
    assert!(start(&mut stuck).await.is_empty(), "it is stuck still");
    go_on.send(()).unwrap();
    stuck.remove(0).await.unwrap();
    assert!(fixture.store.changes(Some(told.cursor)).await.unwrap().changes.is_empty());
}

/// Its end may fold the log for as long as the disk likes, while others write already.
#[tokio::test]
async fn a_transaction_that_does_not_end_answers_only_so_many_looks() {
    let fixture = Fixture::new();
    let before = fixture.store.changes(None).await.unwrap().cursor;
    // The transaction that has answered this look has ended when a later write is durable.
    fixture.execute("UPDATE health SET checks = checks").await.unwrap();
    let (mut stuck, go_on) = fixture.stall().await;
    for _ in 0..20 {
        assert!(fixture.store.changes(Some(before)).await.unwrap().changes.is_empty());
    }
    let mut look: Pending<'_, _> = vec![Box::pin(fixture.store.changes(Some(before)))];
    assert!(start(&mut look).await.is_empty(), "it waits for the end of the transaction");
    go_on.send(()).unwrap();
    stuck.remove(0).await.unwrap();
    assert!(look.remove(0).await.unwrap().changes.is_empty());
    let (mut stuck, go_on) = fixture.stall().await;
    assert!(fixture.store.changes(Some(before)).await.unwrap().changes.is_empty());
    go_on.send(()).unwrap();
    stuck.remove(0).await.unwrap();
}

impl Fixture {
    /// A transaction that ends when the sender says so.
    async fn stall(&self) -> (Pending<'_, Result<(), StoreError>>, mpsc::Sender<()>) {
        let (go_on, held) = mpsc::channel();
        let held = Mutex::new(held);
        let write = self.store.write_unmeasured(move |_| {
            held.lock().recv().unwrap();
            Ok(())
        });
        let mut stuck: Pending<'_, _> = vec![Box::pin(write)];
        start(&mut stuck).await;
        (stuck, go_on)
    }
}
