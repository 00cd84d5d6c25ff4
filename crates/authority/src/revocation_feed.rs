//! The revocation feed: what resource servers that verify tokens by themselves must know, signed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_protocol::{
    UnixTime,
    tokens::revocations::{self, Revocations},
};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{
    authority::Authority,
    ports::{ShutOut, StoreError},
    signing_keys::SigningKeyError,
};

/// For how long one signed text is handed out, and may be cached.
pub const FEED_MAX_AGE: Duration = Duration::from_secs(1);

/// How long a feed speaks for the present.
const LIFETIME: Duration = Duration::from_mins(1);

/// For how long keys and accounts are listed, unless tokens live longer. It is the longest lifetime
/// that a configuration can give to tokens, so that shortening it forgets no revocation.
const LISTED_FOR: Duration = Duration::from_hours(24);

/// More entries are not signed: the feed would be longer than anybody reads.
const MAX_LISTED: u32 = 60_000;

/// The feed that was signed last.
#[derive(Default)]
pub(crate) struct RevocationFeed {
    signed: Mutex<Option<SignedFeed>>,
    /// Counts the revocations. What was signed before one is not handed out after it.
    changes: AtomicU64,
}

struct SignedFeed {
    text: Arc<str>,
    /// By the monotonic clock.
    signed_at: Duration,
    changes: u64,
}

impl RevocationFeed {
    /// Forgets what was signed: something was revoked since.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Authority {
    /// A signed statement of what was revoked before its time: a compact JWS (see
    /// [`revocations`]). It is at most [`FEED_MAX_AGE`] old, and never older than a revocation by
    /// this process.
    ///
    /// # Errors
    /// When the store fails, nothing can sign, or there is too much to say.
    pub async fn revocation_feed(&self) -> Result<Arc<str>, RevocationFeedError> {
        // Held while a feed is made, so that many who ask at once wait for one.
        let mut signed = self.revocation_feed.signed.lock().await;
        let changes = self.revocation_feed.changes.load(Ordering::SeqCst);
        let monotonic = self.ports.clock.monotonic();
        let is_fresh = |feed: &&SignedFeed| {
            feed.changes == changes && monotonic < feed.signed_at + FEED_MAX_AGE
        };
        if let Some(feed) = signed.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(&feed.text));
        }
        let text: Arc<str> = self.sign_feed(self.now()).await?.into();
        *signed = Some(SignedFeed { text: Arc::clone(&text), signed_at: monotonic, changes });
        Ok(text)
    }

    async fn sign_feed(&self, now: UnixTime) -> Result<String, RevocationFeedError> {
        let since = now - (LISTED_FOR.max(self.policy.tokens.lifetime) + self.policy.skew);
        let shut_out = self.ports.revocations.shut_out(since, MAX_LISTED + 1).await?;
        let ShutOut { keys, accounts } = shut_out;
        let tokens = self.revoked_tokens.ids(now);
        if tokens.len() + keys.len() + accounts.len() > MAX_LISTED as usize {
            return Err(RevocationFeedError::TooMany);
        }
        let issuer = self.policy.issuer().to_owned();
        let expires_at = now + LIFETIME;
        let revocations =
            Revocations { issuer, issued_at: now, expires_at, tokens, keys, accounts };
        let algorithm = self.signing_keys.native();
        let signer = self.signing_keys.signer(algorithm, now)?;
        let signed = revocations::sign(&revocations, &signer.key, algorithm);
        Ok(signed.map_err(SigningKeyError::from)?)
    }
}

/// Why there is no feed.
#[derive(Debug, Error)]
pub enum RevocationFeedError {
    /// No key can sign it.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More was revoked of late than a feed can say. A shortened one would pass over revocations.
    #[error("more was revoked of late than a revocation feed can list")]
    TooMany,
}
