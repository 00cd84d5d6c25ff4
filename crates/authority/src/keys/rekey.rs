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
    model::{
        audit::{AuditEvent, EventKind},
        key_life::SealedServerKey,
    },
    ports::{
        ChangeSigningKeysError, SealedSecrets, SigningKeyStore, StoreError, StoredSigningKeys,
        VaultStore,
    },
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
    /// Changes the master key: seals every signing key, every account's key pair, that of sealed
    /// registrations and the secret of online keyrings anew, in one transaction.
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
        let mut secrets = SealedSecrets::default();
        let StoredSigningKeys { version, keys } = self.signing_keys.signing_keys().await?;
        for key in keys {
            secrets.signing_keys.push(reseal(&key, &old, &new, random)?);
        }
        let reseal = |kind: SecretKind, key: &SealedServerKey| kind.reseal(key, &old, &new, random);
        for (id, key) in vaults.server_keys().await? {
            secrets.server_keys.push((id, reseal(SecretKind::OfAccount(id), &key)?));
        }
        if let Some(key) = vaults.registration_key().await? {
            secrets.registration_key = Some(reseal(SecretKind::Registration, &key)?);
        }
        if let Some(setup) = vaults.opaque_setup().await? {
            secrets.opaque_setup = Some(reseal(SecretKind::Opaque, &setup)?);
        }
        let event = AuditEvent::new(self.now, EventKind::MasterKeyChanged);
        Ok(vaults.replace_vault(&record, &secrets, version, event).await?)
    }

    /// What the store has that only its master key opens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contents(self) -> Result<VaultContents, StoreError> {
        let signing_keys = self.signing_keys.signing_keys().await?.keys.len();
        self.contents_beside(signing_keys).await
    }

    async fn contents_beside(self, signing_keys: usize) -> Result<VaultContents, StoreError> {
        let server_keys = self.vaults.server_keys().await?;
        Ok(VaultContents {
            signing_keys,
            server_keys: server_keys.into_iter().map(|(account, _)| account).collect(),
            has_registration_key: self.vaults.registration_key().await?.is_some(),
            has_opaque_setup: self.vaults.opaque_setup().await?.is_some(),
        })
    }

    /// Gives up the master key, which is lost, and everything that only it opens, and makes a vault
    /// for `new`: in one transaction. The next start makes new signing keys.
    ///
    /// # Errors
    /// When there is no vault, or the store fails; then nothing has changed.
    pub async fn abandon(self, new: &MasterKey) -> Result<(), RekeyError> {
        self.vaults.vault().await?.ok_or(RekeyError::Empty)?;
        let StoredSigningKeys { version, keys } = self.signing_keys.signing_keys().await?;
        let lost = self.contents_beside(keys.len()).await?;
        let (_, record) = Vault::create(new, self.random)?;
        let event = AuditEvent::new(self.now, EventKind::MasterKeyAbandoned);
        let event = event.detail(format!("by an administrator; lost: {lost}"));
        let nothing = SealedSecrets::default();
        Ok(self.vaults.replace_vault(&record, &nothing, version, event).await?)
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
    /// Whether there is a secret of online keyrings.
    pub has_opaque_setup: bool,
}

impl fmt::Display for VaultContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signing_keys, server_keys, has_registration_key, has_opaque_setup } = self;
        write!(f, "{signing_keys} signing keys, {} key pairs for accounts", server_keys.len())?;
        if *has_registration_key {
            f.write_str(", the key pair for sealed registrations")?;
        }
        if *has_opaque_setup {
            f.write_str(", the secret of online keyrings")?;
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
    /// The signing keys were changed after they were read.
    #[error(
        "another process changed the signing keys at the same time; the master key is the old one"
    )]
    Stale,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault does not open, or cannot be made.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<ChangeSigningKeysError> for RekeyError {
    fn from(error: ChangeSigningKeysError) -> Self {
        match error {
            ChangeSigningKeysError::Stale => Self::Stale,
            ChangeSigningKeysError::Store(error) => Self::Store(error),
        }
    }
}
