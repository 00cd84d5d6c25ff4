//! Invitations, and what a recovery does.

use async_trait::async_trait;
use countersign_protocol::{AccountId, keys::Thumbprint};
use thiserror::Error;

use super::StoreError;
use crate::model::{
    account::Username,
    audit::AuditEvent,
    credential::Credential,
    invitation::{CodeHash, Invitation},
};

/// Invitations.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Keeps a new invitation.
    async fn create_invitation(
        &self,
        invitation: &Invitation,
        event: AuditEvent,
    ) -> Result<(), StoreError>;

    /// Keeps new invitations, all of them or none.
    async fn create_invitations(
        &self,
        invitations: &[(Invitation, AuditEvent)],
    ) -> Result<(), StoreError>;

    /// The invitation of that hash, used or not.
    async fn invitation(&self, code_hash: &CodeHash) -> Result<Option<Invitation>, StoreError>;

    /// Invitations, newest first, at most `limit`.
    async fn invitations(&self, limit: u32) -> Result<Vec<Invitation>, StoreError>;

    /// Removes an unused invitation. `false` when there is none.
    async fn withdraw_invitation(
        &self,
        code_hash: &CodeHash,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Stores the invitation to recover an account, in place of an unused one for the same account.
    /// An administrator vouches for the account by that, whether it was ever used or not.
    async fn create_recovery(
        &self,
        recovery: &Invitation,
        event: AuditEvent,
    ) -> Result<(), StoreError>;

    /// The unused invitation to recover the account of that name, if there is one.
    async fn recovery(&self, username: &Username) -> Result<Option<Invitation>, StoreError>;

    /// Gives an active account a new secret, uses the invitation up, and revokes everything else that
    /// logs in to the account if the invitation says so: its keys, which are returned, and its
    /// password. Each key is an event of its own. Where a password is replaced or everything else
    /// revoked, every token that the account got before ends.
    async fn recover(&self, recovery: AccountRecovery) -> Result<Vec<Thumbprint>, RecoverError>;
}

/// A new way into an account.
#[derive(Clone, Debug)]
pub struct AccountRecovery {
    /// The account.
    pub account_id: AccountId,
    /// The invitation to use up. It must be an unused one to recover this very account, unexpired
    /// at the time of the event.
    pub code_hash: CodeHash,
    /// The new key or password.
    pub secret: NewSecret,
    /// How many live keys the account may have.
    pub max_keys: usize,
    /// The audit event; the events of single keys are made like it.
    pub event: AuditEvent,
}

/// The new credential of a recovered account.
#[derive(Clone, Debug)]
pub enum NewSecret {
    /// A key, which was proven.
    Key(Box<Credential>),
    /// A password, by its hash.
    Password(String),
}

/// Why an account was not recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// No such invitation, or used, expired, or for another account; or the account is disabled.
    #[error("the recovery code does not work")]
    CodeUnusable,
    /// The key belongs to an account already, live or revoked.
    #[error("the key is registered already")]
    KeyTaken,
    /// The account has as many live keys as it may.
    #[error("the account has as many keys as it may have")]
    LimitReached,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
