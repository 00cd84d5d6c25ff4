//! *self-signed*: JWTs by the client's own key in place of access tokens.

use countersign_protocol::keys::PrivateKey;
use http::header::AUTHORIZATION;

use crate::{
    http::{Client, ClientError, WhoAmI, client::sensitive, transport::Message},
    proof::SelfSigned,
};

impl Client {
    /// A JWT by `key` that authenticates one request to this server as the account of that id or
    /// username: what goes after `Authorization: Bearer`. With a `body`, it is good for a request
    /// with this body only.
    ///
    /// # Errors
    /// When the cryptographic library cannot sign.
    pub fn self_signed(
        &self,
        key: &PrivateKey,
        account: &str,
        body: Option<&[u8]>,
    ) -> Result<String, ClientError> {
        let jwt = SelfSigned { account, audience: self.metadata().issuer(), body };
        Ok(jwt.sign(key, self.now(), self.random())?)
    }

    /// Asks the server whom it takes the sender of `jwt` for, which is used up by this.
    ///
    /// # Errors
    /// When the server refuses the JWT, as it does when it does not speak the dialect.
    pub async fn whoami_self_signed(&self, jwt: &str) -> Result<WhoAmI, ClientError> {
        let target = self.metadata().api("/v1/whoami")?;
        let mut message = Message::get();
        message.headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {jwt}")));
        self.ask(&target, message).await?.into_json(&target)
    }
}
