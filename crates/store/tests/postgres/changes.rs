//! What is told of changes, where transactions and servers come between.

use countersign_authority::ports::{
    AccountStore as _, ChangeCursor, Changed, Changes, CredentialStore as _, Retention,
    StoreUpkeep as _,
};
use countersign_store::postgres::PostgresStore;
use countersign_testkit::samples::{self, NOW, new_account};

use crate::databases::Database;

async fn cursor(store: &PostgresStore) -> ChangeCursor {
    store.changes(None).await.unwrap().cursor
}

async fn told(store: &PostgresStore, cursor: &mut ChangeCursor) -> Changed {
    let told = store.changes(Some(*cursor)).await.unwrap();
    *cursor = told.cursor;
    let Changes::These(changed) = told.changes else { panic!("everything") };
    changed
}

/// A change that began before others and commits after them comes too late for whoever counts.
#[tokio::test]
async fn what_commits_late_is_told_late_and_everything_once() {
    let database = Database::fresh().await;
    let (store, mut slow) = (database.open(), database.client().await);
    store.create_account(new_account(1, "alice")).await.unwrap();
    let mut heard = cursor(&store).await;

    let slow = slow.transaction().await.unwrap();
    slow.execute("UPDATE accounts SET status = 'disabled'", &[]).await.unwrap();
    for number in 2..5 {
        store.create_account(new_account(number, &format!("user{number}"))).await.unwrap();
        let changed = told(&store, &mut heard).await;
        assert_eq!(changed.keys.len(), 1, "{changed:?}");
        assert!(changed.accounts.is_empty(), "{changed:?}");
    }
    slow.commit().await.unwrap();
    assert_eq!(told(&store, &mut heard).await.accounts, [samples::account_id(1)]);
    assert_eq!(told(&store, &mut heard).await, Changed::default());
}

#[tokio::test]
async fn a_login_is_no_change() {
    let database = Database::fresh().await;
    let store = database.open();
    let new = new_account(1, "alice");
    store.create_account(new.clone()).await.unwrap();
    let mut heard = cursor(&store).await;
    store.record_login(samples::login(&new, 1)).await.unwrap();
    store.check().await.unwrap();
    assert_eq!(told(&store, &mut heard).await, Changed::default());
}

#[tokio::test]
async fn who_has_not_heard_of_what_was_forgotten_must_forget_everything() {
    const RETENTION: Retention = Retention {
        max_age: std::time::Duration::from_hours(24),
        max_events: 100,
        max_refusals: 100,
        max_uses: 100,
    };
    let database = Database::fresh().await;
    let (store, client) = (database.open(), database.client().await);
    let before = cursor(&store).await;
    store.create_account(new_account(1, "alice")).await.unwrap();
    // Nothing is old yet.
    store.prune(NOW, &RETENTION).await.unwrap();
    let mut heard = before;
    assert_eq!(told(&store, &mut heard).await.keys.len(), 1);

    let age = "UPDATE changes SET at = at - 3700000000";
    client.execute(age, &[]).await.unwrap();
    store.prune(NOW, &RETENTION).await.unwrap();
    let left: i64 = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    // Those who asked within the hour have heard of it.
    assert_eq!(told(&store, &mut heard).await, Changed::default());
    // For others it is as if they had asked long ago.
    client.execute("UPDATE changes_forgotten SET at = at + 7400000000", &[]).await.unwrap();
    let told = store.changes(Some(heard)).await.unwrap();
    assert_eq!(told.changes, Changes::Everything);
}

#[tokio::test]
async fn too_much_to_tell_is_everything() {
    let database = Database::fresh().await;
    let (store, client) = (database.open(), database.client().await);
    let insert = |count: i32| {
        let insert = "INSERT INTO changes(kind) SELECT 'signing-keys' FROM generate_series(1, $1)";
        let client = &client;
        async move { client.execute(insert, &[&count]).await.unwrap() }
    };
    let mut heard = cursor(&store).await;
    insert(4096).await;
    assert!(told(&store, &mut heard).await.signing_keys);
    insert(4097).await;
    assert_eq!(store.changes(Some(heard)).await.unwrap().changes, Changes::Everything);
}

/// What a later version tells is unknown to this one.
#[tokio::test]
async fn a_change_of_an_unknown_kind_is_everything() {
    let database = Database::fresh().await;
    let (store, client) = (database.open(), database.client().await);
    let heard = cursor(&store).await;
    let later = "ALTER TABLE changes DROP CONSTRAINT changes_kind_check;
        INSERT INTO changes(kind) VALUES ('moon')";
    client.batch_execute(later).await.unwrap();
    assert_eq!(store.changes(Some(heard)).await.unwrap().changes, Changes::Everything);
}
