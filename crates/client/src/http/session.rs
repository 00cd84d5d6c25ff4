//! A session: an access token, the key that it is bound to, and requests that carry both.

use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, Thumbprint};
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Attempt, DPOP, form_message, sensitive};
use super::nonces::Nonces;
use super::target::Target;
use super::transport::{MAX_API_ANSWER, Message};
use super::{Client, ClientError, Request, Response};
use crate::proof::Proof;
use crate::token::{AccessToken, SavedToken};

/// A logged-in key. Requests may be sent concurrently.
pub struct Session {
    client: Client,
    key: Arc<PrivateKey>,
    token: AccessToken,
    expires_at: UnixTime,
    scope: Option<String>,
    resource: Option<String>,
    nonces: Nonces,
}

/// Who the server takes the session for.
#[derive(Clone, Debug, Deserialize)]
pub struct WhoAmI {
    /// The account id.
    pub account_id: String,
    /// The username.
    pub username: String,
    /// The thumbprint of the key.
    pub thumbprint: Thumbprint,
    /// Everything else that the server says about the principal.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl Session {
    pub(super) fn new(
        client: Client,
        key: Arc<PrivateKey>,
        saved: SavedToken,
        scope: Option<String>,
    ) -> Self {
        let SavedToken { token, expires_at, nonces, resource } = saved;
        let nonces = nonces.into_iter().collect();
        Self { client, key, token, expires_at, scope, resource, nonces }
    }

    /// Sends `request` with the token and a proof for it (RFC 9449 §7), which covers the body. When the server demands
    /// another nonce, it is signed and sent once more.
    ///
    /// # Errors
    /// When the address would get the token unencrypted, the request brings its own `Authorization`
    /// or `DPoP`, or there is no answer within the limits. An answer with an error status is an
    /// answer.
    pub async fn send(&self, request: Request) -> Result<Response, ClientError> {
        request.refuse_own_proofs()?;
        let (target, message) = request.into_message()?;
        let limit = self.client.transport().max_response_bytes();
        self.exchange(&target, limit, |_| Ok(message.clone())).await
    }

    /// Asks the server who this session is.
    ///
    /// # Errors
    /// When the server refuses, for instance because the token has expired or was revoked.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        let target = self.api("/v1/whoami")?;
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(Message::get())).await?;
        response.into_json(&target)
    }

    /// Ends the token's life on the server (RFC 7009).
    ///
    /// # Errors
    /// When the server does not revoke tokens, or fails.
    pub async fn revoke_token(&self) -> Result<(), ClientError> {
        let metadata = self.client.metadata();
        let Some(target) = &metadata.revocation_endpoint else {
            return Err(metadata.lacks("revoking tokens"));
        };
        let fields = [("token", self.token.expose()), ("token_type_hint", "access_token")];
        let message = form_message(target, fields.into_iter());
        let response = self.client.transport().send_to(target, message, MAX_API_ANSWER).await?;
        response.into_success(target).map(drop)
    }

    /// The access token.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }

    /// The key that the token is bound to.
    pub fn key(&self) -> &Arc<PrivateKey> {
        &self.key
    }

    /// When the token ends.
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Whether the token has ended, by the clock of this machine.
    pub fn is_expired(&self) -> bool {
        self.client.now() >= self.expires_at
    }

    /// The granted scopes, separated by spaces, where the server named them.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The resource server that the token is for; none for the server that issued it.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// What [`Client::resume`] needs to go on with this token later.
    pub fn save(&self) -> SavedToken {
        SavedToken {
            token: self.token.duplicate(),
            expires_at: self.expires_at,
            nonces: self.nonces.to_list(),
            resource: self.resource.clone(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The address of a part of the server's own API.
    pub(super) fn api(&self, path: &str) -> Result<Target, ClientError> {
        self.client.metadata().api(path)
    }

    /// Sends what `build` makes, with the token and a proof for it.
    pub(super) async fn exchange(
        &self,
        target: &Target,
        limit: usize,
        build: impl Fn(&Attempt<'_>) -> Result<Message, ClientError>,
    ) -> Result<Response, ClientError> {
        self.client
            .exchange(&self.nonces, target, limit, |attempt| {
                self.authorize(attempt, target, build(attempt)?)
            })
            .await
    }

    fn authorize(
        &self,
        attempt: &Attempt<'_>,
        target: &Target,
        mut message: Message,
    ) -> Result<Message, ClientError> {
        let proof = Proof {
            method: message.method.as_str(),
            uri: target.htu(),
            access_token: Some(&self.token),
            nonce: attempt.nonce,
            body: Some(&*message.body).filter(|body| !body.is_empty()),
        };
        let proof = proof.sign(&self.key, attempt.now, attempt.random)?;
        let authorization = format!("DPoP {}", self.token.expose());
        message.headers.insert(AUTHORIZATION, sensitive(&authorization));
        message.headers.insert(DPOP, sensitive(&proof));
        Ok(message)
    }
}
