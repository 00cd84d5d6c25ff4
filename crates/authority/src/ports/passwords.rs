//! Accounts with passwords.

use std::net::IpAddr;

use async_trait::async_trait;
use countersign_protocol::{AccountId, Scopes};
use thiserror::Error;

use super::{CreateAccountError, StoreError};
use crate::model::{
    account::{Account, AccountName, Username},
    audit::AuditEvent,
    email::Email,
    invitation::CodeHash,
};

/// Accounts with passwords.
#[async_trait]
pub trait PasswordStore: Send + Sync {
    /// Creates an account with a password and without a key. Other accounts may have the same
    /// address: nobody has proven that it is theirs.
    async fn create_password_account(
        &self,
        new: NewPasswordAccount,
    ) -> Result<(), CreatePasswordAccountError>;

    /// The account with that name and the hash of its password, which may match nothing.
    async fn password(&self, name: &AccountName) -> Result<Option<(Account, String)>, StoreError>;

    /// Records a login at the time of its event: the times of last use, the entry in the log of
    /// logins, and the event. `false`, and nothing is recorded, when the account is not active or its
    /// password is another one by now.
    async fn record_password_login(&self, login: PasswordLogin) -> Result<bool, StoreError>;
}

/// An account with a password, to be created.
#[derive(Clone)]
pub struct NewPasswordAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub username: Username,
    /// The address that it is known by.
    pub email: Email,
    /// Its scopes.
    pub scopes: Scopes,
    /// The hash of its password.
    pub password_hash: String,
    /// The invitation that the registration redeems. Its scopes are added.
    pub invitation: Option<CodeHash>,
    /// What the audit trail says; its time is the time of registration.
    pub event: AuditEvent,
}

/// Why an account with a password was not created.
#[derive(Debug, Error)]
pub enum CreatePasswordAccountError {
    /// The invitation is unknown, used, expired, or for another username.
    #[error("the invitation cannot be used")]
    InvitationUnusable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An account has that name.
    #[error("the username is taken")]
    UsernameTaken,
}

impl From<CreatePasswordAccountError> for CreateAccountError {
    fn from(error: CreatePasswordAccountError) -> Self {
        match error {
            CreatePasswordAccountError::InvitationUnusable => Self::InvitationUnusable,
            CreatePasswordAccountError::Store(error) => Self::Store(error),
            CreatePasswordAccountError::UsernameTaken => Self::UsernameTaken,
        }
    }
}

/// A login with a password, to be recorded.
#[derive(Clone)]
pub struct PasswordLogin {
    /// The account that logs in.
    pub account_id: AccountId,
    /// The hash of the password that was compared.
    pub password_hash: String,
    /// The client's address.
    pub address: IpAddr,
    /// What the audit trail says; its time is the time of the login.
    pub event: AuditEvent,
}
