//! Servers that share a database know of each other.

use std::{sync::Arc, time::Duration};

use countersign_authority::ports::IssuerStore as _;
use countersign_store::postgres::Node;
use countersign_system::SystemClock;

use crate::databases::Database;

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        version: "1.2.3".to_owned(),
        issuer: "https://auth.example.com".to_owned(),
        state: "postgres".to_owned(),
        settings: [7; 32],
        clock_ahead_millis: None,
        news_age: Duration::from_millis(20),
    }
}

#[tokio::test]
async fn a_server_is_there_from_its_first_word_to_its_last() {
    let database = Database::fresh().await;
    let (one, other) = (database.open(), database.open());
    let started_at = one.enter(&node("b"), None, clock()).await.unwrap().unwrap();
    other.enter(&node("a"), None, clock()).await.unwrap().unwrap();
    let seen = one.nodes().await.unwrap();
    assert_eq!(seen.iter().map(|seen| &*seen.node.id).collect::<Vec<_>>(), ["a", "b"]);
    let first = &seen[1];
    assert_eq!((&first.node, first.started_at), (&node("b"), started_at));

    let later = Node { clock_ahead_millis: Some(-3), ..node("b") };
    assert!(one.beat(&later, started_at).await.unwrap());
    let seen = other.nodes().await.unwrap();
    assert_eq!((&seen[1].node, seen[1].started_at), (&later, started_at));
    one.forget_node("b", started_at).await.unwrap();
    assert_eq!(other.nodes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_servers_with_one_name_one_has_it() {
    let database = Database::fresh().await;
    let (one, other) = (database.open(), database.open());
    let first = one.enter(&node("a"), None, clock()).await.unwrap().unwrap();
    assert_eq!(other.enter(&node("a"), None, clock()).await.unwrap(), None);
    assert!(one.beat(&node("a"), first).await.unwrap());
    // The first seems to have been killed. Two take its place at once.
    let named = node("a");
    let (second, third) = tokio::join!(
        one.enter(&named, Some(first), clock()),
        other.enter(&named, Some(first), clock())
    );
    let (second, third) = (second.unwrap(), third.unwrap());
    assert!(second.is_none() != third.is_none(), "{second:?} {third:?}");
    let now = second.or(third).unwrap();
    assert!(now > first);
    // It was not, and hears that it has no name. It takes none with it.
    assert!(!one.beat(&node("a"), first).await.unwrap());
    one.forget_node("a", first).await.unwrap();
    assert_eq!(one.nodes().await.unwrap()[0].started_at, now);
    // Who was forgotten, by others who still speak, says so again.
    one.forget_node("a", now).await.unwrap();
    database.open().enter(&node("b"), None, clock()).await.unwrap().unwrap();
    assert!(one.beat(&node("a"), now).await.unwrap());
    assert_eq!(one.nodes().await.unwrap()[0].started_at, now);
}

#[tokio::test]
async fn a_server_whose_start_was_lost_in_a_failover_keeps_its_name() {
    let database = Database::fresh().await;
    let store = database.open();
    let now = store.enter(&node("a"), None, clock()).await.unwrap().unwrap();
    let lost = "UPDATE nodes SET started_at = started_at - 60000";
    database.client().await.batch_execute(lost).await.unwrap();
    assert!(store.beat(&node("a"), now).await.unwrap());
    assert_eq!(store.nodes().await.unwrap()[0].started_at, now);
}

#[tokio::test]
async fn a_silent_server_is_told_from_one_that_speaks_and_forgotten_after_a_day() {
    let database = Database::fresh().await;
    let store = database.open();
    for id in ["a", "b"] {
        store.enter(&node(id), None, clock()).await.unwrap().unwrap();
    }
    let silent = async |millis: u64| {
        let silent = format!("UPDATE nodes SET seen_at = seen_at - {millis} WHERE node_id = 'a'");
        database.client().await.batch_execute(&silent).await.unwrap();
    };
    silent(20_000).await;
    let seen = store.nodes().await.unwrap();
    assert!(seen[0].silent_for >= Duration::from_secs(20), "{seen:?}");
    assert!(seen[1].silent_for < Duration::from_secs(20), "{seen:?}");
    silent(86_400_000).await;
    store.beat(&node("b"), seen[1].started_at).await.unwrap();
    let seen = store.nodes().await.unwrap();
    assert_eq!(seen.iter().map(|seen| &*seen.node.id).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn of_several_servers_that_start_at_once_one_decides_what_all_are_called() {
    let database = Database::fresh().await;
    let stores = [database.open(), database.open(), database.open()];
    let [a, b, c] = &stores;
    let claims = tokio::join!(
        a.claim_issuer("https://a"),
        b.claim_issuer("https://b"),
        c.claim_issuer("https://c")
    );
    let kept = a.issuer().await.unwrap().unwrap();
    for claim in [claims.0, claims.1, claims.2] {
        assert_eq!(claim.unwrap(), kept);
    }
}

#[tokio::test]
async fn the_server_says_how_it_is_and_what_it_holds() {
    let database = Database::fresh().await;
    let report = database.open().report().await.unwrap();
    assert!(report.is_primary);
    assert!(!report.version.is_empty());
    assert_eq!((report.standbys.len(), report.may_lose), (0, None));
    assert_eq!(report.schema.version, report.schema.known);
    assert_eq!((report.summary.accounts, report.summary.signing_keys), (0, 0));
}
