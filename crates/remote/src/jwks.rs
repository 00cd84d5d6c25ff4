//! The issuer's signing keys, fetched ahead of need.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use countersign_guard::ports::{Clock, IssuerKeys, PortUnavailable};
use countersign_protocol::{
    UnixTime,
    keys::{KeyPolicy, PublicKey, Thumbprint},
    strict::json,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::issuer::{AskError, Cause, Issuer, max_age, unusable};

/// The least time between two requests that are caused by an unknown `kid`.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The keys are fetched again at least and at most this often.
const REFRESH_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));
/// How many keys of one set are taken: the newest, which stand last.
const MAX_KEYS: usize = 64;

/// The keys that the issuer published when it was last asked.
pub(crate) struct Jwks {
    issuer: Arc<Issuer>,
    clock: Arc<dyn Clock>,
    known: ArcSwapOption<Published>,
    /// When the issuer was last asked, with or without success. Locked while it is asked.
    asked_at: Mutex<Option<Duration>>,
    withdrawals: AtomicU64,
}

struct Published {
    keys: HashMap<Thumbprint, PublicKey>,
    /// Keys that were published before. A `kid` never comes back for another key.
    gone: HashSet<Thumbprint>,
    /// When they are to be fetched again.
    refresh_at: Duration,
}

impl Jwks {
    pub(crate) fn new(issuer: Arc<Issuer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            clock,
            known: ArcSwapOption::empty(),
            asked_at: Mutex::default(),
            withdrawals: AtomicU64::new(0),
        }
    }

    /// Fetches the keys, if it is time.
    pub(crate) async fn keep_fresh(&self) -> Result<(), AskError> {
        let mut asked_at = self.asked_at.lock().await;
        let due = self.known.load().as_ref().map(|known| known.refresh_at);
        if due.is_some_and(|due| self.clock.monotonic() < due) {
            return Ok(());
        }
        self.fetch(&mut asked_at).await
    }

    /// The key `kid`. The issuer is asked about an unknown key, but not often. If it was asked a
    /// moment ago, the answer is not "there is none", because the key may have been made since.
    pub(crate) async fn key(&self, kid: &Thumbprint) -> Result<Option<PublicKey>, AskError> {
        if let Some(key) = self.known_key(kid) {
            return Ok(Some(key));
        }
        let mut asked_at = self.asked_at.lock().await;
        // Another request may have fetched it while this one waited.
        if let Some(key) = self.known_key(kid) {
            return Ok(Some(key));
        }
        let now = self.clock.monotonic();
        if asked_at.is_some_and(|at| now < at + LOOK_AGAIN_AFTER) {
            let is_gone = self.known.load().as_ref().is_some_and(|known| known.gone.contains(kid));
            return if is_gone { Ok(None) } else { Err(AskError::TooSoon) };
        }
        self.fetch(&mut asked_at).await?;
        Ok(self.known_key(kid))
    }

    fn known_key(&self, kid: &Thumbprint) -> Option<PublicKey> {
        self.known.load().as_ref()?.keys.get(kid).cloned()
    }

    async fn fetch(&self, asked_at: &mut Option<Duration>) -> Result<(), AskError> {
        *asked_at = Some(self.clock.monotonic());
        let metadata = self.issuer.metadata(Cause::Upkeep).await?;
        let url = metadata.jwks_uri();
        let url = url.ok_or_else(|| unusable(self.issuer.identifier(), &"no jwks_uri"))?;
        let response = self.issuer.get(url, Cause::Upkeep).await?;
        let keys = parse_set(&response.body).map_err(|what| unusable(url, &what))?;
        let (least, most) = REFRESH_EVERY;
        let fresh_for = max_age(&response.headers).unwrap_or(most) / 2;
        let refresh_at = self.clock.monotonic() + fresh_for.clamp(least, most);
        let keys: HashMap<_, _> = keys.into_iter().map(|key| (key.thumbprint(), key)).collect();
        let before = self.known.load_full();
        let before = before.iter().flat_map(|before| before.keys.keys().chain(&before.gone));
        let gone = before.filter(|kid| !keys.contains_key(kid)).take(MAX_KEYS);
        let gone: HashSet<_> = gone.copied().collect();
        let was_withdrawn =
            |known: &Arc<Published>| known.keys.keys().any(|kid| gone.contains(kid));
        let withdrawn = self.known.load().as_ref().is_some_and(was_withdrawn);
        self.known.store(Some(Arc::new(Published { keys, gone, refresh_at })));
        if withdrawn {
            self.withdrawals.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[async_trait]
impl IssuerKeys for Jwks {
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        _now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        Ok(self.key(kid).await?)
    }

    fn generation(&self) -> u64 {
        self.withdrawals.load(Ordering::SeqCst)
    }
}

/// The keys of a JWK Set (RFC 7517 §5) that can be used here; others are skipped. In a very long
/// set only the last keys are read.
pub(crate) fn parse_set(body: &[u8]) -> Result<Vec<PublicKey>, String> {
    let members = json::parse_object(body).map_err(|error| error.to_string())?;
    keys_of(&members, &KeyPolicy::default())
}

/// The same for a parsed set, with only the keys that `policy` accepts.
pub(crate) fn keys_of(
    members: &Map<String, Value>,
    policy: &KeyPolicy,
) -> Result<Vec<PublicKey>, String> {
    let keys = members.get("keys").and_then(Value::as_array).ok_or("no JWK Set")?;
    let passed_over = keys.len().saturating_sub(MAX_KEYS);
    if passed_over > 0 {
        tracing::warn!(
            keys = keys.len(),
            limit = MAX_KEYS,
            "only the last keys of a set are taken"
        );
    }
    let usable = |jwk: &Value| PublicKey::from_jwk(jwk.as_object()?, policy).ok();
    Ok(keys.iter().skip(passed_over).filter_map(usable).collect())
}

#[cfg(test)]
mod tests {
    use countersign_testkit::keys::ed25519;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_cannot_verify_are_passed_over() {
        let good = ed25519(1).public_key().to_jwk();
        let set = json!({ "keys": [{ "kty": "oct", "k": "AA" }, "?", good], "more": 1 });
        let keys = parse_set(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].thumbprint(), ed25519(1).public_key().thumbprint());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        assert!(parse_set(b"[]").is_err());
        assert!(parse_set(b"{}").is_err());
        assert!(parse_set(br#"{"keys":{}}"#).is_err());
    }

    #[test]
    fn of_too_many_keys_the_newest_are_taken() {
        let key = |number| Value::Object(ed25519(number).public_key().to_jwk());
        let set = json!({ "keys": (0..70).map(key).collect::<Vec<_>>() });
        let keys = parse_set(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), MAX_KEYS);
        assert_eq!(keys[0].thumbprint(), ed25519(6).public_key().thumbprint());
        assert_eq!(keys[63].thumbprint(), ed25519(69).public_key().thumbprint());
    }
}
