//! Logins that come at one moment, and what is in the way of some of them.

use std::sync::Arc;

use countersign_authority::ports::{AccountStore as _, CredentialStore as _};
use countersign_testkit::samples::{self, new_account};

use crate::databases::Database;

/// Who changes his own account all the time, or logs in with it at another server, delays nobody.
#[tokio::test]
async fn a_login_whose_account_is_busy_delays_no_other_login() {
    let database = Database::fresh().await;
    let store = Arc::new(database.open());
    let (other, witness) = (database.client().await, database.client().await);
    let [alice, bob] = [new_account(1, "alice"), new_account(2, "bob")];
    for account in [&alice, &bob] {
        store.create_account(account.clone()).await.unwrap();
    }
    for (busy, number) in [
        ("SELECT FROM users WHERE username = 'alice' FOR UPDATE", 100),
        (
            "SELECT FROM credentials WHERE user_id = (SELECT id FROM users WHERE username = 'alice') FOR UPDATE",
            200,
        ),
    ] {
        other.batch_execute("BEGIN").await.unwrap();
        assert_eq!(other.query(busy, &[]).await.unwrap().len(), 1);
        let (waits, login) = (Arc::clone(&store), samples::login(&alice, number));
        let waiting = tokio::spawn(async move { waits.record_login(login).await });
        let waits = "SELECT query LIKE '%unnest%' FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waits_for_all: bool = loop {
            if let Some(row) = witness.query_opt(waits, &[]).await.unwrap() {
                break row.get(0);
            }
        };
        assert!(!waits_for_all, "what records the logins of all waits");
        for later in 1..6 {
            store.record_login(samples::login(&bob, number + later)).await.unwrap();
        }
        other.batch_execute("ROLLBACK").await.unwrap();
        // It may have waited as long as it may, on a busy machine.
        drop(waiting.await.unwrap());
        store.record_login(samples::login(&alice, number + 50)).await.unwrap();
    }
}
