//! What the issuer has revoked, as of a known moment.

use std::{collections::HashSet, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use countersign_guard::ports::Clock;
use countersign_protocol::{
    AccountId, UnixTime,
    keys::Thumbprint,
    tokens::revocations::{Revocations, SignedRevocations},
};

use tokio::sync::Mutex;

use crate::{
    issuer::{AskError, Issuer, unusable},
    jwks::Jwks,
};

/// For how long the issuer, and a cache on the way, may give the same answer; and the fraction of a
/// second that `iat` does not say.
const MAX_CACHED: Duration = Duration::from_secs(3);

/// For how long a list of revocations counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    /// How long after a revocation it is known here, while the issuer can be reached.
    pub(crate) max_lag: Duration,
    /// For how much longer the last list counts when it cannot.
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
    /// Held while the issuer is asked, so that no answer overtakes a later one.
    asking: Mutex<()>,
}

/// What is revoked.
pub(crate) struct Known {
    tokens: HashSet<String>,
    keys: HashSet<Thumbprint>,
    accounts: HashSet<AccountId>,
    issued_at: UnixTime,
    /// When it was asked for: everything that was revoked before is in it.
    as_of: Duration,
}

impl Known {
    /// Whether a token with this id, or one of its keys, or its account, was revoked.
    pub(crate) fn has(&self, token: &str, keys: &[&Thumbprint], account: AccountId) -> bool {
        self.tokens.contains(token) || self.has_account_key(keys, account)
    }

    /// Whether one of the keys of an account, or the account, was revoked.
    pub(crate) fn has_account_key(&self, keys: &[&Thumbprint], account: AccountId) -> bool {
        keys.iter().any(|key| self.keys.contains(*key)) || self.accounts.contains(&account)
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
            asking: Mutex::default(),
        }
    }

    /// The last list, unless it is older than allowed.
    pub(crate) fn current(&self) -> Option<Arc<Known>> {
        let known = self.last.load_full()?;
        let age = self.clock.monotonic().saturating_sub(known.as_of);
        let Freshness { max_lag, outage, .. } = self.freshness;
        (age <= max_lag + outage).then_some(known)
    }

    /// How often to ask: so that a question that goes wrong can be asked again within the lag.
    pub(crate) fn period(&self) -> Duration {
        (self.freshness.max_lag.saturating_sub(MAX_CACHED) / 3).max(Duration::from_millis(250))
    }

    /// Asks the issuer what is revoked now.
    pub(crate) async fn refresh(&self) -> Result<(), AskError> {
        let _asking = self.asking.lock().await;
        let as_of = self.clock.monotonic();
        let metadata = self.issuer.metadata().await?;
        let url = metadata.revocations_uri();
        let url =
            url.ok_or_else(|| unusable(self.issuer.identifier(), &"no feed of revocations"))?;
        let body = self.issuer.get(url).await?.body;
        let list = self.verified(url, &body).await?;
        let known = Known {
            tokens: list.tokens.into_iter().collect(),
            keys: list.keys.into_iter().collect(),
            accounts: list.accounts.into_iter().collect(),
            issued_at: list.issued_at,
            as_of,
        };
        self.last.store(Some(Arc::new(known)));
        Ok(())
    }

    /// The list in `body`: signed by the issuer, and neither stale nor older than the last one, so
    /// that nobody on the way can hold a revocation back unnoticed.
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
        let last = self.last.load();
        if last.as_ref().is_some_and(|last| list.issued_at + MAX_CACHED < last.issued_at) {
            return Err(reject(&"a list that is older than the last one"));
        }
        Ok(list)
    }
}
