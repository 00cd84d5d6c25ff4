//! Messages signed together with a nonce. Only the issuer can check session and nonce, so it is
//! asked about each message.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_client::{Request, Response};
use countersign_guard::ports::{
    CheckedMessage, MessageError, PortUnavailable, Sessions, SignedMessage,
};
use countersign_protocol::{
    ClientNetwork, Coverage, Principal, ProofKind, ProvenKey, Scopes, UnixTime,
    digest::sha256,
    strict::{base64, json},
    tokens::session,
    wire,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header::AUTHORIZATION};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use crate::issuer::{AskError, Cause, Issuer, unusable};

const SIGNED_MESSAGE: HeaderName = HeaderName::from_static(wire::header::SIGNED_MESSAGE);
const SESSION_NONCE: HeaderName = HeaderName::from_static(wire::header::SESSION_NONCE);

/// How many refused messages are remembered.
const REMEMBERED: usize = 10_000;
/// The lengths of signatures, in bytes: from Ed25519 to RSA with 8192 bits.
const SIGNATURES: std::ops::RangeInclusive<usize> = 64..=1024;

/// Presents each message to the issuer, as its client would; that uses its nonce up.
pub(crate) struct RemoteSessions {
    issuer: Arc<Issuer>,
    /// Messages that the issuer refused. A refused message never becomes valid later, because its
    /// signature covers a nonce that would have to be made after it.
    refused: Cache<[u8; 32], ()>,
}

impl RemoteSessions {
    pub(crate) fn new(issuer: Arc<Issuer>) -> Self {
        Self { issuer, refused: Cache::new(REMEMBERED) }
    }
}

#[async_trait]
impl Sessions for RemoteSessions {
    async fn check(
        &self,
        message: SignedMessage<'_>,
        _now: UnixTime,
    ) -> Result<Box<dyn CheckedMessage>, MessageError> {
        // A text that cannot be a message of a session is refused without asking the issuer.
        if !session::has_form(message.jwt) || !SIGNATURES.contains(&message.signature.len()) {
            return Err(MessageError::Refused);
        }
        let digest = sha256(&[message.jwt.as_bytes(), b".", message.signature]);
        if self.refused.get(&digest).is_some() {
            return Err(MessageError::Refused);
        }
        let url = self.issuer.api(wire::path::WHOAMI);
        let mut request = Request::new(Method::GET, &url);
        let signature = base64::encode(message.signature);
        let fields = [
            (AUTHORIZATION, format!("{} {}", wire::scheme::SIGNED_MESSAGE, message.jwt)),
            (SIGNED_MESSAGE, signature),
        ];
        for (name, value) in fields {
            let mut value = HeaderValue::try_from(value).map_err(|_| MessageError::Refused)?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        let response = self
            .issuer
            .send(request, Cause::Stranger(message.client.map(ClientNetwork::from)))
            .await;
        let response = response.map_err(|error| unavailable(&error))?;
        match response.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                self.refused.insert(digest, ());
                return Err(MessageError::Refused);
            }
            status => return Err(unavailable(&AskError::Status { url, status })),
        }
        let redeemed = redeemed(&response);
        let redeemed = redeemed.ok_or_else(|| unavailable(&unusable(&url, &"no principal")))?;
        Ok(Box::new(redeemed))
    }
}

fn unavailable(error: &AskError) -> MessageError {
    MessageError::Unavailable(PortUnavailable::Away(error.to_string()))
}

/// A message that the issuer has accepted already.
struct Redeemed {
    principal: Principal,
    next: String,
}

#[async_trait]
impl CheckedMessage for Redeemed {
    fn principal(&self) -> &Principal {
        &self.principal
    }

    async fn redeem(&self, _now: UnixTime) -> Result<String, MessageError> {
        Ok(self.next.clone())
    }
}

fn redeemed(response: &Response) -> Option<Redeemed> {
    let next = response.headers.get(SESSION_NONCE)?.to_str().ok()?.to_owned();
    let members = json::parse_object(&response.body).ok()?;
    Some(Redeemed { principal: principal(&members)?, next })
}

fn principal(members: &Map<String, Value>) -> Option<Principal> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    if text("proof")? != ProofKind::SignedMessage.name() {
        return None;
    }
    let scopes = members.get("scopes")?.as_array()?.iter().map(Value::as_str);
    let scopes: Scopes = scopes.collect::<Option<Vec<_>>>()?.join(" ").parse().ok()?;
    Some(Principal {
        account_id: text("account_id")?.parse().ok()?,
        username: text("username").and_then(|name| name.parse().ok()),
        key: Some(ProvenKey {
            credential: text("credential")?.parse().ok()?,
            thumbprint: text("thumbprint")?.parse().ok()?,
        }),
        proof: ProofKind::SignedMessage,
        token_id: text("token_id").map(str::to_owned),
        scopes,
        narrowed: false,
        covers: Coverage::NOTHING,
        authentication: None,
        issued_at: None,
        expires_at: UnixTime::from_secs(members.get("expires_at")?.as_u64()?),
    })
}
