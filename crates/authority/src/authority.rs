//! The authority: all decisions of one server, over its ports.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use countersign_protocol::{
    AccountId, UnixTime,
    challenges::sealed::NonceSealer,
    keys::Thumbprint,
    ports::{DrawnAhead, random_bytes},
    proofs::dpop::ProofHeader,
    strict::base64url,
    tokens::session::SessionSealer,
};
use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::{
    core::{
        credential_cache::LiveCredentials, dpop::PROOF_HEADERS, effort::Comparisons,
        forgetting::Forgetting, key_uses::KeyUses, password_hasher::PasswordHasher,
        pending_events::Trail, store_health::StoreHealth,
    },
    dialects::{
        gradecoin::registration_key::RegistrationKey,
        passwordless::Mutual,
        signjwt::{KNOWN_SESSIONS, KnownSession, session_sealer},
    },
    keys::{
        published::PublishedKeys,
        signing::{SigningKeyError, SigningKeys},
        vault::Vault,
    },
    model::{
        audit::{AuditFilter, RecordedEvent},
        limits::{LimitKey, RateLimit, RateLimited},
        policy::Policy,
    },
    ports::{AuditStore, Ports, StoreError},
    tokens::{
        feed::RevocationFeed,
        revoked::{self, RevokedTokens},
    },
};

/// All decisions of one server.
pub struct Authority {
    pub(crate) policy: Policy,
    pub(crate) ports: Ports,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) live: LiveCredentials,
    pub(crate) revocation_feed: RevocationFeed,
    pub(crate) revoked_tokens: RevokedTokens,
    forgetting: Forgetting,
    pub(crate) trail: Trail,
    pub(crate) key_uses: KeyUses,
    pub(crate) mutual: Mutual,
    pub(crate) passwords: PasswordHasher,
    /// Opened, or made, when it is first wanted.
    pub(crate) registration_key: OnceCell<RegistrationKey>,
    /// The nonces of the token endpoint; those of resources are apart (RFC 9449 §9).
    pub(crate) nonces: NonceSealer,
    /// The headers of proofs by credentials, by their text.
    pub(crate) proof_headers: Cache<Box<str>, Arc<ProofHeader>>,
    pub(crate) sessions: SessionSealer,
    /// Sessions in which somebody has signed something, by the SHA-256 of their text.
    pub(crate) known_sessions: Cache<[u8; 32], Arc<KnownSession>>,
    pub(crate) session_nonces: DrawnAhead<16>,
    pub(crate) comparisons: Comparisons,
    remembers_since: UnixTime,
    /// How the store has been lately.
    pub(crate) store_health: StoreHealth,
    /// When the store was last found well, by the monotonic clock.
    pub(crate) checked: tokio::sync::Mutex<Option<Duration>>,
    /// The nonces of the server's own protected resources.
    pub(crate) resource_nonces: NonceSealer,
    vault: Vault,
    /// How often the clock was set back since the start. Nonces of before are unknown then.
    nonce_epoch: Arc<AtomicU64>,
    /// Part of every nonce key. Random where the replay log forgets at a restart, so that nothing
    /// that was handed out before the start is recognised after it.
    epoch: String,
}

impl Authority {
    /// Loads what must be in memory: signing keys and revoked tokens.
    ///
    /// # Errors
    /// When the store fails or a signing key does not open.
    pub async fn start(policy: Policy, ports: Ports, vault: Vault) -> Result<Self, StartError> {
        let now = ports.clock.now();
        let signing_keys = SigningKeys::load(
            Arc::clone(&ports.signing_keys),
            &vault,
            policy.key_schedules(),
            now,
            &*ports.random,
        )
        .await?;
        let forgetting =
            Forgetting::since_start(&*ports.clock, &*ports.audit, vault.is_new()).await?;
        let remembers_since = if vault.is_new() {
            UnixTime::EPOCH
        } else {
            last_event(&*ports.audit).await?.map_or(now, |last| last.max(now))
        };
        let revoked_tokens = RevokedTokens::default();
        let ended = forgetting.up_to(&*ports.clock);
        revoked_tokens.add(ports.revocations.revoked_tokens(ended, revoked::READ).await?);
        let epoch = if ports.replay_log.is_volatile() {
            base64url::encode(&random_bytes::<16>(&*ports.random))
        } else {
            String::new()
        };
        let nonce_epoch = Arc::default();
        Ok(Self {
            live: LiveCredentials::new(policy.credential_cache),
            nonces: nonce_sealer(&vault, "token endpoint", &epoch, &policy)
                .in_epoch(Arc::clone(&nonce_epoch)),
            resource_nonces: nonce_sealer(&vault, RESOURCES, &epoch, &policy)
                .in_epoch(Arc::clone(&nonce_epoch)),
            trail: Trail::default(),
            key_uses: KeyUses::default(),
            mutual: Mutual::new(&vault, &epoch, policy.mutual),
            passwords: PasswordHasher::new(
                policy.passwords.unwrap_or_default().turns,
                &*ports.random,
            ),
            registration_key: OnceCell::new(),
            revocation_feed: RevocationFeed::new(ports.clock.monotonic()),
            sessions: session_sealer(&vault, &epoch, &policy),
            proof_headers: Cache::new(PROOF_HEADERS),
            known_sessions: Cache::new(KNOWN_SESSIONS),
            session_nonces: DrawnAhead::new(Arc::clone(&ports.random)),
            comparisons: Comparisons::default(),
            remembers_since,
            store_health: StoreHealth::default(),
            checked: tokio::sync::Mutex::new(None),
            policy,
            ports,
            signing_keys,
            revoked_tokens,
            forgetting,
            vault,
            nonce_epoch,
            epoch,
        })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The ports.
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(crate) const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The signing keys.
    pub const fn signing_keys(&self) -> &SigningKeys {
        &self.signing_keys
    }

    /// From when on a volatile replay log knows everything that was used: the start, or the last
    /// event before it if that is later, because the clock was behind at the start. Before the very
    /// first start there was nothing to be used.
    pub const fn remembers_since(&self) -> UnixTime {
        self.remembers_since
    }

    /// The JWK Set as it is published now.
    pub async fn published_keys(&self) -> Arc<PublishedKeys> {
        let now = self.now();
        if let Err(error) = self.ensure_signing_keys(now).await {
            tracing::error!(%error, "a signing key is lacking");
        }
        self.signing_keys.published(now)
    }

    /// Makes the signing keys that are lacking at `now`, before anything depends on them.
    pub(crate) async fn ensure_signing_keys(&self, now: UnixTime) -> Result<(), SigningKeyError> {
        self.signing_keys.ensure(now, &*self.ports.random).await
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

    /// A sealer of the nonces of the protected resources, for the guard in front of them.
    pub fn resource_nonces(&self) -> NonceSealer {
        nonce_sealer(&self.vault, RESOURCES, &self.epoch, &self.policy)
            .in_epoch(Arc::clone(&self.nonce_epoch))
    }

    /// The clock was set back to `now`: nonces of before are unknown from here on, so that proofs with
    /// new ones can be accepted although the replay log has forgotten some that ended later.
    pub(crate) fn forget_nonces(&self, now: UnixTime) {
        let epoch = self.nonce_epoch.fetch_add(1, SeqCst) + 1;
        self.ports.replay_log.begin_epoch(epoch, now);
    }

    /// How many seconds verifiers may cache the JWKS.
    pub fn jwks_max_age(&self) -> u64 {
        self.signing_keys.jwks_max_age().as_secs()
    }

    /// Counts one request of a client.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_request(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.requests, LimitKey::Network(address.into())).await
    }

    /// Counts one request for what guards elsewhere need.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_upkeep(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.upkeep, LimitKey::Network(address.into())).await
    }

    pub(crate) async fn admit_registration(&self, address: IpAddr) -> Result<(), RateLimited> {
        let client = LimitKey::Network(address.into());
        self.take(|limits| &limits.registrations, client).await?;
        self.take(|limits| &limits.registrations_per_day, client).await
    }

    /// Counts a registration that costs the server much more than others.
    pub(crate) async fn admit_costly_registration(
        &self,
        address: IpAddr,
    ) -> Result<(), RateLimited> {
        self.admit_registration(address).await?;
        self.take(|limits| &limits.costly_registrations, LimitKey::Network(address.into())).await
    }

    pub(crate) async fn admit_login(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.logins, LimitKey::Network(address.into())).await
    }

    /// Counts verifications of a login beyond the first, which [`Self::admit_login`] has counted. It
    /// comes before they are done.
    pub(crate) async fn admit_verifications(
        &self,
        address: IpAddr,
        count: u32,
    ) -> Result<(), RateLimited> {
        let Some(limits) = self.policy.limits.as_ref().filter(|_| count > 0) else {
            return Ok(());
        };
        let (key, now) = (LimitKey::Network(address.into()), self.ports.clock.monotonic());
        self.ports.rate_limiter.take_many(&limits.logins, key, count, now).await
    }

    pub(crate) async fn admit_account(&self, account: AccountId) -> Result<(), RateLimited> {
        self.take(|limits| &limits.account, LimitKey::Account(account)).await
    }

    /// Counts an act that only takes something away, signed by a key.
    pub(crate) async fn admit_withdrawal(&self, key: Thumbprint) -> Result<(), RateLimited> {
        self.take(|limits| &limits.withdrawals, LimitKey::Key(key)).await
    }

    /// Counts a change that the database remembers a key or an event of.
    pub(crate) async fn admit_key_change(
        &self,
        account: AccountId,
        address: IpAddr,
    ) -> Result<(), RateLimited> {
        let account = LimitKey::Account(account);
        self.take(|limits| &limits.key_changes_per_day, account).await?;
        let network = LimitKey::Network(address.into());
        let of_network = self.take(|limits| &limits.key_changes_of_network_per_day, network).await;
        if of_network.is_err() {
            self.give_back(|limits| &limits.key_changes_per_day, account).await;
        }
        of_network
    }

    /// Takes one from the allowance of `key`.
    pub(crate) async fn take(
        &self,
        limit: impl Fn(&crate::model::policy::Limits) -> &RateLimit + Send,
        key: LimitKey,
    ) -> Result<(), RateLimited> {
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        self.ports.rate_limiter.take(limit(limits), key, self.ports.clock.monotonic()).await
    }

    /// Undoes a [`Self::take`] that should not count.
    pub(crate) async fn give_back(
        &self,
        limit: impl Fn(&crate::model::policy::Limits) -> &RateLimit + Send,
        key: LimitKey,
    ) {
        if let Some(limits) = &self.policy.limits {
            self.ports.rate_limiter.give_back(limit(limits), key).await;
        }
    }
}

const RESOURCES: &str = "resources";

fn nonce_sealer(vault: &Vault, purpose: &str, epoch: &str, policy: &Policy) -> NonceSealer {
    let key = vault.key(&format!("nonces/{purpose}/{epoch}"));
    NonceSealer::new(key, policy.nonce_lifetime)
}

/// Why the authority does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A signing key cannot be used.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// When the newest event of the trail happened last.
async fn last_event(trail: &dyn AuditStore) -> Result<Option<UnixTime>, StoreError> {
    let newest = trail.events(&AuditFilter::default(), 1).await?.into_iter().next();
    Ok(newest.map(|RecordedEvent { event, .. }| {
        event.repeated.map_or(event.at, |repeated| repeated.last_at.max(event.at))
    }))
}
