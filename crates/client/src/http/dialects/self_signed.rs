//! *self-signed*: JWTs by the client's own key in place of access tokens.

use countersign_protocol::{keys::PrivateKey, wire};
use http::header::AUTHORIZATION;

use crate::{
    http::{
        client::Client,
        error::ClientError,
        login::WhoAmI,
        message::{Message, Request, Response, sensitive},
    },
    proof::SelfSigned,
};

impl Client {
    /// A JWT by `key` that authenticates one request to `resource`, or else to this server, as the
    /// account of that id or username: what goes after `Authorization: Bearer`. With a `body`, it is
    /// good for a request with this body only.
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn self_signed(
        &self,
        key: &PrivateKey,
        account: &str,
        resource: Option<&str>,
        body: Option<&[u8]>,
    ) -> Result<String, ClientError> {
        let audience = resource.unwrap_or(self.metadata().issuer());
        let jwt = SelfSigned { account, audience, body };
        Ok(jwt.sign(key, self.now(), self.random())?)
    }

    /// Sends `request` with `jwt`, which is good for this one request.
    ///
    /// # Errors
    /// When the address would get the JWT unencrypted, the request brings its own `Authorization`
    /// or `DPoP`, or there is no answer within the limits. An answer with an error status is an
    /// answer.
    pub async fn send_self_signed(
        &self,
        jwt: &str,
        request: Request,
    ) -> Result<Response, ClientError> {
        request.refuse_own_proofs()?;
        let (target, mut message) = request.into_message()?;
        message
            .headers
            .insert(AUTHORIZATION, sensitive(&format!("{} {jwt}", wire::scheme::BEARER)));
        self.transport().send_to(&target, message, self.transport().max_response_bytes()).await
    }

    /// Asks the server which account it sees behind `jwt`, which is good for this one request.
    ///
    /// # Errors
    /// When the server refuses the JWT, as it does when it does not speak the dialect.
    pub async fn whoami_self_signed(&self, jwt: &str) -> Result<WhoAmI, ClientError> {
        let target = self.metadata().api(wire::path::WHOAMI)?;
        let mut message = Message::get();
        message
            .headers
            .insert(AUTHORIZATION, sensitive(&format!("{} {jwt}", wire::scheme::BEARER)));
        self.ask(&target, message).await?.into_json(&target)
    }
}
