//! Another master key for a store: everything that is sealed is sealed anew, or given up.

use std::fmt;

use countersign_protocol::{AccountId, UnixTime, ports::Random};
use thiserror::Error;

use crate::{
    keys::{
        error::SigningKeyError,
        sealed_secret::{DamagedSecret, SecretKind},
        sealing::reseal,
        vault::{MasterKey, Vault, VaultError},
    },
    model::audit::{AuditEvent, EventKind},
    ports::{SigningKeyStore, StoreError, VaultStore},
};

/// A change of the master key of a store.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "each field is what its type documents")]
pub struct Rekey<'a> {
    pub vaults: &'a dyn VaultStore,
    pub signing_keys: &'a dyn SigningKeyStore,
    pub now: UnixTime,
    pub random: &'a dyn Random,
}

impl Rekey<'_> {
    /// Changes the master key: seals every signing key, every account's key pair and that of sealed
    /// registrations anew, in one transaction.
    ///
    /// # Errors
    /// When `old` is not the present master key, or the store fails; then nothing has changed.
    pub async fn change_master_key(
        self,
        old: &MasterKey,
        new: &MasterKey,
    ) -> Result<(), RekeyError> {
        let Self { vaults, random, .. } = self;
        let record = vaults.vault().await?.ok_or(RekeyError::Empty)?;
        let old = Vault::open_record(&record, old)?;
        let (new, record) = Vault::create(new, random)?;
        let mut signing_keys = Vec::new();
        for key in self.signing_keys.signing_keys().await? {
            signing_keys.push(reseal(&key, &old, &new, random)?);
        }
        let mut server_keys = Vec::new();
        for (id, key) in vaults.server_keys().await? {
            let kind = SecretKind::OfAccount(id);
            server_keys.push((id, kind.reseal(&key, &old, &new, random)?));
        }
        let registration_key = vaults.registration_key().await?;
        let registration_key = registration_key
            .map(|key| SecretKind::Registration.reseal(&key, &old, &new, random))
            .transpose()?;
        let registration_key = registration_key.as_ref();
        let event = AuditEvent::new(self.now, EventKind::MasterKeyChanged);
        let replaced = vaults
            .replace_vault(&record, &signing_keys, &server_keys, registration_key, event)
            .await;
        Ok(replaced?)
    }

    /// What the store has that only its master key opens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contents(self) -> Result<VaultContents, StoreError> {
        let server_keys = self.vaults.server_keys().await?;
        Ok(VaultContents {
            signing_keys: self.signing_keys.signing_keys().await?.len(),
            server_keys: server_keys.into_iter().map(|(account, _)| account).collect(),
            has_registration_key: self.vaults.registration_key().await?.is_some(),
        })
    }

    /// Gives up the master key, which is lost, and everything that only it opens, and makes a vault
    /// for `new`: in one transaction. The next start makes new signing keys.
    ///
    /// # Errors
    /// When there is no vault, or the store fails; then nothing has changed.
    pub async fn abandon(self, new: &MasterKey) -> Result<(), RekeyError> {
        self.vaults.vault().await?.ok_or(RekeyError::Empty)?;
        let lost = self.contents().await?;
        let (_, record) = Vault::create(new, self.random)?;
        let event = AuditEvent::new(self.now, EventKind::MasterKeyAbandoned);
        let event = event.detail(format!("by an administrator; lost: {lost}"));
        Ok(self.vaults.replace_vault(&record, &[], &[], None, event).await?)
    }
}

/// The parts that only the master key opens. Accounts, their keys and their passwords are not among
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultContents {
    /// How many signing keys.
    pub signing_keys: usize,
    /// The accounts that the server has a key pair of their own for.
    pub server_keys: Vec<AccountId>,
    /// Whether there is a key pair for sealed registrations.
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

/// Why the master key stays.
#[derive(Debug, Error)]
pub enum RekeyError {
    /// There is no vault whose master key could be changed.
    #[error("this data directory has no master key yet; start the server once")]
    Empty,
    /// A key pair of the server could not be sealed anew.
    #[error(transparent)]
    Secret(#[from] DamagedSecret),
    /// A signing key could not be sealed anew.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault does not open, or cannot be made.
    #[error(transparent)]
    Vault(#[from] VaultError),
}
