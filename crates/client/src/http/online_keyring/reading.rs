//! What an account's server says about its online keyring. Nothing of it is secret.

use countersign_protocol::UnixTime;
use countersign_protocol::wire;
use serde::Deserialize;

use super::error::OnlineKeyringError;
use crate::http::keys::seconds;
use crate::http::login::Login;
use crate::http::message::Message;
use crate::http::transport::MAX_API_ANSWER;

/// An online keyring, as its server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OnlineKeyringInfo {
    /// Another one after each change.
    pub revision: u64,
    /// When it was changed last.
    #[serde(deserialize_with = "seconds")]
    pub updated_at: UnixTime,
    /// The length of the encrypted entries, in bytes.
    pub size: u64,
    /// What opens it.
    pub slots: Vec<SlotInfo>,
}

/// A slot, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SlotInfo {
    /// `password`, `recovery` or `prf`.
    pub kind: String,
    /// The id of the passkey, for `prf`.
    #[serde(default)]
    pub passkey: Option<String>,
    /// Whether the account has revoked that passkey. It opens the keyring all the same until the
    /// keyring is stored anew.
    #[serde(default)]
    pub passkey_revoked: bool,
    /// When it was made.
    #[serde(deserialize_with = "seconds")]
    pub created_at: UnixTime,
}

/// A content that an online keyring had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct RevisionInfo {
    /// Its number.
    pub revision: u64,
    /// When it was stored.
    #[serde(deserialize_with = "seconds")]
    pub updated_at: UnixTime,
    /// When another one took its place.
    #[serde(deserialize_with = "seconds")]
    pub replaced_at: UnixTime,
    /// The length of its encrypted entries, in bytes.
    pub size: u64,
}

impl Login {
    /// What the server says about the online keyring of the account; none if there is none.
    ///
    /// # Errors
    /// When the server refuses, or knows no online keyrings.
    pub async fn online_keyring(&self) -> Result<Option<OnlineKeyringInfo>, OnlineKeyringError> {
        match self.present_online_keyring().await {
            Ok(info) => Ok(Some(info)),
            Err(OnlineKeyringError::None { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the server says about the online keyring of the account.
    ///
    /// # Errors
    /// When there is none, the server refuses, or knows no online keyrings.
    pub async fn present_online_keyring(&self) -> Result<OnlineKeyringInfo, OnlineKeyringError> {
        self.read_about(wire::path::KEYRING).await
    }

    /// The earlier contents that the server still has.
    ///
    /// # Errors
    /// When there is no online keyring, or the server refuses.
    pub async fn online_keyring_revisions(&self) -> Result<Vec<RevisionInfo>, OnlineKeyringError> {
        #[derive(Deserialize)]
        struct Answer {
            revisions: Vec<RevisionInfo>,
        }

        let answer: Answer = self.read_about(wire::path::KEYRING_REVISIONS).await?;
        Ok(answer.revisions)
    }

    async fn read_about<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<T, OnlineKeyringError> {
        let about = async {
            let target = self.api(path)?;
            let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(Message::get())).await?;
            response.into_json(&target)
        };
        about.await.map_err(|error| OnlineKeyringError::of(error, self.client()))
    }
}
