//! One server, and how requests get there.

use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::PrivateKey;
use countersign_protocol::ports::{Clock, Random};

use super::error::ClientError;
use super::message::{DPOP, Message, Response, sensitive};
use super::metadata::Metadata;
use super::nonces::Nonces;
use super::refusal::Refusal;
use super::target::Target;
use super::transport::{MAX_API_ANSWER, Transport};
use crate::proof::Proof;

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
    /// Of the server as the issuer of tokens; each login has its own for resources.
    nonces: Nonces,
}

impl Client {
    /// Reads the metadata of the server at `issuer` (RFC 8414).
    ///
    /// # Errors
    /// When the server cannot be reached, its metadata name another issuer, or it lacks something
    /// that this client needs.
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

    /// The address in the server's API with these path segments, which may contain any characters.
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

    /// Sends a message as it is, and gets a short answer.
    pub(super) async fn ask(
        &self,
        target: &Target,
        message: Message,
    ) -> Result<Response, ClientError> {
        self.inner.transport.send_to(target, message, MAX_API_ANSWER).await
    }

    /// Sends the message that `build` makes with the newest nonce. When the server demands another
    /// nonce, builds and sends the message once more with that nonce.
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

    /// The same, with a proof that also covers the body.
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
