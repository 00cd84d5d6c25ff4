//! The key of sealed registrations: one RSA key pair of the server, made once, sealed at rest. It
//! opens the texts that clients seal for it. It is also the key of the MACs that are stored in
//! place of the one-time passwords of invitations. Both outlive a change of the master key.

use countersign_protocol::{
    digest::sha256,
    envelope::{
        aes_cbc_oaep::{NotAnOpeningKey, OpeningKey},
        aes_gcm::SealingKey,
    },
    keys::{KeyError, KeyPolicy, NewKey, PrivateKey},
    ports::Random,
};
use thiserror::Error;

use crate::{
    keys::{
        sealed_secret::{DamagedSecret, SecretKind},
        vault::Vault,
    },
    model::{
        account::Username,
        invitation::{CodeHash, OneTimePassword},
        key_life::SealedServerKey,
    },
    ports::{StoreError, VaultStore},
};

const KIND: SecretKind = SecretKind::Registration;

/// The key pair of sealed registrations. It can be neither printed nor cloned.
pub struct RegistrationKey {
    public_pem: String,
    pub(crate) opening: OpeningKey,
    passwords: SealingKey,
}

impl RegistrationKey {
    /// Opens the key pair of a store, or makes it when the store has none.
    ///
    /// # Errors
    /// When it does not open with `vault`, or the store fails.
    pub async fn open(
        store: &dyn VaultStore,
        vault: &Vault,
        random: &dyn Random,
    ) -> Result<Self, RegistrationKeyError> {
        if let Some(sealed) = store.registration_key().await? {
            return Self::unseal(&sealed, vault);
        }
        let made = tokio::task::spawn_blocking(|| PrivateKey::generate(NewKey::Rsa2048)).await;
        let document = made.map_err(|_| KeyError::GenerationFailed)??.to_pkcs8_der();
        store.create_registration_key(&KIND.seal(&KIND.keys(vault), &document, random)).await?;
        // Another process may have been faster; what the store has is the one.
        let sealed = store.registration_key().await?.ok_or(DamagedSecret::Registration)?;
        Self::unseal(&sealed, vault)
    }

    /// The public half as SPKI in PEM: for whom clients seal.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The value that is stored of an invitation for `username` with `password`.
    pub fn password_hash(&self, username: &Username, password: &OneTimePassword) -> CodeHash {
        self.hash(&username.folded(), password.reveal())
    }

    /// The same, for the name and password that a client sends.
    pub(crate) fn hash(&self, folded_name: &str, password: &str) -> CodeHash {
        CodeHash(self.passwords.mac(&[folded_name.as_bytes(), password.as_bytes()]))
    }

    fn unseal(sealed: &SealedServerKey, vault: &Vault) -> Result<Self, RegistrationKeyError> {
        let document = KIND.open(&KIND.keys(vault), sealed)?;
        let key = PrivateKey::from_pkcs8_der(&document, &KeyPolicy::default())?;
        let secret = sha256(&[b"countersign one-time passwords\0", &document]);
        Ok(Self {
            public_pem: key.public_key().to_spki_pem(),
            opening: OpeningKey::from_pkcs8_der(&document)?,
            passwords: SealingKey::from_bytes(&secret),
        })
    }
}

/// Why there is no key for sealed registrations.
#[derive(Debug, Error)]
pub enum RegistrationKeyError {
    /// The key pair does not open.
    #[error(transparent)]
    Damaged(#[from] DamagedSecret),
    /// A key pair could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key pair opens nothing.
    #[error(transparent)]
    Opening(#[from] NotAnOpeningKey),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
