//! The nonces of sessions, in memory.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use async_trait::async_trait;
use countersign_authority::ports::{
    PutNonceError, SessionId, SessionNonce, SessionNonces, StoreError,
};
use countersign_protocol::{
    ClientNetwork, UnixTime,
    shares::{Place, Shares},
};
use parking_lot::Mutex;

/// Independently locked parts.
const SHARDS: usize = 32;

/// Keeps in this process the one nonce that each session may use next; a restart ends all sessions.
///
/// *Failure direction.* A client network beyond its share gets no new session until one of its own
/// has ended. When there is no room all the same, the session whose nonce would expire first loses
/// it, and its client logs in again. So a flood of logins from many networks shortens the life of
/// nonces, unused ones first. It does not keep anybody from logging in, and it does not let a nonce
/// work twice.
///
/// *Memory.* About 190 bytes per session with a nonce that has not expired. Expired ones are freed
/// by the calls that follow; there are no timers and no threads.
pub struct MemorySessionNonces {
    shard_capacity: usize,
    shares: Arc<Shares<ClientNetwork>>,
    shards: Vec<Mutex<Shard>>,
    /// Keyed, so that nobody can choose sessions that crowd others out of their shard.
    hashing: RandomState,
}

#[derive(Default)]
struct Shard {
    nonces: HashMap<SessionId, (SessionNonce, Place<ClientNetwork>)>,
    by_expiry: BTreeSet<(UnixTime, SessionId)>,
}

impl MemorySessionNonces {
    /// With room for `capacity` sessions, rounded up to a multiple of 32. One client network may
    /// have `share` of them.
    pub fn new(capacity: usize, share: usize) -> Self {
        Self {
            shard_capacity: capacity.div_ceil(SHARDS).max(1),
            // Only the share is counted here: the shards bound the total.
            shares: Arc::new(Shares::new(usize::MAX, share)),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hashing: RandomState::new(),
        }
    }

    fn free_expired(&self, now: UnixTime) {
        for shard in &self.shards {
            shard.lock().free_expired(now);
        }
    }

    fn shard_of(&self, session: &SessionId) -> &Mutex<Shard> {
        let index = self.hashing.hash_one(session) % SHARDS as u64;
        &self.shards[usize::try_from(index).unwrap_or_default()]
    }
}

#[async_trait]
impl SessionNonces for MemorySessionNonces {
    async fn put(
        &self,
        session: &SessionId,
        nonce: SessionNonce,
        owner: ClientNetwork,
        now: UnixTime,
    ) -> Result<(), PutNonceError> {
        let place = self.shares.take(owner).or_else(|_| {
            // Expired sessions are removed by later calls, so some of these may have expired.
            self.free_expired(now);
            self.shares.take(owner).map_err(|_| PutNonceError::ShareUsedUp)
        })?;
        let mut shard = self.shard_of(session).lock();
        shard.free_expired(now);
        shard.remove(session);
        if shard.nonces.len() >= self.shard_capacity {
            shard.remove_first();
        }
        shard.insert(*session, nonce, place);
        Ok(())
    }

    async fn outstanding(
        &self,
        session: &SessionId,
        now: UnixTime,
    ) -> Result<Option<SessionNonce>, StoreError> {
        let shard = self.shard_of(session).lock();
        let nonce = shard.nonces.get(session).map(|(nonce, _)| *nonce);
        Ok(nonce.filter(|nonce| now < nonce.expires_at))
    }

    async fn exchange(
        &self,
        session: &SessionId,
        used: &SessionNonce,
        next: Option<SessionNonce>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut shard = self.shard_of(session).lock();
        shard.free_expired(now);
        match (shard.nonces.get_mut(session), next) {
            (Some((own, _)), Some(next)) if own == used => {
                *own = next;
                shard.by_expiry.remove(&(used.expires_at, *session));
                shard.by_expiry.insert((next.expires_at, *session));
            }
            (Some((own, _)), None) if own == used => shard.remove(session),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Shard {
    fn insert(&mut self, session: SessionId, nonce: SessionNonce, place: Place<ClientNetwork>) {
        self.nonces.insert(session, (nonce, place));
        self.by_expiry.insert((nonce.expires_at, session));
    }

    fn remove(&mut self, session: &SessionId) {
        if let Some((nonce, _)) = self.nonces.remove(session) {
            self.by_expiry.remove(&(nonce.expires_at, *session));
        }
    }

    fn remove_first(&mut self) {
        if let Some((_, session)) = self.by_expiry.pop_first() {
            self.nonces.remove(&session);
        }
    }

    fn free_expired(&mut self, now: UnixTime) {
        while self.by_expiry.first().is_some_and(|(expires_at, _)| *expires_at <= now) {
            self.remove_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const LIFETIME: Duration = Duration::from_secs(30);

    fn session(number: u8) -> SessionId {
        SessionId::from_bytes([number; 16])
    }

    fn network(number: u8) -> ClientNetwork {
        std::net::IpAddr::from([192, 0, 2, number]).into()
    }

    fn nonce(number: u8) -> SessionNonce {
        SessionNonce { value: [number; 16], expires_at: NOW + LIFETIME }
    }

    async fn with_session(capacity: usize) -> MemorySessionNonces {
        let nonces = MemorySessionNonces::new(capacity, capacity);
        nonces.put(&session(1), nonce(1), network(1), NOW).await.unwrap();
        nonces
    }

    #[tokio::test]
    async fn a_nonce_is_exchanged_once() {
        let nonces = with_session(32).await;
        assert_eq!(nonces.outstanding(&session(1), NOW).await.unwrap(), Some(nonce(1)));
        let nonces = &nonces;
        let exchange = async |used: u8, next: Option<u8>| {
            let next = next.map(nonce);
            nonces.exchange(&session(1), &nonce(used), next, NOW).await.unwrap()
        };
        assert!(exchange(1, Some(2)).await);
        assert!(!exchange(1, Some(3)).await);
        assert_eq!(nonces.outstanding(&session(1), NOW).await.unwrap(), Some(nonce(2)));
        assert!(exchange(2, None).await);
        assert_eq!(nonces.outstanding(&session(1), NOW).await.unwrap(), None);
        assert!(!exchange(2, None).await);
    }

    #[tokio::test]
    async fn a_nonce_of_another_session_is_none() {
        let nonces = with_session(32).await;
        nonces.put(&session(2), nonce(2), network(1), NOW).await.unwrap();
        assert!(!nonces.exchange(&session(1), &nonce(2), None, NOW).await.unwrap());
        assert!(!nonces.exchange(&session(3), &nonce(1), None, NOW).await.unwrap());
    }

    #[tokio::test]
    async fn a_nonce_expires() {
        let nonces = with_session(32).await;
        let last = NOW + LIFETIME - Duration::from_millis(1);
        assert!(nonces.outstanding(&session(1), last).await.unwrap().is_some());
        let end = NOW + LIFETIME;
        assert_eq!(nonces.outstanding(&session(1), end).await.unwrap(), None);
        assert!(!nonces.exchange(&session(1), &nonce(1), Some(nonce(2)), end).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_concurrent_exchanges_one_succeeds() {
        let nonces = Arc::new(with_session(32).await);
        let attempts: Vec<_> = (0..20)
            .map(|number| {
                let nonces = Arc::clone(&nonces);
                let next = Some(nonce(100 + number));
                tokio::spawn(async move {
                    nonces.exchange(&session(1), &nonce(1), next, NOW).await.unwrap()
                })
            })
            .collect();
        let mut successes = 0;
        for attempt in attempts {
            successes += usize::from(attempt.await.unwrap());
        }
        assert_eq!(successes, 1);
    }

    #[tokio::test]
    async fn a_network_beyond_its_share_gets_no_session_and_takes_nobody_elses() {
        let nonces = MemorySessionNonces::new(64, 3);
        let put = async |number: u8, of: u8, now| {
            nonces.put(&session(number), nonce(number), network(of), now).await
        };
        put(0, 2, NOW).await.unwrap();
        for number in 1..=3 {
            put(number, 1, NOW).await.unwrap();
        }
        assert!(matches!(put(4, 1, NOW).await, Err(PutNonceError::ShareUsedUp)));
        put(5, 2, NOW).await.unwrap();
        assert_eq!(nonces.outstanding(&session(0), NOW).await.unwrap(), Some(nonce(0)));
        // An expired session no longer counts.
        assert!(nonces.exchange(&session(1), &nonce(1), None, NOW).await.unwrap());
        put(6, 1, NOW).await.unwrap();
        assert!(matches!(put(7, 1, NOW).await, Err(PutNonceError::ShareUsedUp)));
        put(8, 1, NOW + LIFETIME).await.unwrap();
    }

    #[tokio::test]
    async fn room_is_bounded_and_made_at_the_cost_of_the_oldest() {
        let nonces = MemorySessionNonces::new(64, 1000);
        for number in 0..=u8::MAX {
            let later = Duration::from_millis(u64::from(number));
            let nonce = SessionNonce { value: [number; 16], expires_at: NOW + LIFETIME + later };
            nonces.put(&session(number), nonce, network(1), NOW).await.unwrap();
        }
        let held: usize = nonces.shards.iter().map(|shard| shard.lock().nonces.len()).sum();
        assert!(held <= 64, "{held}");
        assert!(nonces.outstanding(&session(255), NOW).await.unwrap().is_some());
        for shard in &nonces.shards {
            let mut shard = shard.lock();
            assert_eq!(shard.nonces.len(), shard.by_expiry.len());
            shard.free_expired(NOW + LIFETIME + Duration::from_secs(1));
            assert!(shard.nonces.is_empty() && shard.by_expiry.is_empty());
        }
    }
}
