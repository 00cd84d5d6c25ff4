//! The issuer's revocations, as of a known moment.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use countersign_guard::ports::{Clock, PortUnavailable};
use countersign_protocol::{
    AccountId, UnixTime,
    keys::Thumbprint,
    tokens::revocations::{Revocations, SignedRevocations},
};

use tokio::sync::Mutex;

use crate::{
    issuer::{AskError, Cause, Issuer, unusable},
    jwks::Jwks,
};

/// For how long the issuer, and a cache on the way, may give the same answer, plus the fraction of
/// a second that `iat` lacks.
const MAX_CACHED: Duration = Duration::from_secs(3);

/// For how long a list of revocations counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    /// How long a revocation may stay unknown here while the issuer can be reached.
    pub(crate) max_lag: Duration,
    /// For how much longer the last list counts when the issuer cannot be reached. An issuer that
    /// answers without a list counts as reached.
    pub(crate) outage: Duration,
    /// How far the clocks of issuer and resource may be apart.
    pub(crate) skew: Duration,
}

/// The last list of revocations.
pub(crate) struct Feed {
    issuer: Arc<Issuer>,
    jwks: Arc<Jwks>,
    clock: Arc<dyn Clock>,
    freshness: Freshness,
    last: ArcSwapOption<Known>,
    /// Whether the issuer has answered something else since the last list.
    refused: AtomicBool,
    /// Locked while the issuer is asked, so that an old answer never replaces a newer one.
    asking: Mutex<()>,
}

/// What is revoked.
pub(crate) struct Known {
    tokens: HashSet<String>,
    keys: HashSet<Thumbprint>,
    accounts: HashSet<AccountId>,
    /// Every token issued up to this moment counts as revoked.
    before: Option<UnixTime>,
    /// The same for the tokens of some accounts.
    accounts_before: HashMap<AccountId, Moment>,
    /// Keys revoked and accounts disabled up to this moment may be missing from the lists.
    keys_before: Option<Moment>,
    issued_at: UnixTime,
    sequence: Option<u64>,
    /// When the list was requested: it has everything that was revoked before.
    as_of: Duration,
}

/// The moment up to which tokens count as revoked.
#[derive(Clone, Copy)]
struct Moment {
    time: UnixTime,
    /// Since when this is known here, by the monotonic clock.
    known_since: Duration,
}

/// The parts of a token that may have been revoked.
#[derive(Clone, Copy)]
pub(crate) struct Revocable<'a> {
    pub(crate) token_id: &'a str,
    pub(crate) keys: &'a [&'a Thumbprint],
    pub(crate) account: AccountId,
    pub(crate) issued_at: UnixTime,
}

impl Known {
    fn new(list: Revocations, as_of: Duration, now: Duration, last: Option<&Self>) -> Self {
        let of_account = |(id, time): (AccountId, UnixTime)| {
            let known = last.and_then(|last| last.accounts_before.get(&id));
            (id, Moment::new(time, known, now))
        };
        let keys_before =
            |time| Moment::new(time, last.and_then(|last| last.keys_before.as_ref()), now);
        Self {
            tokens: list.tokens.into_iter().collect(),
            keys: list.keys.into_iter().collect(),
            accounts: list.accounts.into_iter().collect(),
            before: list.before,
            accounts_before: list.accounts_before.into_iter().map(of_account).collect(),
            keys_before: list.keys_before.map(keys_before),
            issued_at: list.issued_at,
            sequence: list.sequence,
            as_of,
        }
    }

    /// Whether a token, or one of its keys, or its account, was revoked.
    pub(crate) fn has(&self, token: Revocable<'_>) -> bool {
        let of_account = self.accounts_before.get(&token.account).map(|before| before.time);
        self.before.max(of_account).is_some_and(|before| token.issued_at <= before)
            || self.tokens.contains(token.token_id)
            || self.has_account_key(token.keys, token.account)
    }

    /// Whether one of the keys of an account, or the account, was revoked, as far as it is listed.
    pub(crate) fn has_account_key(&self, keys: &[&Thumbprint], account: AccountId) -> bool {
        keys.iter().any(|key| self.keys.contains(*key)) || self.accounts.contains(&account)
    }

    /// Keys of an account that were fetched before this moment, by the monotonic clock, must be
    /// fetched again: some may have been revoked without being listed.
    pub(crate) fn keys_needed_since(&self, account: AccountId) -> Duration {
        let of_account = self.accounts_before.get(&account);
        let moments = self.keys_before.iter().chain(of_account);
        moments.map(|moment| moment.known_since).max().unwrap_or_default()
    }
}

impl Moment {
    fn new(time: UnixTime, known: Option<&Self>, now: Duration) -> Self {
        let known = known.filter(|known| known.time >= time);
        Self { time, known_since: known.map_or(now, |known| known.known_since) }
    }
}

impl Feed {
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        jwks: Arc<Jwks>,
        clock: Arc<dyn Clock>,
        freshness: Freshness,
    ) -> Self {
        Self {
            issuer,
            jwks,
            clock,
            freshness,
            last: ArcSwapOption::empty(),
            refused: AtomicBool::new(false),
            asking: Mutex::default(),
        }
    }

    /// The last list, unless it is older than allowed.
    pub(crate) fn current(&self) -> Option<Arc<Known>> {
        let known = self.last.load_full()?;
        let age = self.clock.monotonic().saturating_sub(known.as_of);
        let Freshness { max_lag, outage, .. } = self.freshness;
        let grace = if self.refused.load(SeqCst) { Duration::ZERO } else { outage };
        (age <= max_lag + grace).then_some(known)
    }

    /// How often to ask: often enough that a failed request can be repeated within the lag.
    pub(crate) fn period(&self) -> Duration {
        (self.freshness.max_lag.saturating_sub(MAX_CACHED) / 3).max(Duration::from_millis(250))
    }

    /// Asks the issuer what is revoked now.
    pub(crate) async fn refresh(&self) -> Result<(), AskError> {
        let _asking = self.asking.lock().await;
        let as_of = self.clock.monotonic();
        let result = self.fetch().await;
        let result = result.map(|list| {
            let known =
                Known::new(list, as_of, self.clock.monotonic(), self.last.load().as_deref());
            self.last.store(Some(Arc::new(known)));
        });
        match &result {
            Ok(()) => self.refused.store(false, SeqCst),
            Err(error) if error.is_answer() => self.refused.store(true, SeqCst),
            Err(_) => {}
        }
        result
    }

    async fn fetch(&self) -> Result<Revocations, AskError> {
        let metadata = self.issuer.metadata(Cause::Upkeep).await?;
        let url = metadata.revocations_uri();
        let url =
            url.ok_or_else(|| unusable(self.issuer.identifier(), &"no feed of revocations"))?;
        let body = self.issuer.get(url, Cause::Upkeep).await?.body;
        self.verified(url, &body).await
    }

    /// Reads the list in `body`. It must be signed by the issuer and neither stale nor older than
    /// the last list, so that nobody on the way can hold back a revocation unnoticed.
    async fn verified(&self, url: &str, body: &[u8]) -> Result<Revocations, AskError> {
        let reject = |what: &dyn ToString| unusable(url, &what.to_string());
        let text = str::from_utf8(body).map_err(|error| reject(&error))?;
        let signed = SignedRevocations::parse(text).map_err(|error| reject(&error))?;
        let kid = signed.kid().ok_or_else(|| reject(&"a list without kid"))?;
        let key = self.jwks.key(&kid).await?;
        let key = key.ok_or_else(|| reject(&"a list by an unknown key"))?;
        let now = self.clock.now();
        let skew = self.freshness.skew;
        let list = signed.verify(&key, self.issuer.identifier(), skew, now);
        let list = list.map_err(|error| reject(&error))?;
        if list.issued_at + MAX_CACHED + skew < now {
            return Err(reject(&"a list that is too old"));
        }
        // Once the last one no longer counts, an issuer whose clock was set back, or that was restored
        // from a backup, may go on.
        let last = self.current();
        if last.as_ref().is_some_and(|last| list.issued_at + MAX_CACHED < last.issued_at) {
            return Err(reject(&"a list that is older than the last one"));
        }
        // One without a number may lack anything, so `None` is less than each.
        if last.is_some_and(|last| list.sequence < last.sequence) {
            return Err(reject(&"a list that lacks what the last one had"));
        }
        Ok(list)
    }
}

/// What is answered while [`Feed::current`] has no list that counts.
pub(crate) fn stale() -> PortUnavailable {
    PortUnavailable::Away("what is known of revocations is too old".to_owned())
}
