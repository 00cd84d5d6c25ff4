//! The entries, encrypted, and the key for them.

use countersign_protocol::envelope::aes_gcm::{SealingKey, SecretBytes};
use countersign_protocol::keyring_document::KeyringContent;
use countersign_protocol::ports::{Random, random_bytes};
use countersign_protocol::strict::base64url;
use serde_json::Value;

use super::error::DocumentError;
use crate::keyring::content::{decode, encode};
use crate::keyring::{Entry, KeyringError};

const AAD: &[u8] = b"countersign keyring v2 content";

/// The key of the content: 32 random bytes. A new one for each set of slots.
pub struct ContentKey(SecretBytes);

impl ContentKey {
    /// A fresh key.
    pub fn generate(random: &dyn Random) -> Self {
        Self(SecretBytes::filled(|place| random.fill(place)))
    }

    /// Encrypts the entries under a fresh nonce.
    ///
    /// # Errors
    /// When an entry cannot be written as JSON.
    pub fn seal(
        &self,
        entries: &[Entry],
        random: &dyn Random,
    ) -> Result<KeyringContent, KeyringError> {
        let nonce = random_bytes(random);
        let ciphertext = self.cipher().seal(nonce, AAD, &encode(entries)?);
        Ok(KeyringContent { nonce, ciphertext })
    }

    /// Decrypts the entries.
    ///
    /// # Errors
    /// When the content was not encrypted under this key, or holds no entries.
    pub fn open(&self, content: &KeyringContent) -> Result<Vec<Entry>, DocumentError> {
        let opened = self.cipher().open(content.nonce, AAD, &content.ciphertext);
        let text = opened.map_err(|_| DocumentError::Damaged("content"))?;
        Ok(decode(&text)?)
    }

    pub(super) const fn from_secret(secret: SecretBytes) -> Self {
        Self(secret)
    }

    pub(super) fn reveal(&self) -> &[u8; 32] {
        self.0.reveal()
    }

    fn cipher(&self) -> SealingKey {
        SealingKey::from_bytes(self.0.reveal())
    }
}

/// The members by which the server takes a content.
pub(crate) fn to_members(content: &KeyringContent) -> [(&'static str, Value); 2] {
    [
        ("nonce", base64url::encode(&content.nonce).into()),
        ("ciphertext", base64url::encode(&content.ciphertext).into()),
    ]
}
