//! Accounts and how they come to be.

use async_trait::async_trait;
use countersign_protocol::{AccountId, Scopes, UnixTime};
use thiserror::Error;

use super::{NewPasskey, StoreError};
use crate::model::{
    account::{Account, AccountName, AccountStatus, Fingerprint, Username},
    audit::AuditEvent,
    credential::Credential,
    invitation::CodeHash,
    key_life::SealedServerKey,
};

/// Accounts and how they come to be.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Creates an account with its first credential, and uses up the invitation if there is one.
    ///
    /// The key was proven. Accounts that only claim it lose it.
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError>;

    /// The same, for a key that the account only claims until it signs something. Others may claim
    /// the same key; none may have proven it.
    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError>;

    /// The account of that name, be it an id, a username or a fingerprint.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// Accounts in the order of their folded usernames, after `after`, at most `limit`.
    async fn accounts(
        &self,
        after: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    /// Removes accounts that anybody could make and nobody has ever used: registered at `before` or
    /// earlier without an invitation and without a proof of the key; since then no key was proven,
    /// nobody logged in, and the account was not disabled.
    ///
    /// Looks at no more than `limit`, the oldest first, records one event at `now` if any go, and
    /// returns how many went and whether there may be more.
    async fn expire_unused(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<(u64, bool), StoreError>;

    /// Sets the status. `false` when there is no such account.
    async fn set_status(
        &self,
        id: AccountId,
        status: AccountStatus,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Replaces the scopes `present` of an account. Returns `false` and does nothing when there is no
    /// such account, or it has other scopes by now: somebody else has changed them.
    async fn replace_scopes(
        &self,
        id: AccountId,
        present: &Scopes,
        scopes: &Scopes,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;
}

/// An account to be created.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub username: Username,
    /// Its scopes. The store adds the scopes of the invitation.
    pub scopes: Scopes,
    /// Its first key.
    pub credential: Credential,
    /// The invitation to use up. It must exist, be unused, unexpired at `credential.created_at`
    /// and open to this username.
    pub invitation: Option<CodeHash>,
    /// A passkey that the account has from the beginning, besides its first key. Its challenge must not
    /// have been used.
    pub passkey: Option<Box<NewPasskey>>,
    /// Another name for the account and its first key: the fingerprint of the key's text.
    pub alias: Option<Fingerprint>,
    /// The key pair that the server made for this account alone.
    pub server_key: Option<SealedServerKey>,
    /// What the audit trail says.
    pub event: AuditEvent,
}

/// Why an account was not created.
#[derive(Debug, Error)]
pub enum CreateAccountError {
    /// The challenge of the passkey was answered before.
    #[error("the challenge of the passkey was answered before")]
    ChallengeUsed,
    /// No such invitation, or used, expired, or meant for another username.
    #[error("the enrolment code does not work")]
    InvitationUnusable,
    /// The key belongs to an account already, live or revoked.
    #[error("the key is registered already")]
    KeyTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An account has that name.
    #[error("the username is taken")]
    UsernameTaken,
}
