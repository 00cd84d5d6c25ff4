//! Servers that do not answer, and connections that break.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{
    LimitKey, NotAdmitted, PutNonceError, RateLimit, SessionId, SessionNonce,
};
use countersign_protocol::ports::{Clock as _, ReplayError};
use countersign_system::SystemClock;
use tokio::time::timeout;

use crate::{
    nodes::{DEADLINE, node, now, proof, spend, spend_when_there, until_there},
    server::Server,
};

const LIMIT: RateLimit = RateLimit { name: "limit", burst: 10, period: Duration::from_mins(1) };

fn client() -> LimitKey {
    LimitKey::Network(IpAddr::from([192, 0, 2, 1]).into())
}

#[tokio::test]
async fn a_server_that_is_frozen_refuses_everything_in_time() {
    let server = Server::start().await;
    let node = node(&server.url()).await;
    let (epoch, session) = (node.replay_log.epoch().id, SessionId::from_bytes([1; 16]));
    spend(&node, proof(1), epoch).await.unwrap();
    server.freeze();
    for number in 0..20 {
        let refused = spend(&node, proof(number), epoch).await;
        assert!(matches!(refused, Err(ReplayError::Unavailable(_))), "{refused:?}");
    }
    let nonce = SessionNonce { value: [1; 16], expires_at: now() + Duration::from_secs(30) };
    let others = async {
        let moment = SystemClock::new().monotonic();
        let refused = node.rate_limiter.take(&LIMIT, client(), moment).await;
        assert_eq!(refused, Err(NotAdmitted::Unavailable));
        let refused = node.window_limiter.enter(client(), moment).await;
        assert_eq!(refused, Err(NotAdmitted::Unavailable));
        let network = IpAddr::from([192, 0, 2, 1]).into();
        let refused = node.session_nonces.put(&session, nonce, network, now()).await;
        assert!(matches!(refused, Err(PutNonceError::Store(_))));
        node.session_nonces.outstanding(&session, now()).await.unwrap_err();
        node.session_nonces.exchange(&session, (&nonce, None), epoch, now()).await.unwrap_err();
        assert_eq!(
            node.recent_numbers.recent(countersign_testkit::samples::account_id(1), network).await,
            []
        );
    };
    timeout(DEADLINE, others).await.unwrap();
    server.thaw();
    assert_eq!(spend_when_there(&node, proof(1), epoch).await, Err(ReplayError::Used));
    assert_eq!(spend_when_there(&node, proof(100), epoch).await, Ok(()));
    assert_eq!(node.replay_log.epoch().id, epoch);
}

#[tokio::test]
async fn connections_that_the_server_ends_come_back() {
    let server = Server::start().await;
    let (node, client) = (node(&server.url()).await, server.client().await);
    let epoch = node.replay_log.epoch().id;
    for round in 0..5 {
        assert_eq!(spend_when_there(&node, proof(round), epoch).await, Ok(()));
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE application_name = 'countersign'";
        client.query(end, &[]).await.unwrap();
        until_there(&node).await;
        assert_eq!(spend_when_there(&node, proof(round), epoch).await, Err(ReplayError::Used));
    }
}

#[tokio::test]
async fn connections_end_with_the_last_part_of_the_state() {
    let server = Server::start().await;
    let (node, client) = (node(&server.url()).await, server.client().await);
    let count = async || {
        let select = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'countersign'";
        client.query_one(select, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(count().await, 5);
    let log = node.replay_log;
    drop((node.rate_limiter, node.keyring_tries, node.session_nonces));
    drop((node.recent_numbers, node.window_limiter, node.request_limiter));
    assert_eq!(count().await, 5);
    drop(log);
    let ended = async {
        while count().await > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, ended).await.unwrap();
}

#[tokio::test]
async fn a_first_start_waits_while_another_node_makes_the_tables() {
    let server = Server::start().await;
    let (maker, witness) = (server.client().await, server.client().await);
    maker
        .execute("SELECT pg_advisory_lock(hashtext('countersign migrations'))", &[])
        .await
        .unwrap();
    let url = server.url();
    let starting = tokio::spawn(async move { node(&url).await });
    // Longer than requests wait for a lock.
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'
        AND clock_timestamp() - query_start > interval '300 ms')";
    let waiting = async {
        while !witness.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(!starting.is_finished(), "it did not wait");
        }
    };
    timeout(DEADLINE, waiting).await.unwrap();
    maker.execute("SELECT pg_advisory_unlock_all()", &[]).await.unwrap();
    until_there(&starting.await.unwrap()).await;
}

/// A database may say how strictly all transactions in it are kept apart. Two that take from one limit would then
/// fail instead of waiting.
#[tokio::test]
async fn whatever_the_database_says_of_isolation_takers_of_one_limit_wait_for_each_other() {
    let server = Server::start().await;
    let setting = "ALTER SYSTEM SET default_transaction_isolation = 'serializable'";
    let client_of_server = server.client().await;
    client_of_server.batch_execute(setting).await.unwrap();
    client_of_server.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let url = server.url();
    let nodes = [node(&url).await, node(&url).await];
    let limit = RateLimit { burst: 1000, ..LIMIT };
    let moment = SystemClock::new().monotonic();
    let taken = (0..400).map(|number| {
        let limiter = Arc::clone(&nodes[number % 2].rate_limiter);
        tokio::spawn(async move { limiter.take(&limit, client(), moment).await })
    });
    for taken in taken.collect::<Vec<_>>() {
        assert_eq!(timeout(DEADLINE, taken).await.unwrap().unwrap(), Ok(()));
    }
}
