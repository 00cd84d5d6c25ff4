//! What happens when SQLite, the disk or a job fails.

use countersign_authority::{
    model::account::AccountName,
    ports::{CreateAccountError, StoreUpkeep},
};
use countersign_testkit::samples;

use crate::{engine::Engine as _, sql};

use super::*;

#[tokio::test]
async fn an_acknowledged_write_is_on_disk() {
    let fixture = Fixture::new();
    let settings = fixture.store.write_unmeasured(|c| {
        let pragma = |name| c.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let journal = c.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        let settings = (|| Ok((journal?, pragma("synchronous")?, pragma("foreign_keys")?)))();
        Ok::<_, StoreError>(settings.map_err(|error: rusqlite::Error| DbError::from(error))?)
    });
    // 2 is FULL: the write-ahead log is synced at every commit.
    assert_eq!(settings.await.unwrap(), ("wal".to_owned(), 2, 1));
}

#[tokio::test]
async fn a_full_disk_makes_the_store_unavailable_and_loses_nothing() {
    let fixture = Fixture::new();
    fixture.create(samples::new_account(0, "first")).await;
    fixture.execute("PRAGMA max_page_count = 60").await.unwrap();
    let mut created = 1;
    let refusal = loop {
        let new = samples::new_account(created, &format!("user{created}"));
        match fixture.store.create_account(new).await {
            Ok(()) => created += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(
        matches!(refusal, CreateAccountError::Store(StoreError::Unavailable(_))),
        "{refusal:?}"
    );
    assert!(refusal.to_string().contains("full"), "{refusal}");
    assert_eq!(fixture.accounts().await as u64, created);

    fixture.execute("PRAGMA max_page_count = 100000").await.unwrap();
    fixture.create(samples::new_account(created, &format!("user{created}"))).await;
    fixture.store.check().await.unwrap();
}

#[tokio::test]
async fn a_read_only_disk_makes_the_store_unavailable() {
    let fixture = Fixture::new();
    fixture.execute("PRAGMA query_only = on").await.unwrap();
    let refusal = fixture.store.create_account(samples::new_account(1, "alice")).await;
    assert!(
        matches!(refusal, Err(CreateAccountError::Store(StoreError::Unavailable(_)))),
        "{refusal:?}"
    );
    assert!(matches!(fixture.store.check().await, Err(StoreError::Unavailable(_))));
    // Reading goes on.
    assert_eq!(fixture.accounts().await, 0);
}

#[tokio::test]
async fn a_database_that_another_program_keeps_locked_is_unavailable() {
    let options = SqliteOptions { busy_timeout: Duration::ZERO, ..SqliteOptions::default() };
    let fixture = Fixture::with(&options);
    let lock = fixture.lock();
    assert!(matches!(fixture.store.check().await, Err(StoreError::Unavailable(_))));
    drop(lock);
    fixture.store.check().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_instead_of_growing() {
    let fixture = Fixture::with(&SqliteOptions { write_queue: 4, ..SqliteOptions::default() });
    let lock = fixture.lock();
    let mut calls: Pending<'_, _> = (0..20)
        .map(|n| fixture.store.create_account(samples::new_account(n, &format!("user{n}"))))
        .collect();
    // One is in the hands of the writer, at most, and four wait.
    let refused = start(&mut calls).await;
    assert!((15..=16).contains(&refused.len()), "{}", refused.len());
    for refusal in refused {
        assert!(matches!(refusal, Err(CreateAccountError::Store(StoreError::Unavailable(_)))));
    }
    drop(lock);
    for call in calls {
        call.await.unwrap();
    }
    fixture.store.check().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_an_error_of_its_own_job_only() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        let panics = fixture.store.write_unmeasured(|c| -> Result<(), StoreError> {
            let insert = "INSERT INTO revoked_tokens(jti, expires_at) VALUES ('half', 0)";
            c.execute(insert, []).unwrap();
            panic!("a bug in a write");
        });
        assert!(matches!(panics.await, Err(StoreError::Unavailable(_))));
        let panics = fixture.store.read(|_: &sql::Connection| -> Result<(), StoreError> {
            panic!("a bug in a read");
        });
        assert!(matches!(panics.await, Err(StoreError::Unavailable(_))));
    }
    fixture.create(samples::new_account(1, "alice")).await;
    let id = AccountName::Id(samples::account_id(1));
    assert!(fixture.store.account(&id).await.unwrap().is_some());
    let half = "SELECT count(*) FROM revoked_tokens";
    let count = fixture.other_program().query_row(half, [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(0));
}
