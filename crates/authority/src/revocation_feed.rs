//! The revocation feed: what resource servers that verify tokens by themselves must know, signed.

mod shut_out;

use std::{
    cmp::Reverse,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_protocol::{
    AccountId, UnixTime,
    tokens::revocations::{self, Revocations},
};
use thiserror::Error;
use tokio::sync::Mutex;

use self::shut_out::ShutOutToList;
use crate::{authority::Authority, ports::StoreError, signing_keys::SigningKeyError};

/// For how long one signed text is handed out, and may be cached.
pub const FEED_MAX_AGE: Duration = Duration::from_secs(1);

/// How long a feed speaks for the present.
const LIFETIME: Duration = Duration::from_mins(1);

/// For how long keys and accounts are listed, unless tokens live longer. It is the longest lifetime
/// that a configuration can give to tokens, so that shortening it forgets no revocation.
const LISTED_FOR: Duration = Duration::from_hours(24);

/// A feed with more entries is not made anew for each revocation, but once in its age: making it
/// costs too much.
const LARGE: usize = 1_000;

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
    is_large: bool,
}

impl RevocationFeed {
    /// Forgets what was signed: something was revoked since.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Authority {
    /// A signed statement of what was revoked before its time: a compact JWS (see
    /// [`revocations`]). It is at most [`FEED_MAX_AGE`] old; a short one is never older than a
    /// revocation by this process. However much was revoked, there is one: what is too much to be
    /// listed it covers by moments, up to which every token counts as revoked.
    ///
    /// # Errors
    /// When the store fails or nothing can sign.
    pub async fn revocation_feed(&self) -> Result<Arc<str>, RevocationFeedError> {
        // Held while a feed is made, so that many who ask at once wait for one.
        let mut signed = self.revocation_feed.signed.lock().await;
        let changes = self.revocation_feed.changes.load(Ordering::SeqCst);
        let monotonic = self.ports.clock.monotonic();
        let is_fresh = |feed: &&SignedFeed| {
            (feed.changes == changes || feed.is_large) && monotonic < feed.signed_at + FEED_MAX_AGE
        };
        if let Some(feed) = signed.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(&feed.text));
        }
        let now = self.now();
        self.ensure_signing_keys(now).await?;
        let revocations = self.revocations(now).await?;
        let text: Arc<str> = self.sign_feed(&revocations)?.into();
        let is_large = revocations.tokens.len() + revocations.keys.len() > LARGE;
        *signed =
            Some(SignedFeed { text: Arc::clone(&text), signed_at: monotonic, changes, is_large });
        Ok(text)
    }

    /// What is revoked at `now`.
    async fn revocations(&self, now: UnixTime) -> Result<Revocations, StoreError> {
        let since = now - (LISTED_FOR.max(self.policy.tokens.lifetime) + self.policy.skew);
        let shut_out = self.ports.revocations.shut_out(since, shut_out::READ).await?;
        let sequence = shut_out.sequence;
        // After the store, so that nothing of up to its sequence is missing.
        let tokens = self.revoked_tokens.to_list(self.forgets_up_to());
        let ShutOutToList { keys, accounts, accounts_before, before: keys_before } =
            ShutOutToList::of(shut_out);
        Ok(Revocations {
            issuer: self.policy.issuer().to_owned(),
            issued_at: now,
            expires_at: now + LIFETIME,
            sequence,
            before: tokens.before.max(keys_before),
            keys_before,
            tokens: tokens.tokens,
            keys,
            accounts,
            accounts_before: latest([tokens.accounts_before, accounts_before].concat()),
        })
    }

    fn sign_feed(&self, revocations: &Revocations) -> Result<String, SigningKeyError> {
        let algorithm = self.signing_keys.native();
        let signer = self.signing_keys.signer(algorithm, revocations.issued_at)?;
        Ok(revocations::sign(revocations, &signer.key, algorithm)?)
    }
}

/// The latest moment of each account.
fn latest(mut moments: Vec<(AccountId, UnixTime)>) -> Vec<(AccountId, UnixTime)> {
    moments.sort_unstable_by_key(|(id, moment)| (*id, Reverse(*moment)));
    moments.dedup_by_key(|(id, _)| *id);
    moments
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
}
