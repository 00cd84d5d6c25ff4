//! The vault: one master key, from which every other secret of the server follows.

use std::{fmt, num::ParseIntError};

use argon2::{Algorithm, Argon2, Params, Version};
use countersign_protocol::{
    AccountId, UnixTime,
    envelope::aes_gcm::{RootKey, SealingKey, SecretBytes},
    ports::{Random, random_bytes},
    strict::{base64, base64url},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    dialects::{
        gradecoin::registration_key::{self, RegistrationKeyError},
        passwordless::server_keys::{self, ServerKeyError},
    },
    keys::signing::{SigningKeyError, reseal},
    model::{
        audit::{AuditEvent, EventKind},
        key_life::SealedSigningKey,
    },
    ports::{SigningKeyStore, StoreError, VaultRecord, VaultStore},
};

const CHECK_TEXT: &[u8] = b"countersign vault, version 1";

/// A master key as the operator gave it.
pub struct MasterKey(Form);

/// A shorter passphrase can be guessed, although Argon2id makes each guess dear.
const MIN_PASSPHRASE_CHARS: usize = 20;
/// A passphrase of fewer different characters is one that somebody has padded.
const MIN_DIFFERENT_CHARS: usize = 8;

enum Form {
    Bytes(SecretBytes),
    Passphrase(Zeroizing<String>),
}

impl MasterKey {
    /// A fresh one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(Form::Bytes(SecretBytes::filled(|place| random.fill(place))))
    }

    /// Reads 32 bytes as 64 hexadecimal digits or as base64; any other text is a passphrase, which
    /// Argon2id stretches with the salt of the vault.
    ///
    /// # Errors
    /// When the text is empty.
    pub fn parse(text: &str) -> Result<Self, EmptyMasterKey> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmptyMasterKey);
        }
        let bytes = from_hex(text)
            .or_else(|| exact(&Zeroizing::new(base64::decode(text).ok()?)))
            .or_else(|| exact(&Zeroizing::new(base64url::decode(text).ok()?)));
        Ok(Self(match bytes {
            Some(bytes) => Form::Bytes(bytes),
            None => Form::Passphrase(Zeroizing::new(text.to_owned())),
        }))
    }

    /// Whether somebody who has the database could find it by guessing: a short passphrase.
    pub fn is_weak(&self) -> bool {
        let Form::Passphrase(text) = &self.0 else { return false };
        let mut different: Vec<char> = text.chars().collect();
        different.sort_unstable();
        different.dedup();
        text.chars().count() < MIN_PASSPHRASE_CHARS || different.len() < MIN_DIFFERENT_CHARS
    }

    /// The text that [`Self::parse`] reads back, to be written to the key file.
    pub fn reveal(&self) -> Zeroizing<String> {
        match &self.0 {
            Form::Bytes(bytes) => Zeroizing::new(base64::encode(bytes.reveal())),
            Form::Passphrase(text) => text.clone(),
        }
    }

    fn stretch(&self, salt: &[u8; 16]) -> Result<RootKey, VaultError> {
        let root = match &self.0 {
            Form::Bytes(bytes) => {
                SecretBytes::filled(|place| place.copy_from_slice(bytes.reveal()))
            }
            Form::Passphrase(text) => SecretBytes::try_filled(|place| {
                let params = Params::new(64 * 1024, 3, 1, Some(place.len()))?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    text.as_bytes(),
                    salt,
                    place,
                )
            })
            .map_err(VaultError::Kdf)?,
        };
        Ok(RootKey::new(root))
    }
}

/// An empty text is no master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the master key is empty")]
pub struct EmptyMasterKey;

fn exact(bytes: &[u8]) -> Option<SecretBytes> {
    (bytes.len() == 32).then(|| SecretBytes::filled(|place| place.copy_from_slice(bytes)))
}

fn from_hex(text: &str) -> Option<SecretBytes> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    SecretBytes::try_filled(|bytes| {
        for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16)?;
        }
        Ok::<_, ParseIntError>(())
    })
    .ok()
}

/// The open vault.
pub struct Vault {
    root: RootKey,
    is_new: bool,
}

impl Vault {
    /// Opens the vault of a store with `master`, or makes it when the store has none.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] when the vault was made with another master key.
    pub async fn open(
        store: &dyn VaultStore,
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<Self, VaultError> {
        if let Some(record) = store.vault().await? {
            return Self::open_record(&record, master);
        }
        let (vault, record) = Self::create(master, random)?;
        if store.create_vault(&record).await? {
            return Ok(vault);
        }
        // Another server was faster; its record is the one to open.
        let record = store.vault().await?.ok_or(VaultError::WrongMasterKey)?;
        Self::open_record(&record, master)
    }

    /// Changes the master key of a store: seals every signing key, every account's key pair and
    /// that of sealed registrations anew, in one transaction.
    ///
    /// # Errors
    /// When `old` is not the present master key, or the store fails; then nothing has changed.
    pub async fn change_master_key(
        (vaults, keys): (&dyn VaultStore, &dyn SigningKeyStore),
        old: &MasterKey,
        new: &MasterKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), VaultError> {
        let record = vaults.vault().await?.ok_or(VaultError::Empty)?;
        let old = Self::open_record(&record, old)?;
        let (new, record) = Self::create(new, random)?;
        let mut resealed: Vec<SealedSigningKey> = Vec::new();
        for key in keys.signing_keys().await? {
            resealed.push(reseal(&key, &old, &new, random)?);
        }
        let mut server_keys = Vec::new();
        for (id, key) in vaults.server_keys().await? {
            server_keys.push((id, server_keys::reseal(id, &key, &old, &new, random)?));
        }
        let registration_key = match vaults.registration_key().await? {
            Some(key) => Some(registration_key::reseal(&key, &old, &new, random)?),
            None => None,
        };
        let registration_key = registration_key.as_ref();
        let event = AuditEvent::new(now, EventKind::MasterKeyChanged);
        let replaced =
            vaults.replace_vault(&record, &resealed, &server_keys, registration_key, event).await;
        Ok(replaced?)
    }

    /// What a store has that only its master key opens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contents(
        (vaults, keys): (&dyn VaultStore, &dyn SigningKeyStore),
    ) -> Result<VaultContents, StoreError> {
        let server_keys = vaults.server_keys().await?;
        Ok(VaultContents {
            signing_keys: keys.signing_keys().await?.len(),
            server_keys: server_keys.into_iter().map(|(account, _)| account).collect(),
            has_registration_key: vaults.registration_key().await?.is_some(),
        })
    }

    /// Gives up the master key of a store, which is lost, and everything that only it opens, and makes
    /// a vault for `new`: in one transaction. The next start makes new signing keys.
    ///
    /// # Errors
    /// When there is no vault, or the store fails; then nothing has changed.
    pub async fn abandon(
        (vaults, keys): (&dyn VaultStore, &dyn SigningKeyStore),
        new: &MasterKey,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), VaultError> {
        vaults.vault().await?.ok_or(VaultError::Empty)?;
        let lost = Self::contents((vaults, keys)).await?;
        let (_, record) = Self::create(new, random)?;
        let event = AuditEvent::new(now, EventKind::MasterKeyAbandoned);
        let event = event.detail(format!("by an administrator; lost: {lost}"));
        Ok(vaults.replace_vault(&record, &[], &[], None, event).await?)
    }

    /// Whether the store had no vault before: nothing was ever signed for it.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The key for one purpose.
    pub fn key(&self, purpose: &str) -> SealingKey {
        self.root.derive(purpose)
    }

    fn create(master: &MasterKey, random: &dyn Random) -> Result<(Self, VaultRecord), VaultError> {
        let salt = random_bytes(random);
        let nonce = random_bytes(random);
        let vault = Self { root: master.stretch(&salt)?, is_new: true };
        let check = vault.key("vault check").seal(nonce, &salt, CHECK_TEXT);
        Ok((vault, VaultRecord { salt, nonce, check }))
    }

    fn open_record(record: &VaultRecord, master: &MasterKey) -> Result<Self, VaultError> {
        let vault = Self { root: master.stretch(&record.salt)?, is_new: false };
        let check = vault.key("vault check").open(record.nonce, &record.salt, &record.check);
        match check {
            Ok(text) if *text == CHECK_TEXT => Ok(vault),
            Ok(_) | Err(_) => Err(VaultError::WrongMasterKey),
        }
    }
}

/// What only the master key opens. Accounts, their keys and their passwords are not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultContents {
    /// How many signing keys.
    pub signing_keys: usize,
    /// The accounts that the server has a key pair of their own for, as *passwordless* has it.
    pub server_keys: Vec<AccountId>,
    /// Whether there is a key pair for sealed registrations, as *gradecoin* has it.
    pub has_registration_key: bool,
}

impl fmt::Display for VaultContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signing_keys, server_keys, has_registration_key } = self;
        write!(f, "{signing_keys} signing keys, {} key pairs for accounts", server_keys.len())?;
        if *has_registration_key {
            f.write_str(", the key pair for sealed registrations")?;
        }
        Ok(())
    }
}

/// Why the vault does not open.
#[derive(Debug, Error)]
pub enum VaultError {
    /// There is no vault whose master key could be changed.
    #[error("this data directory has no master key yet; start the server once")]
    Empty,
    /// Argon2 did not accept the passphrase.
    #[error("the master key cannot be stretched: {0}")]
    Kdf(argon2::Error),
    /// An account's key pair could not be sealed anew.
    #[error(transparent)]
    ServerKey(#[from] ServerKeyError),
    /// The key pair of sealed registrations could not be sealed anew.
    #[error(transparent)]
    RegistrationKey(#[from] RegistrationKeyError),
    /// A signing key could not be sealed anew.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault was made with another master key.
    #[error("wrong master key: this data directory was made with another one")]
    WrongMasterKey,
}
