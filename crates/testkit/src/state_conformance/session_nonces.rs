//! A session has one nonce at a time, and each nonce works once.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_authority::ports::{PutNonceError, SessionId, SessionNonce, SessionNonces};
use countersign_protocol::{ClientNetwork, UnixTime};

use super::CAPACITY;
use crate::{
    rules::at_once,
    samples::{EPOCH, NOW},
};

type Nonces = [Arc<dyn SessionNonces>; 2];

const LIFETIME: Duration = Duration::from_secs(30);

fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn network(number: u8) -> ClientNetwork {
    IpAddr::from([192, 0, 2, number]).into()
}

fn nonce(number: u8) -> SessionNonce {
    SessionNonce { value: [number; 16], expires_at: NOW + LIFETIME }
}

/// Begins the session of that number, with the nonce of its number, for the network of that number.
async fn begin(
    nonces: &Arc<dyn SessionNonces>,
    number: u8,
    of: u8,
    now: UnixTime,
) -> Result<(), PutNonceError> {
    let first = SessionNonce { expires_at: now + LIFETIME, ..nonce(number) };
    nonces.put(&session(number), first, network(of), now).await
}

/// The nonce that a session has at both handles.
async fn outstanding(nonces: &Nonces, of: u8, now: UnixTime) -> Option<SessionNonce> {
    let [here, there] = nonces;
    let nonce = here.outstanding(&session(of), now).await.unwrap();
    assert_eq!(there.outstanding(&session(of), now).await.unwrap(), nonce);
    nonce
}

/// A nonce is exchanged for the next one once, and the last one for none, at whichever handle.
pub async fn a_nonce_is_exchanged_once(nonces: Nonces) {
    let [here, there] = &nonces;
    begin(here, 1, 1, NOW).await.unwrap();
    assert_eq!(outstanding(&nonces, 1, NOW).await, Some(nonce(1)));
    let exchange = async |at: &Arc<dyn SessionNonces>, used, next: Option<u8>| {
        at.exchange(&session(1), (&nonce(used), next.map(nonce)), EPOCH.id, NOW).await.unwrap()
    };
    assert!(exchange(there, 1, Some(2)).await);
    assert!(!exchange(here, 1, Some(3)).await);
    assert_eq!(outstanding(&nonces, 1, NOW).await, Some(nonce(2)));
    assert!(exchange(here, 2, None).await);
    assert_eq!(outstanding(&nonces, 1, NOW).await, None);
    assert!(!exchange(there, 2, None).await);
}

/// A nonce belongs to its session.
pub async fn a_nonce_of_another_session_is_none([here, there]: Nonces) {
    begin(&here, 1, 1, NOW).await.unwrap();
    begin(&there, 2, 1, NOW).await.unwrap();
    for (of, used) in [(1, 2), (2, 1), (3, 1)] {
        assert!(!here.exchange(&session(of), (&nonce(used), None), EPOCH.id, NOW).await.unwrap());
    }
}

/// From its end on a nonce is none.
pub async fn a_nonce_expires(nonces: Nonces) {
    begin(&nonces[0], 1, 1, NOW).await.unwrap();
    let end = NOW + LIFETIME;
    assert!(outstanding(&nonces, 1, end - Duration::from_millis(1)).await.is_some());
    assert_eq!(outstanding(&nonces, 1, end).await, None);
    assert!(
        !nonces[1].exchange(&session(1), (&nonce(1), Some(nonce(2))), EPOCH.id, end).await.unwrap()
    );
}

/// A session that begins anew has its new nonce alone.
pub async fn a_new_nonce_takes_the_place_of_the_one_before(nonces: Nonces) {
    let [here, there] = &nonces;
    begin(here, 1, 1, NOW).await.unwrap();
    there.put(&session(1), nonce(2), network(1), NOW).await.unwrap();
    assert_eq!(outstanding(&nonces, 1, NOW).await, Some(nonce(2)));
    assert!(!here.exchange(&session(1), (&nonce(1), None), EPOCH.id, NOW).await.unwrap());
}

/// Of many exchanges of one nonce at the same time, at both handles, one succeeds.
pub async fn of_concurrent_exchanges_one_succeeds(nonces: Nonces) {
    begin(&nonces[0], 1, 1, NOW).await.unwrap();
    let results = at_once(20, |number| {
        let nonces = Arc::clone(&nonces[usize::from(number % 2 == 0)]);
        let next = nonce(100 + u8::try_from(number).unwrap());
        async move {
            nonces.exchange(&session(1), (&nonce(1), Some(next)), EPOCH.id, NOW).await.unwrap()
        }
    })
    .await;
    assert_eq!(results.iter().filter(|exchanged| **exchanged).count(), 1);
}

/// The sessions of a network are counted at all handles together, and only while they last.
pub async fn a_network_beyond_its_share_gets_no_session_and_takes_nobody_elses(nonces: Nonces) {
    let [here, there] = &nonces;
    let share = u8::try_from(CAPACITY.sessions_share).unwrap();
    begin(here, 100, 2, NOW).await.unwrap();
    for number in 0..share {
        begin(&nonces[usize::from(number % 2)], number, 1, NOW).await.unwrap();
    }
    for nonces in [here, there] {
        let refused = begin(nonces, share, 1, NOW).await;
        assert!(matches!(refused, Err(PutNonceError::ShareUsedUp)));
    }
    begin(there, 101, 2, NOW).await.unwrap();
    assert_eq!(outstanding(&nonces, 100, NOW).await, Some(nonce(100)));
    assert!(
        here.exchange(&session(0), (&nonce(0), None), EPOCH.id, NOW).await.unwrap(),
        "one has ended"
    );
    begin(there, share, 1, NOW).await.unwrap();
    assert!(matches!(begin(here, 102, 1, NOW).await, Err(PutNonceError::ShareUsedUp)));
    begin(here, 102, 1, NOW + LIFETIME).await.unwrap();
}

/// The share holds when many log in at once, at both handles.
pub async fn of_concurrent_logins_no_more_than_the_share_get_a_session(nonces: Nonces) {
    let results = at_once(CAPACITY.sessions_share * 4, |number| {
        let nonces = Arc::clone(&nonces[usize::from(number % 2 == 0)]);
        async move { begin(&nonces, u8::try_from(number).unwrap(), 1, NOW).await }
    })
    .await;
    let begun = results.iter().filter(|result| result.is_ok()).count() as u64;
    assert_eq!(begun, CAPACITY.sessions_share, "{results:?}");
}
