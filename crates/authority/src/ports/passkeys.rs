//! Passkeys.

use async_trait::async_trait;
use countersign_protocol::{
    AccountId, ReplayEntry,
    keys::Thumbprint,
    proofs::webauthn::{CredentialId, RpId},
};
use thiserror::Error;

use super::{
    StoreError,
    credentials::{AddCredentialError, KeyLimits},
    record_login::RecordLoginError,
    step_up::{Permit, UsePasskeyError},
};
use crate::model::{account::Account, audit::AuditEvent, credential::Credential, passkey::Passkey};

/// Passkeys. Their keys are credentials, of which [`CredentialStore`](super::CredentialStore) knows.
#[async_trait]
pub trait PasskeyStore: Send + Sync {
    /// The passkey of that id, live or revoked, with its key and its account. Of a passkey that was
    /// revoked long since there is no more than its key's thumbprint.
    async fn passkey(&self, id: &CredentialId) -> Result<Option<KnownPasskey>, StoreError>;

    /// The passkeys that the owner may see, oldest first: the live ones of the account and those that
    /// it revoked last.
    async fn passkeys_of(&self, id: AccountId) -> Result<Vec<OwnPasskey>, StoreError>;

    /// Adds a passkey to an account, as [`add_credential`](super::CredentialStore::add_credential)
    /// adds a key, and records its challenge and the step-up as used.
    async fn add_passkey(
        &self,
        new: NewPasskey,
        limits: KeyLimits,
        permit: Permit,
    ) -> Result<(), AddPasskeyError>;

    /// A relying party other than `rp_id`, or any if that is `None`, that live passkeys were made for, and
    /// how many these are.
    async fn passkeys_of_others(
        &self,
        rp_id: Option<&RpId>,
    ) -> Result<Option<(String, u64)>, StoreError>;
}

/// A passkey of an account that is known.
#[derive(Clone, Debug)]
pub struct OwnPasskey {
    /// The thumbprint of its key.
    pub thumbprint: Thumbprint,
    /// Whether it is not revoked.
    pub is_live: bool,
    /// All else.
    pub passkey: Passkey,
}

/// A passkey, its key and its account.
#[derive(Clone, Debug)]
pub struct KnownPasskey {
    /// The passkey.
    pub passkey: Passkey,
    /// Its key.
    pub credential: Credential,
    /// Its account.
    pub account: Account,
}

/// A passkey to be added.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// Its key.
    pub credential: Credential,
    /// All else.
    pub passkey: Passkey,
    /// The challenge that it was made with, which must not have been used.
    pub challenge: ReplayEntry,
    /// What the audit trail says.
    pub event: AuditEvent,
}

/// Why a passkey was not added.
#[derive(Debug, Error)]
pub enum AddPasskeyError {
    /// The challenge that it was made with was answered before.
    #[error(transparent)]
    Challenge(RecordLoginError),
    /// The key cannot be added.
    #[error(transparent)]
    Credential(#[from] AddCredentialError),
    /// A passkey of any account has that id.
    #[error("a passkey with that id is registered already")]
    IdTaken,
}

impl From<UsePasskeyError> for AddPasskeyError {
    fn from(error: UsePasskeyError) -> Self {
        AddCredentialError::from(error).into()
    }
}

impl From<StoreError> for AddPasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Credential(error.into())
    }
}
