//! Another master key for a store, or a new start where it is lost.

use std::fmt;

use countersign_protocol::{AccountId, UnixTime, ports::Random};
use thiserror::Error;

use crate::{
    keys::vault::{MasterKey, Vault, VaultError},
    model::audit::{AuditEvent, EventKind},
    ports::{
        ChangeSigningKeysError, ServerKeyOwners, SigningKeyStore, StoreError, StoredSigningKeys,
        VaultStore,
    },
};

/// How many accounts are named whose key pairs are lost.
const NAMED: u32 = 20;

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
    /// Changes the master key: seals the roots of the vault with `new`, and another root with them, from
    /// which the keys follow for what is sealed from now on. What is sealed already stays as it is, and
    /// opens as before, however much there is.
    ///
    /// # Errors
    /// When `old` is not the present master key, or the store fails; then nothing has changed.
    pub async fn change_master_key(
        self,
        old: &MasterKey,
        new: &MasterKey,
    ) -> Result<OldMasterKey, RekeyError> {
        let present = self.vaults.vault().await?.ok_or(RekeyError::Empty)?;
        let vault = Vault::open_record(&present, old)?;
        let left = if vault.is_first_form() {
            OldMasterKey::OpensWhatWasSealedBefore
        } else {
            OldMasterKey::OpensNothing
        };
        let next = vault.succeed(new, self.random)?;
        let event = AuditEvent::new(self.now, EventKind::MasterKeyChanged);
        let changed = self.vaults.change_vault(&present, &next, event).await?;
        changed.then_some(left).ok_or(RekeyError::Stale)
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
        let ServerKeyOwners { count, first } = self.vaults.server_key_owners(NAMED).await?;
        Ok(VaultContents {
            signing_keys,
            server_keys: count,
            some_with_server_key: first,
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
        Ok(self.vaults.abandon_vault(&record, version, event).await?)
    }
}

/// What the old master key is worth after a change, to somebody who gets the database as it is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldMasterKey {
    /// Nothing.
    OpensNothing,
    /// The vault had the first form, in which the master key was the root itself: whatever was sealed
    /// before the change still opens with it.
    OpensWhatWasSealedBefore,
}

/// The parts that only the master key opens. Accounts, their keys and their passwords are not among
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultContents {
    /// How many signing keys.
    pub signing_keys: usize,
    /// How many accounts the server has a key pair of their own for.
    pub server_keys: usize,
    /// Some of them: 20 at most.
    pub some_with_server_key: Vec<AccountId>,
    /// Whether there is a key pair for sealed registrations.
    pub has_registration_key: bool,
    /// Whether there is a secret of online keyrings.
    pub has_opaque_setup: bool,
}

impl fmt::Display for VaultContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signing_keys, server_keys, has_registration_key, has_opaque_setup, .. } = self;
        write!(f, "{signing_keys} signing keys, {server_keys} key pairs for accounts")?;
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
    /// Another process changed the master key or the signing keys after they were read.
    #[error("another process changed the vault or the signing keys at the same time; try again")]
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
