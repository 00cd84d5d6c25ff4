//! A new account.

use countersign_protocol::keys::{PrivateKey, Thumbprint};
use countersign_protocol::wire;
use http::Method;
use serde::Deserialize;

use super::client::Client;
use super::error::ClientError;
use super::message::Message;
use super::transport::MAX_API_ANSWER;

/// The properties of a new account.
#[derive(Clone, Copy, Debug)]
pub struct NewAccount<'a> {
    /// The username.
    pub username: &'a str,
    /// A name for the key, such as the name of the device.
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

impl Client {
    /// Makes an account that `key` logs in to.
    ///
    /// # Errors
    /// When the server refuses, for instance because the username is taken.
    pub async fn register(
        &self,
        key: &PrivateKey,
        account: &NewAccount<'_>,
    ) -> Result<Registration, ClientError> {
        let target = self.metadata().api(wire::path::ACCOUNTS)?;
        let members = [
            ("username", account.username.into()),
            ("public_key", key.public_key().to_jwk().into()),
            ("label", account.label.into()),
            ("enrolment_code", account.enrolment_code.into()),
        ];
        let message = Message::json(Method::POST, members);
        let response = self
            .exchange(self.nonces(), &target, MAX_API_ANSWER, |attempt| {
                attempt.proven(key, &target, message.clone())
            })
            .await?;
        let registration: Registration = response.into_json(&target)?;
        if registration.thumbprint != key.public_key().thumbprint() {
            return Err(target.unexpected("it registered another key than the one it was given"));
        }
        Ok(registration)
    }
}
