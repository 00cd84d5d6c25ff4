//! The keys of one's own account.

use std::net::IpAddr;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, Thumbprint};
use countersign_protocol::wire;
use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Deserializer};

use super::error::ClientError;
use super::login::Login;
use super::message::Message;
use super::transport::MAX_API_ANSWER;
use crate::proof::NewKeyProof;

/// A key of an account, live or revoked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeyInfo {
    /// Its identity.
    pub thumbprint: Thumbprint,
    /// The owner's name for it.
    pub label: String,
    /// What kind of key it is, in words.
    pub key_type: String,
    /// Where the private key is: `key`, `browser` or `passkey`. Servers of earlier versions say nothing
    /// and have keys only.
    #[serde(default = "kind_key")]
    pub kind: String,
    /// Whether this login was made with the key, or its requests are signed by it.
    pub current: bool,
    /// The thumbprint of the key that added it; none for the key of the registration.
    #[serde(default)]
    pub added_by: Option<Thumbprint>,
    /// When it was registered.
    #[serde(deserialize_with = "seconds")]
    pub created_at: UnixTime,
    /// When it last logged in.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub last_used_at: Option<UnixTime>,
    /// When it was revoked.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub revoked_at: Option<UnixTime>,
    /// When it ends by itself.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub expires_at: Option<UnixTime>,
    /// The program that registered it, or, of a browser, that logged in last, as it calls itself.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// The address that it logged in from last.
    #[serde(default)]
    pub last_address: Option<IpAddr>,
}

fn kind_key() -> String {
    "key".to_owned()
}

impl Login {
    /// The keys of the account.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            keys: Vec<KeyInfo>,
        }

        let target = self.api(wire::path::KEYS)?;
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(Message::get())).await?;
        response.into_json(&target).map(|answer: Answer| answer.keys)
    }

    /// Adds `new_key` to the account with the username or the id `account`. The new key signs a
    /// proof for this one request and this account.
    ///
    /// # Errors
    /// When the server refuses, for instance because the key belongs to an account already.
    pub async fn add_key(
        &self,
        account: &str,
        new_key: &PrivateKey,
        label: Option<&str>,
    ) -> Result<Thumbprint, ClientError> {
        let target = self.api(wire::path::KEYS)?;
        let response = self
            .exchange(&target, MAX_API_ANSWER, |attempt| {
                let proof = NewKeyProof { uri: target.htu(), account };
                let proof = proof.sign(new_key, attempt.now, attempt.random)?;
                let members = [
                    ("public_key", new_key.public_key().to_jwk().into()),
                    ("label", label.into()),
                    ("new_key_proof", proof.into()),
                ];
                Ok(Message::json(Method::POST, members))
            })
            .await?;
        response.into_success(&target)?;
        Ok(new_key.public_key().thumbprint())
    }

    /// Gives a key of the account another name.
    ///
    /// # Errors
    /// When the server refuses, for instance because the account has no such live key.
    pub async fn rename_key(&self, thumbprint: Thumbprint, label: &str) -> Result<(), ClientError> {
        let target = self.api(&wire::path::key(&thumbprint.to_string()))?;
        let message = Message::json(Method::PATCH, [("label", label.into())]);
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(message.clone())).await?;
        response.into_success(&target).map(drop)
    }

    /// Revokes a key of the account, and every token that is bound to it, at once and for good.
    /// Returns the live keys that were added with this key, directly or through another one: a
    /// thief of the key may have added them.
    ///
    /// # Errors
    /// When the server refuses, for instance because it is the last key.
    pub async fn revoke_key(&self, thumbprint: Thumbprint) -> Result<Vec<KeyInfo>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            added_keys: Vec<KeyInfo>,
        }

        let target = self.api(&wire::path::key(&thumbprint.to_string()))?;
        let mut message = Message { method: Method::DELETE, ..Message::get() };
        message.headers.insert("prefer", HeaderValue::from_static("return=representation"));
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(message.clone())).await?;
        if response.status == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        response.into_json(&target).map(|answer: Answer| answer.added_keys)
    }
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
    u64::deserialize(deserializer).map(UnixTime::from_secs)
}

fn optional_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<UnixTime>, D::Error> {
    Option::<u64>::deserialize(deserializer).map(|time| time.map(UnixTime::from_secs))
}
