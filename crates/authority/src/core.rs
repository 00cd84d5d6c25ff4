//! What every wing of the authority borrows: policy, ports, keys, what is kept in memory of the store,
//! and the checks that all of them make.

mod admission;
mod clock_witness;
mod comparisons;
pub mod credential_cache;
pub mod dpop;
pub(crate) mod effort;
mod forgetting;
pub(crate) mod key_uses;
pub mod latest_feed;
pub(crate) mod news;
pub mod password_hasher;
mod passwords;
pub(crate) mod pending_events;
pub(crate) mod revoked;
pub(crate) mod session_sealers;
mod signers;
mod take_over;
pub(crate) mod turns;

use std::{hash::RandomState, sync::Arc};

use countersign_protocol::{
    UnixTime,
    challenges::sealed::{LogNonces, NonceSealer, Nonces as _},
    keys::{PublicKey, Thumbprint},
    proofs::known_keys::KnownProofKeys,
    replay::LogEpoch,
};

use self::{
    clock_witness::ClockWitness,
    comparisons::Comparisons,
    credential_cache::CredentialCache,
    forgetting::Forgetting,
    key_uses::KeyUses,
    latest_feed::RevocationFeed,
    news::{Moment, News},
    password_hasher::PasswordHasher,
    pending_events::PendingEvents,
    revoked::{READ, RevokedTokens},
};
use crate::{
    keys::{SigningKeyError, published::PublishedKeys, signing::SigningKeys, vault::Vault},
    model::{
        audit::{AuditFilter, RecordedEvent},
        policy::Policy,
    },
    ports::{AuditStore, Clock, Ports, Random, ReplayLog, StoreError},
};

/// How many keys of proofs are known again, by the headers that carry them.
const PROOF_KEYS: usize = 4096;

/// What the nonces are for. Those of the token endpoint and those of resources are apart (RFC 9449 §9).
const TOKEN_ENDPOINT: &str = "token endpoint";
const RESOURCES: &str = "resources";

/// What the wings of an authority share.
pub struct Core {
    pub(crate) policy: Policy,
    pub(crate) ports: Ports,
    pub(crate) vault: Vault,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) credentials: CredentialCache,
    pub(crate) revoked: RevokedTokens,
    pub(crate) feed: RevocationFeed,
    news: News,
    pub(crate) pending_events: PendingEvents,
    pub(crate) key_uses: KeyUses,
    pub(crate) passwords: PasswordHasher,
    pub(crate) comparisons: Comparisons,
    /// The nonces of the token endpoint.
    pub(crate) nonces: LogNonces,
    /// The nonces of the server's own protected resources.
    pub(crate) resource_nonces: LogNonces,
    /// The keys of proofs by credentials.
    proof_keys: KnownProofKeys,
    forgetting: Forgetting,
    pub(crate) clock_witness: ClockWitness,
    /// The newest event that was in the trail at the start; the clock may be behind it.
    last_event: UnixTime,
}

impl Core {
    /// Loads what must be in memory, the signing keys and the revoked tokens, and finds out since when
    /// everything is remembered.
    pub(crate) async fn open(
        policy: Policy,
        ports: Ports,
        vault: Vault,
    ) -> Result<Self, SigningKeyError> {
        let now = ports.clock.now();
        // Before anything is read: what is changed meanwhile is taken over later.
        let looked_at = Moment::now(&*ports.clock);
        let heard = ports.store.changes(None).await?.cursor;
        // Before the start writes events of its own, by a clock that may be behind.
        let last_event = if vault.is_new() { None } else { last_event(&*ports.store).await? };
        let clock_witness = ClockWitness::default();
        clock_witness.look(&ports).await?;
        let (keys, schedules) = (Arc::clone(&ports.store) as _, policy.key_schedules());
        let signing_keys = SigningKeys::open(keys, &vault, schedules).await?;
        if clock_witness.check().is_ok() {
            signing_keys.maintain(now, &*ports.random).await?;
        }
        let forgetting =
            Forgetting::since_start(&*ports.clock, &*ports.store, vault.is_new()).await?;
        let revoked = RevokedTokens::default();
        let ended = forgetting.up_to(&*ports.clock);
        revoked.add(ports.store.revoked_tokens(ended, READ).await?);
        let turns = policy.passwords.unwrap_or_default().turns;
        Ok(Self {
            credentials: CredentialCache::new(policy.credential_cache),
            revoked,
            feed: RevocationFeed::new(ports.clock.monotonic()),
            news: News::new(policy.max_staleness, looked_at, heard),
            pending_events: PendingEvents::default(),
            key_uses: KeyUses::default(),
            passwords: PasswordHasher::new(turns, &*ports.random),
            comparisons: Comparisons::default(),
            nonces: nonces(TOKEN_ENDPOINT, &vault, &policy, &ports),
            resource_nonces: nonces(RESOURCES, &vault, &policy, &ports),
            proof_keys: KnownProofKeys::new(PROOF_KEYS, policy.keys.clone(), RandomState::new()),
            policy,
            ports,
            vault,
            signing_keys,
            forgetting,
            clock_witness,
            last_event: last_event.unwrap_or(UnixTime::EPOCH),
        })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.ports.clock)
    }

    /// The source of randomness.
    pub fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.ports.random)
    }

    /// What remembers the proofs that were used.
    pub fn replay_log(&self) -> Arc<dyn ReplayLog> {
        Arc::clone(&self.ports.state.replay_log)
    }

    /// Whether other servers on the same store remember used proofs by themselves.
    pub const fn has_neighbours(&self) -> bool {
        self.ports.state.has_neighbours
    }

    /// What remembers across restarts; each entry costs a write.
    pub fn durable_replay_log(&self) -> Arc<dyn ReplayLog> {
        Arc::clone(&self.ports.store) as _
    }

    /// The signing keys.
    pub const fn signing_keys(&self) -> &SigningKeys {
        &self.signing_keys
    }

    /// The epoch that the replay log is in. What is handed out in it counts in no other.
    pub fn epoch(&self) -> LogEpoch {
        self.ports.state.replay_log.epoch()
    }

    /// Before then the replay log knows nothing, whatever it says: up to then there were events before
    /// the start, so its clock may have been behind when it began.
    pub const fn last_event_before_start(&self) -> UnixTime {
        self.last_event
    }

    /// The JWK Set as it is published now.
    pub async fn published_keys(&self) -> Arc<PublishedKeys> {
        let now = self.now();
        if let Err(error) = self.ensure_signing_keys(now).await {
            tracing::error!(%error, "a signing key is lacking");
        }
        self.signing_keys.published(now)
    }

    /// The public key `kid`, if it is published at `now`, also when another process made it a moment ago
    /// ([`SigningKeys::find_public_key`]).
    ///
    /// # Errors
    /// When that cannot be known.
    pub async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, StoreError> {
        if let Some(key) = self.signing_keys.public_key(kid, now) {
            return Ok(Some(key));
        }
        let monotonic = self.ports.clock.monotonic();
        let found = self.signing_keys.find_public_key(kid, now, monotonic).await;
        found.map_err(|error| match error {
            SigningKeyError::Store(error) => error,
            error => StoreError::Unavailable(Box::new(error)),
        })
    }

    /// Makes the signing keys that are lacking at `now`, before anything depends on them.
    pub(crate) async fn ensure_signing_keys(&self, now: UnixTime) -> Result<(), SigningKeyError> {
        if self.signing_keys.check(now).is_err() {
            self.believe_clock().await?;
        }
        self.signing_keys.ensure(now, &*self.ports.random).await
    }

    /// Fails while the clock is far from that of the machine that keeps the store. By a wrong clock keys of all
    /// servers would be over, and what others revoked be forgotten.
    ///
    /// # Errors
    /// Also when the store fails.
    pub(crate) async fn believe_clock(&self) -> Result<(), StoreError> {
        self.clock_witness.look(&self.ports).await?;
        self.clock_witness.check()
    }

    /// The time, by the authority's clock.
    pub fn now(&self) -> UnixTime {
        self.ports.clock.now()
    }

    /// What has ended at this time may be forgotten: the present, or earlier while the clock may be
    /// ahead.
    pub(crate) fn forgets_up_to(&self) -> UnixTime {
        self.forgetting.up_to(&*self.ports.clock)
    }

    /// A nonce for the next proof at the token endpoint (RFC 9449 §8).
    pub fn fresh_nonce(&self) -> String {
        self.nonces.issue(self.now())
    }

    /// The nonces of the protected resources, for the guard in front of them.
    pub fn resource_nonces(&self) -> LogNonces {
        nonces(RESOURCES, &self.vault, &self.policy, &self.ports)
    }

    /// How many seconds verifiers may cache the JWKS.
    pub fn jwks_max_age(&self) -> u64 {
        self.signing_keys.jwks_max_age().as_secs()
    }
}

/// The nonces for `purpose`, which follow the epoch of the replay log.
fn nonces(purpose: &str, vault: &Vault, policy: &Policy, ports: &Ports) -> LogNonces {
    let key = vault.key(&format!("nonces/{purpose}"));
    let sealer = NonceSealer::new(key, policy.nonce_lifetime).of_nodes(policy.skew);
    LogNonces::new(sealer, Arc::clone(&ports.state.replay_log))
}

/// How many of the newest events are looked at for the last one in time. An event that comes again within an
/// hour is told with the first, so the newest entry may be older than what another one tells.
const NEWEST: u32 = 1000;

/// When something that the trail tells happened last.
async fn last_event(trail: &dyn AuditStore) -> Result<Option<UnixTime>, StoreError> {
    let newest = trail.events(&AuditFilter::default(), NEWEST).await?;
    let last_at = |RecordedEvent { event, .. }: RecordedEvent| {
        event.repeated.map_or(event.at, |repeated| repeated.last_at.max(event.at))
    };
    Ok(newest.into_iter().map(last_at).max())
}
