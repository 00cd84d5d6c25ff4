//! A login: an access token, the key that it is bound to, and requests that carry both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, Thumbprint};
use countersign_protocol::wire;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Attempt, Client};
use super::error::ClientError;
use super::message::{DPOP, Message, Request, Response, sensitive};
use super::nonces::Nonces;
use super::refusal::Refusal;
use super::renewal::{Current, Renewal};
use super::target::Target;
use super::transport::MAX_API_ANSWER;
use crate::proof::Proof;
use crate::token::{AccessToken, IssuedToken, SavedToken};

/// A logged-in key. Requests may be sent concurrently.
///
/// When a request is refused because the token is good for nothing any more (`invalid_token`), the
/// login is renewed, if it knows how, and that request sent once more: once, never in a loop. That is
/// done at most 4 times in 10 seconds, for the sake of the account's allowance of logins; then the
/// refusal is the answer. A login whose token was revoked by its owner stays ended.
pub struct Login {
    client: Client,
    key: Arc<PrivateKey>,
    current: Mutex<Current>,
    resource: Option<String>,
    asked_scope: Option<String>,
    nonces: Nonces,
}

/// Who the server takes the sender for.
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

impl Client {
    /// Goes on with a token of an earlier login, bound to `key`. When it is refused, the login is
    /// renewed only if it is told how, by [`Login::renewed_by`].
    pub fn resume(&self, key: Arc<PrivateKey>, saved: SavedToken) -> Login {
        let SavedToken { token, expires_at, nonces, resource, scope: asked_scope } = saved;
        let login = self.logged_in(key, IssuedToken { token, expires_at, scope: None });
        Login { resource, asked_scope, nonces: nonces.into_iter().collect(), ..login }
    }

    /// A login with a token that is for this server and everything that the account may do.
    pub(super) fn logged_in(&self, key: Arc<PrivateKey>, issued: IssuedToken) -> Login {
        let current = Mutex::new(Current::new(issued));
        let (resource, asked_scope, nonces) = (None, None, Nonces::default());
        Login { client: self.clone(), key, current, resource, asked_scope, nonces }
    }
}

impl Login {
    /// The same, whose token is for `resource` and was asked for with `scope`.
    pub(super) fn asked_for(self, resource: Option<&str>, scope: Option<&str>) -> Self {
        let (resource, asked_scope) = (resource.map(str::to_owned), scope.map(str::to_owned));
        Self { resource, asked_scope, ..self }
    }

    /// The same session, which can log in again by `renewal`.
    pub fn renewed_by(self, renewal: Renewal) -> Self {
        self.current().renewal = Some(Arc::new(renewal));
        self
    }

    /// Sends `request` with the token and a proof for it (RFC 9449 §7), which covers the body. When
    /// the server demands another nonce, the request is signed and sent once more. When it refuses
    /// the token, the session logs in again and sends the request once more.
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

    /// Asks the server whom it takes the sender for.
    ///
    /// # Errors
    /// When the server refuses, for instance because the token has expired or was revoked.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        let target = self.api(wire::path::WHOAMI)?;
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(Message::get())).await?;
        response.into_json(&target)
    }

    /// Ends the token's life on the server (RFC 7009), and with it the login: it gets no other token.
    ///
    /// # Errors
    /// When the server does not revoke tokens, or fails.
    pub async fn revoke_token(&self) -> Result<(), ClientError> {
        let metadata = self.client.metadata();
        let Some(target) = &metadata.revocation_endpoint else {
            return Err(metadata.lacks("revoking tokens"));
        };
        self.end();
        let token = self.token();
        let fields = [("token", token.expose()), ("token_type_hint", "access_token")];
        let response = self.client.ask(target, target.form(fields.into_iter())).await?;
        response.into_success(target).map(drop)
    }

    /// The access token: another one after each new login.
    pub fn token(&self) -> Arc<AccessToken> {
        Arc::clone(&self.current().token)
    }

    /// The key that the token is bound to.
    pub fn key(&self) -> &Arc<PrivateKey> {
        &self.key
    }

    /// When the token ends.
    pub fn expires_at(&self) -> UnixTime {
        self.current().expires_at
    }

    /// Whether the token has ended, by the clock of this machine.
    pub fn is_expired(&self) -> bool {
        self.client.now() >= self.expires_at()
    }

    /// The granted scopes, separated by spaces, where the server named them.
    pub fn scope(&self) -> Option<String> {
        self.current().scope.clone()
    }

    /// The resource server that the token is for; none for the server that issued it.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// Why the server refused the last login that should have replaced a token, if it did.
    pub fn refused_login(&self) -> Option<Refusal> {
        self.current().refused_login.clone()
    }

    /// What [`Client::resume`] needs to go on with this token later.
    pub fn save(&self) -> SavedToken {
        let current = self.current();
        SavedToken {
            token: current.token.duplicate(),
            expires_at: current.expires_at,
            nonces: self.nonces.to_list(),
            resource: self.resource.clone(),
            scope: self.asked_scope.clone(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The address of a part of the server's own API.
    pub(super) fn api(&self, path: &str) -> Result<Target, ClientError> {
        self.client.metadata().api(path)
    }

    /// From now on a refused token is not replaced.
    pub(super) fn end(&self) {
        self.current().renewal = None;
    }

    /// Sends the message that `build` makes with the token and a proof for it. If the token is
    /// refused, or its login is too long ago, sends one more with the token of a new login.
    pub(super) async fn exchange(
        &self,
        target: &Target,
        limit: usize,
        build: impl Fn(&Attempt<'_>) -> Result<Message, ClientError>,
    ) -> Result<Response, ClientError> {
        let token = self.token();
        let response = self.exchange_with(&token, target, limit, &build).await?;
        if !Refusal::wants_new_login(&response) {
            self.current().is_new = false;
            return Ok(response);
        }
        let Some(token) = self.another_token(&token).await else { return Ok(response) };
        let response = self.exchange_with(&token, target, limit, &build).await?;
        if !Refusal::wants_new_login(&response) {
            self.current().is_new = false;
        }
        Ok(response)
    }

    async fn exchange_with(
        &self,
        token: &AccessToken,
        target: &Target,
        limit: usize,
        build: &impl Fn(&Attempt<'_>) -> Result<Message, ClientError>,
    ) -> Result<Response, ClientError> {
        self.client
            .exchange(&self.nonces, target, limit, |attempt| {
                self.authorize(attempt, token, target, build(attempt)?)
            })
            .await
    }

    /// A token in place of `refused`, if the session can get one.
    async fn another_token(&self, refused: &Arc<AccessToken>) -> Option<Arc<AccessToken>> {
        let renewal = {
            let mut current = self.current();
            if !Arc::ptr_eq(&current.token, refused) {
                // Another request has logged in meanwhile.
                return Some(Arc::clone(&current.token));
            }
            // A resource that refuses the token of a new login would refuse the next one too.
            let renewal = current.renewal.clone().filter(|_| !current.is_new)?;
            current.count_renewal(self.client.now()).then_some(renewal)?
        };
        match renewal.log_in(&self.client, &self.key, self.resource()).await {
            Ok(issued) => {
                let mut current = self.current();
                current.replace_by(issued);
                Some(Arc::clone(&current.token))
            }
            // The caller gets the refusal of its request.
            Err(error) => {
                if let ClientError::Refused(refusal) = error {
                    self.current().refused_login = Some(refusal);
                }
                None
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorize(
        &self,
        attempt: &Attempt<'_>,
        token: &AccessToken,
        target: &Target,
        mut message: Message,
    ) -> Result<Message, ClientError> {
        let proof = Proof {
            method: message.method.as_str(),
            uri: target.htu(),
            access_token: Some(token),
            nonce: attempt.nonce,
            body: Some(&*message.body).filter(|body| !body.is_empty()),
        };
        let proof = proof.sign(&self.key, attempt.now, attempt.random)?;
        let authorization = format!("{} {}", wire::scheme::DPOP, token.expose());
        message.headers.insert(AUTHORIZATION, sensitive(&authorization));
        message.headers.insert(DPOP, sensitive(&proof));
        Ok(message)
    }
}
