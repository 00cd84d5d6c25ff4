//! The revocation feed: what resource servers that verify tokens by themselves must know, signed.

mod shut_out;

use std::{cmp::Reverse, sync::Arc, time::Duration};

use countersign_protocol::{
    AccountId, UnixTime,
    tokens::revocations::{self, Revocations},
};
use thiserror::Error;

use self::shut_out::ShutOutToList;
use crate::{
    core::{
        latest_feed::{Arrival, COSTLY, FEED_MAX_AGE, LARGE, SignedFeed},
        revoked::READ,
    },
    keys::SigningKeyError,
    model::key_life::Signs,
    ports::{AskedRevocations, Revocations as StoredRevocations, StoreError},
    tokens::Tokens,
};

/// How long a feed speaks for the present.
const LIFETIME: Duration = Duration::from_mins(1);

/// The longest lifetime that a configuration can give to tokens. For so long after the start there
/// may be tokens that live longer than those that are issued now, because the setting was longer.
const LONGEST_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// Keys and accounts are listed for so long even where tokens live shorter: resource servers keep the
/// keys of accounts through an outage of that length.
const LISTED_AT_LEAST: Duration = Duration::from_mins(15);

impl Tokens {
    /// A signed statement of what was revoked before its time: a compact JWS (see [`revocations`]).
    /// It is at most [`FEED_MAX_AGE`] old; one that costs little lacks no revocation that this
    /// process made more than a fifth of a second ago. However much was revoked, there is always a
    /// feed: revocations beyond its limits are covered by moments up to which every token counts as
    /// revoked. However many clients ask at once, one feed is made for all of them.
    ///
    /// # Errors
    /// When the store fails or nothing can sign.
    pub async fn revocation_feed(&self) -> Result<Arc<str>, RevocationFeedError> {
        let clock = &self.core.ports.clock;
        // Read before the wait: this caller need not hear of revocations during the wait.
        let changes = self.core.feed.changes();
        let arrival = Arrival { at: clock.monotonic(), changes };
        let mut signed = self.core.feed.signed.lock().await;
        let began = clock.monotonic();
        if let Some(feed) = signed.as_ref().filter(|feed| feed.answers(arrival, began)) {
            return Ok(Arc::clone(&feed.text));
        }
        let changes = self.core.feed.changes();
        let now = self.core.now();
        self.core.ensure_signing_keys(now).await?;
        let (revocations, read) = self.revocations(now).await?;
        let text: Arc<str> = self.sign_feed(&revocations)?.into();
        let is_costly = read > LARGE || clock.monotonic().saturating_sub(began) > COSTLY;
        *signed = Some(SignedFeed { text: Arc::clone(&text), began, changes, is_costly });
        Ok(text)
    }

    /// The revocations at `now`, and how many entries were read for them.
    async fn revocations(&self, now: UnixTime) -> Result<(Revocations, usize), StoreError> {
        let ended = self.core.forgets_up_to();
        // Held until all is listed: nothing of after the sequence number may come in between.
        let mut read_up_to = self.core.revoked.read_up_to.lock().await;
        let asked = AskedRevocations {
            since: ended - self.longest_life_after_revocation(),
            limit: shut_out::READ,
            now: ended,
            after: *read_up_to,
            token_limit: READ,
        };
        let late = self.core.revoked.unwritten(ended);
        let stored = self.core.ports.store.revocations(asked).await?;
        let StoredRevocations { sequence, shut_out, tokens } = stored;
        self.core.revoked.add(tokens);
        *read_up_to = sequence;
        let tokens = self.core.revoked.to_list(ended, &late);
        drop(read_up_to);
        let read = shut_out.keys.len() + shut_out.accounts.len();
        let read = read + tokens.tokens.len() + tokens.accounts_before.len();
        let ShutOutToList { keys, accounts, accounts_before, before: keys_before } =
            ShutOutToList::of(shut_out);
        let revocations = Revocations {
            issuer: self.core.policy.issuer().to_owned(),
            issued_at: now,
            expires_at: now + LIFETIME,
            sequence: Some(sequence),
            before: tokens.before.max(keys_before),
            keys_before,
            tokens: tokens.tokens,
            keys,
            accounts,
            accounts_before: latest([tokens.accounts_before, accounts_before].concat()),
        };
        Ok((revocations, read))
    }

    /// For how long after a key was revoked, or an account disabled, a resource server may meet a
    /// token of it that has not ended.
    fn longest_life_after_revocation(&self) -> Duration {
        let uptime = self.core.ports.clock.monotonic().saturating_sub(self.core.feed.started);
        let margin = self.core.policy.skew + FEED_MAX_AGE;
        let lifetime = self.core.policy.tokens.lifetime.max(LISTED_AT_LEAST);
        let is_new = uptime < LONGEST_TOKEN_LIFETIME + margin;
        margin + if is_new { lifetime.max(LONGEST_TOKEN_LIFETIME) } else { lifetime }
    }

    fn sign_feed(&self, revocations: &Revocations) -> Result<String, SigningKeyError> {
        let signer = self.core.signing_keys.signer(Signs::AccessTokens, revocations.issued_at)?;
        Ok(revocations::sign(revocations, &signer.key, signer.algorithm)?)
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
