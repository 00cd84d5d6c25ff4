//! *passwordless*: the server proves itself with a number under a key that it made for this account
//! alone, and only then the client signs that number.

use std::sync::Arc;

use countersign_protocol::{
    challenges::mutual::Number,
    keys::{
        KeyPolicy, KeyType, PrivateKey, PublicKey, SignError,
        raw_rsa::{self, RawRsaPrivateKey},
    },
    strict::base64,
    wire,
};
use http::{Method, header::AUTHORIZATION};
use serde::Deserialize;

use super::answers::read_bound_token;
use crate::{
    http::{
        client::Client,
        error::ClientError,
        login::Login,
        message::{Message, sensitive},
        renewal::{Renew, Renewal, Renewed},
    },
    keyring::Entry,
    token::IssuedToken,
};

/// An account that the server has just made in the *passwordless* dialect.
#[derive(Clone, Debug)]
pub struct PasswordlessAccount {
    /// The account id.
    pub account_id: String,
    /// The key by which the server proves itself to this account: keep it beside the private key.
    pub server_key: PublicKey,
}

impl PasswordlessAccount {
    /// Records in `entry` what the next login needs besides the private key.
    pub fn record_in(&self, entry: &mut Entry) {
        entry.set_account_id(&self.account_id);
        entry.set_server_side_public_key(&self.server_key);
    }
}

impl Client {
    /// Makes an account that `key` logs in to in the *passwordless* dialect. `enrolment_code` is
    /// the code of an invitation, if the server asks for one.
    ///
    /// # Errors
    /// When the server refuses, for instance because the username is taken.
    pub async fn register_passwordless(
        &self,
        key: &PrivateKey,
        username: &str,
        enrolment_code: Option<&str>,
    ) -> Result<PasswordlessAccount, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            server_side_public_key: String,
            id: String,
        }

        let target = self.metadata().api("/register")?;
        let members = [
            ("username", username.into()),
            ("clientSidePublicKey", base64::encode(&key.public_key().to_spki_der()).into()),
            ("enrolment_code", enrolment_code.into()),
        ];
        let answer: Answer =
            self.ask(&target, Message::json(Method::POST, members)).await?.into_json(&target)?;
        let server_key = PublicKey::parse(&answer.server_side_public_key, &KeyPolicy::default())
            .map_err(|error| target.unexpected(error))?;
        Ok(PasswordlessAccount { account_id: answer.id, server_key })
    }

    /// Logs in with `key` in the *passwordless* dialect, to the account of that id or username.
    ///
    /// `server_key` is the one that the server gave at registration. Nothing is signed unless the
    /// server proves that it has the private half.
    ///
    /// # Errors
    /// [`ClientError::ServerUnproven`] when the challenge is not by `server_key`; when the server
    /// refuses, or issues a token that is not bound to `key`.
    pub async fn login_passwordless(
        &self,
        key: &Arc<PrivateKey>,
        account: &str,
        server_key: &PublicKey,
    ) -> Result<Login, ClientError> {
        let issued = self.passwordless_token(key, account, server_key).await?;
        let (account, server_key) = (account.to_owned(), server_key.clone());
        let renewal = Renewal::by(ByServerKey { account, server_key });
        Ok(self.logged_in(Arc::clone(key), issued).renewed_by(renewal))
    }

    async fn passwordless_token(
        &self,
        key: &PrivateKey,
        account: &str,
        server_key: &PublicKey,
    ) -> Result<IssuedToken, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            jwt_token: String,
        }

        let number = self.verified_number(account, server_key).await?;
        let target = self.address_of(&["authenticate", account])?;
        let proposal = base64::encode(&propose(key, &number)?);
        // The challenge holds the number itself, which a signature over its hash would not.
        let is_hashed = key.public_key().key_type() != KeyType::Rsa;
        let named = is_hashed.then(|| number.as_str());
        let members = [("proposal", proposal.into()), ("number", named.into())];
        let message = Message::json(Method::POST, members);
        let Answer { jwt_token } = self.ask(&target, message).await?.into_json(&target)?;
        read_bound_token(&target, jwt_token, key)
    }

    /// The number of a fresh challenge, if the challenge is by `server_key`.
    async fn verified_number(
        &self,
        account: &str,
        server_key: &PublicKey,
    ) -> Result<Number, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            challenge: String,
        }

        let target = self.address_of(&["challenge", account])?;
        let answer: Answer = self.ask(&target, Message::get()).await?.into_json(&target)?;
        let unproven =
            || ClientError::ServerUnproven { issuer: self.metadata().issuer().to_owned() };
        let challenge = base64::decode(&answer.challenge).map_err(|_| unproven())?;
        let number = raw_rsa::recover(server_key, &challenge).map_err(|_| unproven())?;
        Number::parse(&number).ok_or_else(unproven)
    }
}

/// With the login's own key, once the server has proven itself.
struct ByServerKey {
    account: String,
    server_key: PublicKey,
}

impl Renew for ByServerKey {
    fn renew<'a>(
        &'a self,
        client: &'a Client,
        bound_to: &'a Arc<PrivateKey>,
        _: Option<&'a str>,
    ) -> Renewed<'a> {
        Box::pin(client.passwordless_token(bound_to, &self.account, &self.server_key))
    }
}

impl Login {
    /// Revokes the token, in the *passwordless* dialect.
    ///
    /// # Errors
    /// When the server does not speak the dialect, or fails.
    pub async fn logout_passwordless(&self) -> Result<(), ClientError> {
        let target = self.api("/logout")?;
        self.end();
        let mut message = Message::json(Method::POST, []);
        let authorization = format!("{} {}", wire::scheme::BEARER, self.token().expose());
        message.headers.insert(AUTHORIZATION, sensitive(&authorization));
        self.client().ask(&target, message).await?.into_success(&target).map(drop)
    }
}

/// The number in the raw form of RSA; with any other kind of key, a signature of it.
fn propose(key: &PrivateKey, number: &Number) -> Result<Vec<u8>, ClientError> {
    let text = number.as_str().as_bytes();
    if key.public_key().key_type() != KeyType::Rsa {
        return Ok(key.sign(key.algorithm(), text)?);
    }
    let raw = RawRsaPrivateKey::from_pkcs8_der(&key.to_pkcs8_der());
    let block = raw.and_then(|raw| raw.encrypt(text));
    block.map_err(|_| SignError::Failed.into())
}
