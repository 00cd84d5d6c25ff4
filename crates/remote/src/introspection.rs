//! Asking the issuer about a token (RFC 7662), where the feed of revocations is too old.

use std::{sync::Arc, time::Duration};

use countersign_client::{Request, proof::Assertion};
use countersign_guard::ports::{Clock, PortUnavailable, TokenStanding};
use countersign_protocol::{AccountId, UnixTime, keys::PrivateKey, ports::Random, strict::json};
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use quick_cache::sync::Cache;
use serde_json::Value;

use crate::issuer::{AskError, Cause, Issuer, unusable};

const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How many good answers are kept.
const REMEMBERED: usize = 10_000;

/// Asks the issuer, as one of its accounts that has the scope `introspect`.
pub(crate) struct Introspection {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) caller: Caller,
    /// Until when tokens count as good without asking again, by their ids.
    good_until: Cache<String, Duration>,
    lag: Duration,
}

/// A verified token to ask about.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) text: &'a str,
    pub(crate) token_id: &'a str,
    pub(crate) account: AccountId,
}

/// The account that asks.
pub(crate) struct Caller {
    /// The account id or the username.
    pub(crate) subject: String,
    /// A key of that account.
    pub(crate) key: PrivateKey,
}

impl Introspection {
    /// A good answer counts for `lag`.
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        caller: Caller,
        lag: Duration,
    ) -> Self {
        Self { issuer, clock, random, caller, good_until: Cache::new(REMEMBERED), lag }
    }

    /// Whether the issuer says that the token is good.
    pub(crate) async fn standing(
        &self,
        token: Asked<'_>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let id = token.token_id;
        let asked_at = self.clock.monotonic();
        if self.good_until.get(id).is_some_and(|until| asked_at < until) {
            return Ok(TokenStanding::Good);
        }
        let is_active = self.ask(token, now).await?;
        if is_active {
            self.good_until.insert(id.to_owned(), asked_at + self.lag);
        } else {
            self.good_until.remove(id);
        }
        Ok(TokenStanding::revoked_if(!is_active))
    }

    async fn ask(&self, token: Asked<'_>, now: UnixTime) -> Result<bool, AskError> {
        let cause = Cause::Account(token.account);
        let metadata = self.issuer.metadata(cause).await?;
        let url = metadata.introspection_endpoint();
        let url = url.ok_or_else(|| unusable(self.issuer.identifier(), &"no introspection"))?;
        let Caller { subject, key } = &self.caller;
        let assertion =
            Assertion { subject, audience: self.issuer.identifier(), session_key: None };
        let assertion = assertion.sign(key, now, &*self.random);
        let assertion = assertion.map_err(|error| unusable(url, &error))?;
        let mut request = Request::new(Method::POST, url);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, form);
        request.body = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token.text)
            .append_pair("client_assertion_type", JWT_BEARER_ASSERTION)
            .append_pair("client_assertion", &assertion)
            .finish()
            .into_bytes();
        let response = self.issuer.send(request, cause).await?;
        if response.status != StatusCode::OK {
            return Err(unusable(url, &response.status));
        }
        let answer = json::parse_object(&response.body).map_err(|error| unusable(url, &error))?;
        let is_about_it = || answer.get("jti").and_then(Value::as_str) == Some(token.token_id);
        Ok(answer.get("active") == Some(&Value::Bool(true)) && is_about_it())
    }
}
