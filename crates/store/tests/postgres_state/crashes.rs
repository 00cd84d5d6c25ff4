//! Servers that crash, restart and are followed by another. Whatever was recorded, and is forgotten, was of an
//! epoch that is over.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use countersign_protocol::ports::ReplayError;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    nodes::{node, now, proof, spend, spend_when_there},
    server::Server,
};

#[tokio::test]
async fn nothing_that_was_used_before_a_crash_works_after_it() {
    let mut server = Server::start().await;
    let nodes = [node(&server.url()).await, node(&server.url()).await];
    let mut epochs = HashSet::new();
    for round in 0..20 {
        let epoch = nodes[0].replay_log.epoch().id;
        assert!(epochs.insert(epoch), "no epoch comes again");
        for (number, node) in [(2 * round, &nodes[0]), (2 * round + 1, &nodes[1])] {
            assert_eq!(spend_when_there(node, proof(number), epoch).await, Ok(()));
        }
        if round % 2 == 0 {
            // Also what reached the disk is gone after a crash.
            server.client().await.batch_execute("CHECKPOINT").await.unwrap();
        }
        server.kill();
        for node in &nodes {
            let refused = spend(node, proof(2 * round), epoch).await;
            assert!(matches!(refused, Err(ReplayError::Unavailable(_))), "{refused:?}");
        }
        server.go().await;
        for number in [2 * round, 2 * round + 1, 1_000] {
            for node in &nodes {
                let refused = spend_when_there(node, proof(number), epoch).await;
                assert_eq!(refused, Err(ReplayError::Forgot), "round {round}");
            }
        }
        assert_eq!(nodes[0].replay_log.epoch(), nodes[1].replay_log.epoch());
    }
}

/// The same proofs at both nodes, over and over, while the server crashes in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_and_crashes_no_proof_works_twice_in_one_epoch() {
    let mut server = Server::start().await;
    let nodes = [node(&server.url()).await, node(&server.url()).await];
    let accepted = Arc::new(Mutex::new(HashSet::new()));
    let (mut clients, is_over) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for client in 0..16 {
        let node = nodes[client % 2].clone();
        let (accepted, is_over) = (Arc::clone(&accepted), Arc::clone(&is_over));
        clients.spawn(async move {
            for number in (0..500).cycle() {
                if is_over.load(Relaxed) {
                    return;
                }
                let epoch = node.replay_log.epoch().id;
                match spend(&node, proof(number), epoch).await {
                    Ok(()) => assert!(accepted.lock().unwrap().insert((number, epoch)), "twice"),
                    Err(ReplayError::Unavailable(_)) => sleep(Duration::from_millis(1)).await,
                    Err(_) => {}
                }
            }
        });
    }
    let count = || accepted.lock().unwrap().len();
    for _ in 0..5 {
        let before = count();
        let more = async {
            while count() < before + 100 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(30), more).await.unwrap();
        server.kill();
        server.go().await;
    }
    is_over.store(true, Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let epochs: HashSet<_> = accepted.lock().unwrap().iter().map(|(_, epoch)| *epoch).collect();
    assert!(epochs.len() >= 5, "{}", epochs.len());
}

#[tokio::test]
async fn a_restart_in_order_forgets_nothing() {
    let mut server = Server::start().await;
    let node = node(&server.url()).await;
    let epoch = node.replay_log.epoch();
    spend(&node, proof(1), epoch.id).await.unwrap();
    server.stop();
    server.go().await;
    assert_eq!(spend_when_there(&node, proof(1), epoch.id).await, Err(ReplayError::Used));
    assert_eq!(spend(&node, proof(2), epoch.id).await, Ok(()));
    assert_eq!(node.replay_log.epoch(), epoch);
}

#[tokio::test]
async fn a_promoted_standby_is_in_another_epoch() {
    let mut primary = Server::start().await;
    let url = |standby: &Server| {
        format!("postgres://postgres@{},{}/postgres", primary.address(), standby.address())
    };
    drop(node(&primary.url()).await);
    let standby = primary.standby().await;
    let node = node(&url(&standby)).await;
    let epoch = node.replay_log.epoch();
    spend(&node, proof(1), epoch.id).await.unwrap();
    primary.kill();
    standby.promote();
    assert_eq!(spend_when_there(&node, proof(1), epoch.id).await, Err(ReplayError::Forgot));
    let next = node.replay_log.epoch();
    assert_ne!(next.id, epoch.id);
    assert!(next.since >= epoch.since);
    assert_eq!(spend(&node, proof(2), next.id).await, Ok(()));
    assert_eq!(spend(&node, proof(2), next.id).await, Err(ReplayError::Used));
}

#[tokio::test]
async fn a_dump_of_the_tables_is_no_epoch() {
    let server = Server::start().await;
    let source = node(&server.url()).await;
    let epoch = source.replay_log.epoch();
    let copied = "set -e; createdb -h 127.0.0.1 -p $PORT -U postgres restored
        pg_dump -h 127.0.0.1 -p $PORT -U postgres postgres \
        | psql -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p $PORT -U postgres restored >/dev/null";
    let port = server.address().rsplit_once(':').unwrap().1.to_owned();
    let copying = std::process::Command::new("sh").args(["-c", copied]).env("PORT", port).status();
    assert!(copying.unwrap().success());
    let restored = node(&format!("postgres://postgres@{}/restored", server.address())).await;
    assert_ne!(restored.replay_log.epoch().id, epoch.id);
    assert_eq!(spend(&restored, proof(1), epoch.id).await, Err(ReplayError::Forgot));
}

/// By hand, to have the disk back.
#[tokio::test]
async fn a_table_that_was_emptied_ends_the_epoch() {
    let server = Server::start().await;
    let nodes = [node(&server.url()).await, node(&server.url()).await];
    let client = server.client().await;
    client.batch_execute("SET session_replication_role = replica").await.unwrap();
    let tables = ["used_proofs", "session_nonces", "limits", "windows", "recent_numbers"];
    for (number, table) in (1..).zip(tables) {
        let epoch = nodes[0].replay_log.epoch().id;
        spend(&nodes[0], proof(number), epoch).await.unwrap();
        client.batch_execute(&format!("TRUNCATE countersign_state_1.{table}")).await.unwrap();
        for node in &nodes {
            assert_eq!(
                spend(node, proof(number), epoch).await,
                Err(ReplayError::Forgot),
                "{table}"
            );
        }
        assert_ne!(nodes[0].replay_log.epoch().id, epoch);
        assert_eq!(nodes[0].replay_log.epoch(), nodes[1].replay_log.epoch());
    }
}

/// All clocks were an hour ahead, and what has ended by them is gone.
#[tokio::test]
async fn after_clocks_were_set_back_nothing_works_twice_and_what_is_new_works() {
    let server = Server::start().await;
    let nodes = [node(&server.url()).await, node(&server.url()).await];
    let before = nodes[0].replay_log.epoch();
    spend(&nodes[0], proof(1), before.id).await.unwrap();
    let hour = Duration::from_hours(1);
    let forget = format!(
        "UPDATE countersign_state_1.epoch SET forgotten_until = {};
        DELETE FROM countersign_state_1.used_proofs",
        (now() + hour).as_millis()
    );
    server.client().await.batch_execute(&forget).await.unwrap();
    assert_eq!(spend(&nodes[0], proof(2), before.id).await, Err(ReplayError::Ended));
    let after = nodes[0].replay_log.epoch();
    assert_ne!(after.id, before.id);
    // What has no nonce may have been used before by a clock that was ahead.
    assert!(after.since >= now() + hour - Duration::from_secs(30), "{:?}", after.since);
    for node in &nodes {
        assert_eq!(spend(node, proof(1), before.id).await, Err(ReplayError::Forgot));
    }
    for (number, node) in (3..).zip(&nodes) {
        assert_eq!(spend(node, proof(number), after.id).await, Ok(()));
        assert_eq!(spend(node, proof(number), after.id).await, Err(ReplayError::Used));
        assert_eq!(node.replay_log.epoch(), after);
    }
}
