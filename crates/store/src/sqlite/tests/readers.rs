//! Which reads wait for which others.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use countersign_authority::{
    model::trail::TrailQuery,
    ports::{AuditStore, CredentialStore, RevocationStore, SigningKeyStore, StoreUpkeep},
};
use countersign_protocol::UnixTime;
use countersign_testkit::{keys, samples};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{super::threads::JobThreads, *};

/// Keeps all threads that serve a queue busy until it is dropped.
struct Busy {
    _end: Sender<()>,
    calls: Pending<'static, Result<(), StoreError>>,
}

/// Keeps `threads`, of which there are `count`, busy, and fills their queue besides.
fn keep_busy(threads: &JobThreads<Connection>, count: usize) -> Busy {
    let (end, ended) = channel();
    let (begin, begun) = channel();
    let ended: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(ended));
    let mut calls: Pending<'_, _> = Vec::new();
    for _ in 0..count * 2 {
        let (ended, begin) = (Arc::clone(&ended), begin.clone());
        let (job, result) = super::super::job::new(move |_| {
            // The test may be over.
            let _: Result<(), _> = begin.send(());
            let _: Result<(), _> = ended.lock().recv();
            Ok::<_, StoreError>(())
        });
        threads.submit(job).unwrap();
        calls.push(Box::pin(result));
    }
    for _ in 0..count {
        begun.recv().unwrap();
    }
    Busy { _end: end, calls }
}

/// The result of a read that waits for nobody.
async fn at_once<T>(read: impl Future<Output = Result<T, StoreError>>) -> T {
    timeout(Duration::from_secs(30), read).await.unwrap().unwrap()
}

fn trail() -> TrailQuery {
    TrailQuery {
        account_id: samples::account_id(1),
        key: None,
        kinds: Vec::new(),
        since: None,
        before: None,
        limit: 1,
        look_at: 1,
    }
}

#[tokio::test]
async fn what_an_administrator_changed_is_read_although_clients_keep_all_readers_busy() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let readers = keep_busy(&store.readers.few_rows, SqliteOptions::default().readers);
    let trails = keep_busy(&store.readers.trail, 1);
    at_once(store.changes(None)).await;
    at_once(store.revoked_tokens(UnixTime::EPOCH, 10)).await;
    at_once(store.signing_keys()).await;
    at_once(store.check()).await;
    assert!(!readers.calls.is_empty() && !trails.calls.is_empty());
}

#[tokio::test]
async fn nothing_waits_for_a_trail_but_other_trails() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let trails = keep_busy(&store.readers.trail, 1);
    at_once(store.credential(&keys::ed25519_public(1).thumbprint())).await;
    let mut waiting: Pending<'_, _> =
        vec![Box::pin(async { store.trail_page(&trail()).await.map(drop) })];
    assert!(start(&mut waiting).await.is_empty());
    drop(trails);
    at_once(waiting.remove(0)).await;
}
