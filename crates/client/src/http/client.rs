//! One server, and how to get an account and a session there.

use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, Thumbprint};
use countersign_protocol::ports::{Clock, Random};
use countersign_protocol::wire;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::metadata::JWT_BEARER;
use super::nonces::Nonces;
use super::target::Target;
use super::transport::{MAX_API_ANSWER, Message};
use super::{ClientError, Metadata, Refusal, Renewal, Response, Session, Transport};
use crate::proof::{Assertion, Proof};
use crate::token::{AccessToken, SavedToken};

/// A client of one authorization server. Clones share connections and nonces.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metadata: Metadata,
    /// Of the server as the issuer of tokens; each session has its own for resources.
    nonces: Nonces,
}

/// What a new account shall be.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount<'a> {
    /// The username.
    pub username: &'a str,
    /// A name for the key, such as that of the device.
    pub label: Option<&'a str>,
    /// The one-time code, where the server demands one.
    pub enrolment_code: Option<&'a str>,
}

/// An account that the server has just made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Registration {
    /// The account id.
    pub account_id: String,
    /// The username.
    pub username: String,
    /// The thumbprint of the registered key.
    pub thumbprint: Thumbprint,
}

/// Who logs in, and for what.
#[derive(Clone)]
pub struct Login<'a> {
    /// The account id or the username.
    pub subject: &'a str,
    /// The scopes to ask for, separated by single spaces.
    pub scope: Option<&'a str>,
    /// The resource server that the token shall be for (RFC 8707 §2), as it calls itself; none for
    /// the server that issues it.
    pub resource: Option<&'a str>,
    /// A key to bind the token to in place of the key that logs in.
    pub session_key: Option<Arc<PrivateKey>>,
}

impl Client {
    /// Finds out what the server at `issuer` is, by its metadata (RFC 8414).
    ///
    /// # Errors
    /// When the server cannot be reached, is another one, or lacks what this client needs.
    pub async fn discover(
        issuer: &str,
        transport: Transport,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ClientError> {
        let metadata = Metadata::fetch(&transport, issuer).await?;
        let nonces = Nonces::default();
        Ok(Self { inner: Arc::new(Inner { transport, clock, random, metadata, nonces }) })
    }

    /// What the server says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// Makes an account that `key` logs in to.
    ///
    /// # Errors
    /// When the server refuses, for instance because the username is taken.
    pub async fn register(
        &self,
        key: &PrivateKey,
        account: &NewAccount<'_>,
    ) -> Result<Registration, ClientError> {
        let target = self.inner.metadata.api(wire::path::ACCOUNTS)?;
        let members = [
            ("username", account.username.into()),
            ("public_key", key.public_key().to_jwk().into()),
            ("label", account.label.into()),
            ("enrolment_code", account.enrolment_code.into()),
        ];
        let message = json_message(Method::POST, members);
        let response = self
            .exchange(&self.inner.nonces, &target, MAX_API_ANSWER, |attempt| {
                attempt.proven(key, &target, message.clone())
            })
            .await?;
        let registration: Registration = response.into_json(&target)?;
        if registration.thumbprint != key.public_key().thumbprint() {
            return Err(unexpected(&target, "it registered another key than the one it was given"));
        }
        Ok(registration)
    }

    /// Logs in with `key`: an access token in exchange for an assertion (RFC 7523) and a DPoP
    /// proof (RFC 9449 §5).
    ///
    /// # Errors
    /// When the server refuses, or issues a token that is not bound to the key.
    pub async fn login(
        &self,
        key: &Arc<PrivateKey>,
        login: &Login<'_>,
    ) -> Result<Session, ClientError> {
        let metadata = &self.inner.metadata;
        let target = &metadata.token_endpoint;
        let bound_key = login.session_key.as_ref().unwrap_or(key);
        metadata.check_algorithm(bound_key.algorithm().name())?;
        let assertion = Assertion {
            subject: login.subject,
            audience: &metadata.issuer,
            session_key: login.session_key.as_ref().map(|key| key.public_key().thumbprint()),
        };
        let response = self
            .exchange(&self.inner.nonces, target, MAX_API_ANSWER, |attempt| {
                // Fresh for every attempt: a server may have counted the first one as used.
                let assertion = assertion.sign(key, attempt.now, attempt.random)?;
                let fields = [("grant_type", JWT_BEARER), ("assertion", &assertion)].into_iter();
                let scope = login.scope.map(|scope| ("scope", scope));
                let resource = login.resource.map(|resource| ("resource", resource));
                let fields = fields.chain(scope).chain(resource);
                attempt.proven(bound_key, target, form_message(target, fields))
            })
            .await?;
        let (token, scope) = self.read_token(target, response)?;
        let (resource, asked) = (login.resource.map(str::to_owned), login.scope.map(str::to_owned));
        let token = SavedToken { resource, scope: asked, ..token };
        let session = Session::new(self.clone(), Arc::clone(bound_key), token, scope);
        Ok(session.renewed_by(Renewal::Key {
            key: Arc::clone(key),
            subject: login.subject.to_owned(),
            scope: login.scope.map(str::to_owned),
        }))
    }

    /// Goes on with a token of an earlier session, bound to `key`. When it is refused, the session
    /// logs in again only if it is told how, by [`Session::renewed_by`].
    pub fn resume(&self, key: Arc<PrivateKey>, saved: SavedToken) -> Session {
        Session::new(self.clone(), key, saved, None)
    }

    fn read_token(
        &self,
        target: &Target,
        response: Response,
    ) -> Result<(SavedToken, Option<String>), ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: u64,
            scope: Option<String>,
        }

        let answer: Answer = response.into_json(target)?;
        if !answer.token_type.eq_ignore_ascii_case("DPoP") {
            return Err(unexpected(target, "the token is not bound to the key"));
        }
        let token = AccessToken::new(answer.access_token)
            .map_err(|error| unexpected(target, &error.to_string()))?;
        let expires_at = self.now() + Duration::from_secs(answer.expires_in);
        Ok((
            SavedToken { token, expires_at, nonces: Vec::new(), resource: None, scope: None },
            answer.scope,
        ))
    }

    pub(super) fn now(&self) -> UnixTime {
        self.inner.clock.now()
    }

    pub(super) fn random(&self) -> &dyn Random {
        &*self.inner.random
    }

    /// The nonces of the server as the issuer of tokens.
    pub(super) fn nonces(&self) -> &Nonces {
        &self.inner.nonces
    }

    /// The address of the server's API whose path has these segments, whatever is in them.
    pub(super) fn address_of(&self, segments: &[&str]) -> Result<Target, ClientError> {
        let mut url = self.inner.metadata.api("/")?.url().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Target::parse(url.as_str())
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Sends what `build` makes with the newest nonce. When the server demands another nonce, it
    /// is built and sent once more with that one.
    pub(super) async fn exchange(
        &self,
        nonces: &Nonces,
        target: &Target,
        limit: usize,
        build: impl Fn(&Attempt<'_>) -> Result<Message, ClientError>,
    ) -> Result<Response, ClientError> {
        let known = nonces.get(target.origin());
        let message = build(&self.attempt(known.as_deref()))?;
        let response = self.inner.transport.send_to(target, message, limit).await?;
        let fresh = nonces.remember(target.origin(), &response);
        if fresh.is_none() || !Refusal::demands_nonce(&response) {
            return Ok(response);
        }
        let message = build(&self.attempt(fresh.as_deref()))?;
        let response = self.inner.transport.send_to(target, message, limit).await?;
        nonces.remember(target.origin(), &response);
        Ok(response)
    }

    fn attempt<'a>(&'a self, nonce: Option<&'a str>) -> Attempt<'a> {
        Attempt { nonce, now: self.now(), random: &*self.inner.random }
    }
}

/// What is new in every attempt to send a request.
pub(super) struct Attempt<'a> {
    pub(super) nonce: Option<&'a str>,
    pub(super) now: UnixTime,
    pub(super) random: &'a dyn Random,
}

impl Attempt<'_> {
    /// `message` with a proof by `key` that is for `target` and no token.
    pub(super) fn proven(
        &self,
        key: &PrivateKey,
        target: &Target,
        mut message: Message,
    ) -> Result<Message, ClientError> {
        let proof = self.proof(key, target, &message, None)?;
        message.headers.insert(DPOP, sensitive(&proof));
        Ok(message)
    }

    /// The same, with a proof that covers the body too.
    pub(super) fn proven_with_body(
        &self,
        key: &PrivateKey,
        target: &Target,
        mut message: Message,
    ) -> Result<Message, ClientError> {
        let proof = self.proof(key, target, &message, Some(&message.body))?;
        message.headers.insert(DPOP, sensitive(&proof));
        Ok(message)
    }

    fn proof(
        &self,
        key: &PrivateKey,
        target: &Target,
        message: &Message,
        body: Option<&[u8]>,
    ) -> Result<String, ClientError> {
        let proof = Proof {
            method: message.method.as_str(),
            uri: target.htu(),
            access_token: None,
            nonce: self.nonce,
            body,
        };
        Ok(proof.sign(key, self.now, self.random)?)
    }
}

pub(super) const DPOP: HeaderName = HeaderName::from_static(wire::header::DPOP);

/// The value of a header that must not show up in logs, nor in compression tables (RFC 7541 §7.1).
#[expect(clippy::expect_used, reason = "tokens and JWTs are visible ASCII by construction")]
pub(super) fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("visible ASCII is a header value");
    value.set_sensitive(true);
    value
}

/// A message with a JSON object of those members that have a value.
pub(super) fn json_message<const N: usize>(method: Method, members: [(&str, Value); N]) -> Message {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    let object: Map<_, _> = members.map(|(name, value)| (name.to_owned(), value)).collect();
    let body = Value::Object(object).to_string().into_bytes();
    with_content(method, "application/json", body)
}

/// A POST of form fields. The encoding is that of a query, which `target` lends its URL for.
pub(super) fn form_message<'a>(
    target: &Target,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Message {
    let mut url = target.url().clone();
    url.query_pairs_mut().clear().extend_pairs(fields);
    let body = url.query().unwrap_or_default().as_bytes().to_vec();
    with_content(Method::POST, "application/x-www-form-urlencoded", body)
}

fn with_content(method: Method, media_type: &'static str, body: Vec<u8>) -> Message {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(media_type));
    Message { method, headers: HeaderMap::from_iter([content_type]), body }
}

pub(super) fn unexpected(target: &Target, reason: &str) -> ClientError {
    let address = target.uri().as_str().to_owned();
    ClientError::UnexpectedAnswer { address, reason: reason.to_owned() }
}
