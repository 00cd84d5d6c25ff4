//! The key of sealed registrations: one RSA key pair of the server, made once, sealed at rest. It
//! opens what clients seal for it, and authenticates the one-time passwords of invitations, of
//! which nothing is stored but that. Both outlive a change of the master key.

use countersign_protocol::{
    digest::sha256,
    envelope::{
        aes_cbc_oaep::{NotAnOpeningKey, OpeningKey},
        aes_gcm::SealingKey,
    },
    keys::{KeyError, KeyPolicy, NewKey, PrivateKey},
    ports::{Random, random_bytes},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    keys::vault::Vault,
    model::{
        account::Username,
        invitation::{CodeHash, OneTimePassword},
        key_life::SealedServerKey,
    },
    ports::{StoreError, VaultStore},
};

const PURPOSE: &str = "registration key";
/// Tells the ciphertext from every other.
const IDENTITY: &[u8] = b"countersign registration key\0";

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
        store.create_registration_key(&seal(&document, vault, random)).await?;
        // Another process may have been faster; what the store has is the one.
        let sealed = store.registration_key().await?.ok_or(RegistrationKeyError::Damaged)?;
        Self::unseal(&sealed, vault)
    }

    /// The public half as SPKI in PEM: for whom clients seal.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// What is stored of an invitation that names `username` and is used with `password`.
    pub fn password_hash(&self, username: &Username, password: &OneTimePassword) -> CodeHash {
        self.hash(&username.folded(), password.reveal())
    }

    /// The same, of whatever a client says they are.
    pub(crate) fn hash(&self, folded_name: &str, password: &str) -> CodeHash {
        CodeHash(self.passwords.mac(&[folded_name.as_bytes(), password.as_bytes()]))
    }

    fn unseal(sealed: &SealedServerKey, vault: &Vault) -> Result<Self, RegistrationKeyError> {
        let document = unseal(sealed, vault)?;
        let key = PrivateKey::from_pkcs8_der(&document, &KeyPolicy::default())?;
        let secret = sha256(&[b"countersign one-time passwords\0", &document]);
        Ok(Self {
            public_pem: key.public_key().to_spki_pem(),
            opening: OpeningKey::from_pkcs8_der(&document)?,
            passwords: SealingKey::from_bytes(&secret),
        })
    }
}

/// Opens `sealed` with the old vault and seals it for the new one.
pub(crate) fn reseal(
    sealed: &SealedServerKey,
    old: &Vault,
    new: &Vault,
    random: &dyn Random,
) -> Result<SealedServerKey, RegistrationKeyError> {
    Ok(seal(&unseal(sealed, old)?, new, random))
}

fn seal(document: &[u8], vault: &Vault, random: &dyn Random) -> SealedServerKey {
    let nonce = random_bytes(random);
    let ciphertext = vault.key(PURPOSE).seal(nonce, IDENTITY, document);
    SealedServerKey { ciphertext, nonce }
}

fn unseal(
    SealedServerKey { ciphertext, nonce }: &SealedServerKey,
    vault: &Vault,
) -> Result<Zeroizing<Vec<u8>>, RegistrationKeyError> {
    let opened = vault.key(PURPOSE).open(*nonce, IDENTITY, ciphertext);
    opened.map_err(|_| RegistrationKeyError::Damaged)
}

/// Why there is no key for sealed registrations.
#[derive(Debug, Error)]
pub enum RegistrationKeyError {
    /// The row was altered, or belongs to another master key.
    #[error("the registration key is damaged: it does not open with the master key")]
    Damaged,
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
