//! The keys of accounts, for JWTs that accounts sign themselves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_client::Request;
use countersign_guard::ports::{AccountKey, AccountKeys, Clock, PortUnavailable, TokenStanding};
use countersign_protocol::{
    AccountId, ClientNetwork, Scopes, UnixTime,
    keys::{KeyPolicy, PublicKey, Thumbprint},
    names::{AccountName, Fingerprint, Username},
    proofs::body_hash::BodyHashes,
    strict::json,
    wire,
};
use http::{Method, StatusCode};
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{
    issuer::{AskError, Cause, Issuer, unusable},
    jwks,
    revocations::{Feed, stale},
};

/// How many accounts are remembered.
const REMEMBERED: usize = 10_000;
/// For how long the keys of an account are used without asking again. The feed reports revocations
/// in the meantime.
const FRESH_FOR: Duration = Duration::from_secs(30);
/// The least time between two requests that are caused by an unknown key.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Accounts as the issuer published them.
pub(crate) struct RemoteAccountKeys {
    issuer: Arc<Issuer>,
    feed: Arc<Feed>,
    clock: Arc<dyn Clock>,
    outage: Duration,
    /// By the name in the JWT: id, username or fingerprint.
    accounts: Cache<String, Arc<Entry>>,
}

/// One account, once somebody has asked for it.
#[derive(Default)]
struct Entry {
    known: RwLock<Option<Arc<Known>>>,
    /// Locked while the issuer is asked, so that it is asked once.
    asking: Mutex<()>,
}

/// What was answered.
struct Known {
    /// None where there is no such account.
    account: Option<PublishedAccount>,
    asked_at: Duration,
}

struct PublishedAccount {
    id: AccountId,
    username: Option<Username>,
    fingerprint: Option<Fingerprint>,
    scopes: Scopes,
    keys: Vec<PublicKey>,
}

impl PublishedAccount {
    /// Whether the answer is about the account that was asked for. The issuer resolves names; this
    /// check makes sure that both sides understand a name in the same way.
    fn is_called(&self, name: &AccountName) -> bool {
        match name {
            AccountName::Id(id) => self.id == *id,
            AccountName::Fingerprint(fingerprint) => self.fingerprint == Some(*fingerprint),
            AccountName::Username(username) => self.username.as_ref() == Some(username),
        }
    }
}

impl RemoteAccountKeys {
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        feed: Arc<Feed>,
        clock: Arc<dyn Clock>,
        outage: Duration,
    ) -> Self {
        Self { issuer, feed, clock, outage, accounts: Cache::new(REMEMBERED) }
    }

    /// The account `name` as it was at `since` or later, by the monotonic clock. The issuer is
    /// asked again when the known answer is too old or lacks the key `kid`.
    async fn account(
        &self,
        name: &AccountName,
        kid: Option<&Thumbprint>,
        since: Duration,
        client: Option<ClientNetwork>,
    ) -> Result<Arc<Known>, AskError> {
        let text = name.to_string();
        let entry =
            self.accounts.get_or_insert_with(&text, || Ok::<_, AskError>(Arc::default()))?;
        if let Some(known) = self.usable(&entry, kid, since) {
            return Ok(known);
        }
        let _asking = entry.asking.lock().await;
        if let Some(known) = self.usable(&entry, kid, since) {
            return Ok(known);
        }
        let asked_at = self.clock.monotonic();
        match self.fetch(name, Cause::Stranger(client)).await {
            Ok(account) => {
                let known = Arc::new(Known { account, asked_at });
                *entry.known.write() = Some(Arc::clone(&known));
                Ok(known)
            }
            // The service goes on while the issuer cannot be reached.
            Err(error) => {
                let last = entry.known.read().clone();
                let serves = |last: &Arc<Known>| {
                    since <= last.asked_at && asked_at < last.asked_at + self.outage
                };
                last.filter(serves).ok_or(error)
            }
        }
    }

    fn usable(
        &self,
        entry: &Entry,
        kid: Option<&Thumbprint>,
        since: Duration,
    ) -> Option<Arc<Known>> {
        let known = entry.known.read().clone().filter(|known| since <= known.asked_at)?;
        let is_there = match (&known.account, kid) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(account), Some(kid)) => account.keys.iter().any(|key| key.thumbprint() == *kid),
        };
        let limit = if is_there { FRESH_FOR } else { LOOK_AGAIN_AFTER };
        (self.clock.monotonic() < known.asked_at + limit).then_some(known)
    }

    async fn fetch(
        &self,
        name: &AccountName,
        cause: Cause,
    ) -> Result<Option<PublishedAccount>, AskError> {
        let url = self.issuer.api(&wire::path::account_keys(&path_segment(&name.to_string())));
        let response = self.issuer.send(Request::new(Method::GET, &url), cause).await?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(AskError::Status { url, status }),
        }
        let account = parse(&response.body).map_err(|what| unusable(&url, &what))?;
        if !account.is_called(name) {
            return Err(unusable(&url, &"the answer is about another account"));
        }
        Ok(Some(account))
    }
}

#[async_trait]
impl AccountKeys for RemoteAccountKeys {
    async fn account_keys(
        &self,
        name: &str,
        kid: Option<&Thumbprint>,
        client: Option<ClientNetwork>,
    ) -> Result<Vec<AccountKey>, PortUnavailable> {
        // A text that is not a name names no account.
        let Ok(name) = name.parse() else { return Ok(Vec::new()) };
        let mut known = self.account(&name, kid, Duration::ZERO, client).await?;
        let revoked = self.feed.current().ok_or_else(stale)?;
        if let Some(account) = &known.account {
            let since = revoked.keys_needed_since(account.id);
            if known.asked_at < since {
                known = self.account(&name, kid, since, client).await?;
            }
        }
        let Some(account) = &known.account else { return Ok(Vec::new()) };
        let wanted = |key: &&PublicKey| kid.is_none_or(|kid| key.thumbprint() == *kid);
        let key = |key: &PublicKey| AccountKey {
            account_id: account.id,
            username: account.username.clone(),
            key: key.clone(),
            scopes: account.scopes.clone(),
            body_hashes: BodyHashes::of_account(account.fingerprint.is_some()),
            standing: TokenStanding::revoked_if(
                revoked.has_account_key(&[&key.thumbprint()], account.id),
            ),
        };
        let fitting: Vec<_> = account.keys.iter().filter(wanted).map(key).collect();
        // A `kid` that names no key of the account is ignored: any of its keys may have signed.
        Ok(if fitting.is_empty() { account.keys.iter().map(key).collect() } else { fitting })
    }

    /// Does nothing: only the issuer records uses of keys.
    async fn key_used(&self, _id: AccountId, _key: &Thumbprint, _now: UnixTime) {}
}

fn parse(body: &[u8]) -> Result<PublishedAccount, String> {
    let members = json::parse_object(body).map_err(|error| error.to_string())?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let id = text("account_id").and_then(|id| id.parse().ok()).ok_or("no account_id")?;
    let scopes = text("scope").unwrap_or_default().parse().map_err(|_| "no list of scopes")?;
    let username = text("username").and_then(|name| name.parse().ok());
    let fingerprint = text("fingerprint").and_then(|text| text.parse().ok());
    // Only an account with a fingerprint may have keys that are a few bits short.
    let policy = KeyPolicy::default();
    let policy = if fingerprint.is_some() { policy.by_whole_bytes() } else { policy };
    let keys = jwks::keys_of(&members, &policy)?;
    Ok(PublishedAccount { id, username, fingerprint, scopes, keys })
}

/// `name` as one segment of a path (RFC 3986 §3.3).
fn path_segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    segment
}

fn hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_whatever_is_in_it() {
        assert_eq!(path_segment("alice-1_~"), "alice-1_~");
        assert_eq!(path_segment("../admin?x#y%z é"), "%2E%2E%2Fadmin%3Fx%23y%25z%20%C3%A9");
    }

    #[test]
    fn an_account_needs_its_id() {
        assert!(parse(br#"{"keys":[]}"#).is_err());
        assert!(parse(br#"{"keys":[],"account_id":"x"}"#).is_err());
        let account =
            br#"{"keys":[],"account_id":"01234567-89ab-7000-8000-000000000000","scope":"a b"}"#;
        let account = parse(account).unwrap();
        assert!(account.scopes.contains("b"));
    }
}
