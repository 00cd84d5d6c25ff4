//! *signjwt*: a session whose every request is signed over a nonce and the session's JWT.

use countersign_protocol::{keys::PrivateKey, proofs::nonce_pss, strict::base64};
use http::{HeaderName, Method, header::AUTHORIZATION};
use serde::Deserialize;

use super::registered_id;
use crate::{
    http::{
        Client, ClientError, Request, Response, WhoAmI,
        client::{json_message, sensitive, unexpected},
        transport::Message,
    },
    token::AccessToken,
};

const SIGNED_MESSAGE: HeaderName = HeaderName::from_static("signed-message");

impl Client {
    /// Makes an account whose requests `key` signs in the *signjwt* dialect, and returns its id,
    /// which the server says to the first signed request only.
    ///
    /// # Errors
    /// When the server refuses, for instance because the username is taken;
    /// [`ClientError::UnexpectedAnswer`] when it has registered the key and does not take it.
    pub async fn register_signjwt(
        &self,
        key: &PrivateKey,
        username: &str,
    ) -> Result<String, ClientError> {
        let target = self.metadata().api("/register")?;
        let members =
            [("user_id", username.into()), ("public_key", key.public_key().to_spki_pem().into())];
        let answer = self.ask(&target, json_message(Method::POST, members)).await?;
        answer.into_success(&target)?;
        registered_id(&target, self.whoami_signjwt(key, username).await)
    }

    /// Opens a session of the *signjwt* dialect for the account of that id or username, and asks in
    /// a request signed by `key` whom the server takes the sender for.
    ///
    /// # Errors
    /// When the server refuses, as it does when the key is none of the account's.
    pub async fn whoami_signjwt(
        &self,
        key: &PrivateKey,
        account: &str,
    ) -> Result<WhoAmI, ClientError> {
        let target = self.metadata().api("/v1/whoami")?;
        let mut message = Message::get();
        self.sign_message(key, account, &mut message).await?;
        self.ask(&target, message).await?.into_json(&target)
    }

    /// Opens a session of the *signjwt* dialect for the account of that id or username, and sends
    /// `request` signed by `key`.
    ///
    /// # Errors
    /// When the server opens no session, the address would get the signature unencrypted, the
    /// request brings its own `Authorization` or `DPoP`, or there is no answer within the limits.
    /// An answer with an error status is an answer.
    pub async fn send_signjwt(
        &self,
        key: &PrivateKey,
        account: &str,
        request: Request,
    ) -> Result<Response, ClientError> {
        request.refuse_own_proofs()?;
        let (target, mut message) = request.into_message()?;
        self.sign_message(key, account, &mut message).await?;
        self.transport().send_to(&target, message, self.transport().max_response_bytes()).await
    }

    /// Adds to `message` the JWT of a new session and the first signature of it.
    async fn sign_message(
        &self,
        key: &PrivateKey,
        account: &str,
        message: &mut Message,
    ) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            jwt: String,
            nonce: String,
        }

        let target = self.metadata().api("/login")?;
        let login = json_message(Method::POST, [("user_id", account.into())]);
        let Answer { jwt, nonce } = self.ask(&target, login).await?.into_json(&target)?;
        // What breaks out of a header is no JWT.
        let jwt = AccessToken::new(jwt).map_err(|error| unexpected(&target, &error.to_string()))?;
        let signature = base64::encode(&nonce_pss::sign(key, &nonce, jwt.expose())?);
        let authorization = format!("SignJWT {}", jwt.expose());
        message.headers.insert(AUTHORIZATION, sensitive(&authorization));
        message.headers.insert(SIGNED_MESSAGE, sensitive(&signature));
        Ok(())
    }
}
