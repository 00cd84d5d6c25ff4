//! Recovers an account with a one-time code from an administrator.

use countersign_protocol::keys::{PrivateKey, Thumbprint};
use countersign_protocol::wire;
use http::Method;
use serde::Deserialize;

use super::client::Client;
use super::error::ClientError;
use super::message::Message;
use super::target::Target;
use super::transport::MAX_API_ANSWER;
use crate::password::Password;

/// The account to recover, and the code for it.
#[derive(Clone, Copy, Debug)]
pub struct Recovery<'a> {
    /// The username, the account id or the fingerprint.
    pub account: &'a str,
    /// The one-time code of an administrator.
    pub code: &'a str,
    /// A name for the new key, such as that of the device.
    pub label: Option<&'a str>,
}

/// An account that was recovered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Recovered {
    /// The account id.
    pub account_id: String,
    /// The username.
    pub username: String,
    /// The other keys of the account, which the recovery revoked.
    pub revoked_keys: Vec<Thumbprint>,
}

impl Client {
    /// Adds `key` to an account, by an administrator's code. The key signs a proof over the whole
    /// request.
    ///
    /// # Errors
    /// When the server refuses, for instance because the code was used.
    pub async fn recover(
        &self,
        key: &PrivateKey,
        recovery: &Recovery<'_>,
    ) -> Result<Recovered, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            thumbprint: Thumbprint,
            #[serde(flatten)]
            recovered: Recovered,
        }

        let target = self.recovery_address(recovery.account)?;
        let members = [
            ("code", recovery.code.into()),
            ("public_key", key.public_key().to_jwk().into()),
            ("label", recovery.label.into()),
        ];
        let message = Message::json(Method::POST, members);
        let response = self
            .exchange(self.nonces(), &target, MAX_API_ANSWER, |attempt| {
                attempt.proven_with_body(key, &target, message.clone())
            })
            .await?;
        let Answer { thumbprint, recovered } = response.into_json(&target)?;
        if thumbprint != key.public_key().thumbprint() {
            return Err(target.unexpected("it let another key in than the one it was given"));
        }
        Ok(recovered)
    }

    /// Gets a new password for an account with a password, by an administrator's code. The server
    /// makes the password and does not keep it.
    ///
    /// # Errors
    /// When the server refuses, for instance because the code was used.
    pub async fn recover_password(
        &self,
        account: &str,
        code: &str,
    ) -> Result<(Recovered, Password), ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            password: String,
            #[serde(flatten)]
            recovered: Recovered,
        }

        let target = self.recovery_address(account)?;
        let members = [("code", code.into()), ("new_password", true.into())];
        let message = Message::json(Method::POST, members);
        let Answer { password, recovered } =
            self.ask(&target, message).await?.into_json(&target)?;
        let password = Password::new(password).map_err(|error| target.unexpected(error))?;
        Ok((recovered, password))
    }

    fn recovery_address(&self, account: &str) -> Result<Target, ClientError> {
        let template = wire::path::RECOVER.split('/').skip(1);
        let segments: Vec<&str> =
            template.map(|part| if part == "{username}" { account } else { part }).collect();
        self.address_of(&segments)
    }
}
