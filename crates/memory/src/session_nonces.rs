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
    replay::EpochId,
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
/// Nonces are lost with the process alone, and its epochs with them.
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
        (used, next): (&SessionNonce, Option<SessionNonce>),
        _: EpochId,
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
