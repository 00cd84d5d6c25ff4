//! The vault: what every other secret of the server follows from, and the master key that opens it.

use std::num::ParseIntError;

use argon2::{Algorithm, Argon2, Params, Version};
use countersign_protocol::{
    envelope::aes_gcm::{RootKey, SealingKey, SecretBytes},
    ports::{Random, random_bytes},
    strict::{base64, base64url},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    keys::{purpose_keys::PurposeKeys, roots::Roots},
    ports::{StoreError, VaultRecord, VaultStore},
};

/// The name of the master key's key that seals the roots.
const ROOTS: &str = "vault roots";
/// In the first form of the record, the master key itself was the root, and sealed a known text.
const FIRST_FORM: &str = "vault check";
const FIRST_FORM_TEXT: &[u8] = b"countersign vault, version 1";

/// A master key as the operator gave it.
pub struct MasterKey(Form);

/// A shorter passphrase can be guessed, although Argon2id makes each guess dear.
const MIN_PASSPHRASE_CHARS: usize = 20;
/// A passphrase with fewer different characters was only padded.
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
    roots: Roots,
    /// Whether the store had none before.
    is_new: bool,
    /// Whether the record has the first form.
    is_first_form: bool,
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

    /// Whether the store had no vault before: nothing was ever signed for it.
    pub(crate) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the master key itself is the root, as in the first form of the record.
    pub(super) const fn is_first_form(&self) -> bool {
        self.is_first_form
    }

    /// The key for one purpose, which lasts until the master key is changed.
    pub fn key(&self, purpose: &str) -> SealingKey {
        self.roots.newest().derive(purpose)
    }

    /// The keys for secrets at rest of one purpose, which open them whenever they were sealed.
    pub(crate) fn keys(&self, purpose: &str) -> PurposeKeys {
        self.roots.keys(purpose)
    }

    pub(super) fn create(
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<(Self, VaultRecord), VaultError> {
        let vault = Self { roots: Roots::fresh(random), is_new: true, is_first_form: false };
        let record = vault.record(master, random)?;
        Ok((vault, record))
    }

    /// The record of this vault with another master key, and with another root for whatever is sealed from
    /// now on: who knows the roots of before knows nothing of that.
    pub(super) fn succeed(
        self,
        master: &MasterKey,
        random: &dyn Random,
    ) -> Result<VaultRecord, VaultError> {
        let roots = self.roots.with_another(random);
        Self { roots, ..self }.record(master, random)
    }

    pub(super) fn open_record(
        record: &VaultRecord,
        master: &MasterKey,
    ) -> Result<Self, VaultError> {
        let VaultRecord { salt, nonce, sealed_roots } = record;
        let master = master.stretch(salt)?;
        if let Some(roots) = Roots::open(&master.derive(ROOTS), *nonce, salt, sealed_roots) {
            return Ok(Self { roots, is_new: false, is_first_form: false });
        }
        match master.derive(FIRST_FORM).open(*nonce, salt, sealed_roots) {
            Ok(text) if *text == FIRST_FORM_TEXT => {
                Ok(Self { roots: Roots::one(master), is_new: false, is_first_form: true })
            }
            Ok(_) | Err(_) => Err(VaultError::WrongMasterKey),
        }
    }

    fn record(&self, master: &MasterKey, random: &dyn Random) -> Result<VaultRecord, VaultError> {
        let (salt, nonce) = (random_bytes(random), random_bytes(random));
        let key = master.stretch(&salt)?.derive(ROOTS);
        Ok(VaultRecord { salt, nonce, sealed_roots: self.roots.seal(&key, nonce, &salt) })
    }
}

/// Why the vault does not open.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Argon2 did not accept the passphrase.
    #[error("the master key cannot be stretched: {0}")]
    Kdf(argon2::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault was made with another master key.
    #[error("wrong master key: this data directory was made with another one")]
    WrongMasterKey,
}
