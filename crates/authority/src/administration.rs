//! What administrators do, directly on the store. A running server notices within a moment.

use std::sync::Arc;

use countersign_protocol::{
    AccountId, Scopes, UnixTime, keys::Thumbprint, principal::InvalidScopes,
};
use thiserror::Error;

use crate::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::{AuditEvent, AuditFilter, EventKind, RecordedEvent},
    credential::Credential,
    invitation::{CodeHash, EnrolmentCode, Invitation, OneTimePassword},
    keys::live_keys_added_by,
    ports::{
        AccountStore, AuditStore, CredentialStore, InvitationStore, Ports, Random,
        RevokeCredentialError, StoreError,
    },
    registration_key::RegistrationKey,
};

/// Administrative acts at one moment.
pub struct Administration {
    accounts: Arc<dyn AccountStore>,
    audit: Arc<dyn AuditStore>,
    credentials: Arc<dyn CredentialStore>,
    invitations: Arc<dyn InvitationStore>,
    random: Arc<dyn Random>,
    now: UnixTime,
}

/// An invitation to be made.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The only username that may use it.
    pub username: Option<Username>,
    /// The scopes that the account will have.
    pub scopes: Scopes,
    /// When it stops working.
    pub expires_at: UnixTime,
}

impl Administration {
    /// Acts on the stores of `ports`, at the present moment of its clock.
    pub fn new(ports: &Ports) -> Self {
        Self {
            accounts: Arc::clone(&ports.accounts),
            audit: Arc::clone(&ports.audit),
            credentials: Arc::clone(&ports.credentials),
            invitations: Arc::clone(&ports.invitations),
            random: Arc::clone(&ports.random),
            now: ports.clock.now(),
        }
    }

    /// Accounts in the order of their names, after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn accounts(
        &self,
        after: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Account>, AdminError> {
        Ok(self.accounts.accounts(after, limit).await?)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn account(&self, name: &AccountName) -> Result<Account, AdminError> {
        self.accounts.account(name).await?.ok_or(AdminError::NoAccount)
    }

    /// Disables or enables an account. Every token of a disabled account is refused.
    ///
    /// # Errors
    /// When there is no such account, or the store fails.
    pub async fn set_status(
        &self,
        name: &AccountName,
        status: AccountStatus,
    ) -> Result<(), AdminError> {
        let account = self.account(name).await?;
        let kind = match status {
            AccountStatus::Active => EventKind::AccountEnabled,
            AccountStatus::Disabled => EventKind::AccountDisabled,
        };
        let event = self.event(kind, account.id);
        existing(self.accounts.set_status(account.id, status, event).await?)
    }

    /// Adds scopes to an account. Tokens that it has already keep theirs.
    ///
    /// # Errors
    /// When there is no such account, it would have too many scopes, or the store fails.
    pub async fn grant_scopes(
        &self,
        name: &AccountName,
        scopes: &Scopes,
    ) -> Result<Scopes, AdminError> {
        let account = self.account(name).await?;
        self.replace_scopes(&account, account.scopes.union(scopes)?).await
    }

    /// Takes scopes from an account. Tokens that it has already keep theirs until they end.
    ///
    /// # Errors
    /// When there is no such account, or the store fails.
    pub async fn withdraw_scopes(
        &self,
        name: &AccountName,
        scopes: &Scopes,
    ) -> Result<Scopes, AdminError> {
        let account = self.account(name).await?;
        self.replace_scopes(&account, account.scopes.without(scopes)).await
    }

    /// The keys of an account: the live ones, and those that were revoked last, oldest first.
    ///
    /// # Errors
    /// When there is no such account, or the store fails.
    pub async fn keys(&self, name: &AccountName) -> Result<Vec<Credential>, AdminError> {
        let account = self.account(name).await?;
        Ok(self.credentials.credentials_of(account.id).await?)
    }

    /// Revokes a key of an account, be it the last. Returns the live keys that it had added, and
    /// that those had added.
    ///
    /// # Errors
    /// When there is no such live key, or the store fails.
    pub async fn revoke_key(
        &self,
        name: &AccountName,
        thumbprint: &Thumbprint,
    ) -> Result<Vec<Credential>, AdminError> {
        let account = self.account(name).await?;
        let event = self.event(EventKind::KeyRevoked, account.id).key(*thumbprint);
        let event = event.detail("by an administrator");
        self.credentials.revoke_credential(account.id, thumbprint, false, event).await?;
        let keys = self.credentials.credentials_of(account.id).await?;
        Ok(live_keys_added_by(*thumbprint, &keys))
    }

    /// Makes an invitation. The code is returned here and is kept nowhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invite(&self, new: NewInvitation) -> Result<EnrolmentCode, AdminError> {
        let code = EnrolmentCode::generate(&*self.random);
        let mut event = AuditEvent::new(self.now, EventKind::InvitationCreated);
        event.detail = new.username.as_ref().map(|username| format!("for {username}"));
        let invitation = Invitation {
            code_hash: code.hash(),
            username: new.username,
            scopes: new.scopes,
            created_at: self.now,
            expires_at: new.expires_at,
            used_at: None,
        };
        self.invitations.create_invitation(&invitation, event).await?;
        Ok(code)
    }

    /// Makes invitations with one-time passwords, each for one name: all of them or none. The
    /// passwords are kept nowhere.
    ///
    /// # Errors
    /// [`AdminError::Invited`] when there is such an invitation already, used or not; or when the
    /// store fails.
    pub async fn invite_with_passwords(
        &self,
        invited: &[(Username, OneTimePassword)],
        scopes: &Scopes,
        expires_at: UnixTime,
        key: &RegistrationKey,
    ) -> Result<(), AdminError> {
        let mut invitations = Vec::with_capacity(invited.len());
        for (username, password) in invited {
            let code_hash = key.password_hash(username, password);
            if self.invitations.invitation(&code_hash).await?.is_some() {
                return Err(AdminError::Invited(username.clone()));
            }
            let event = AuditEvent::new(self.now, EventKind::InvitationCreated);
            let invitation = Invitation {
                code_hash,
                username: Some(username.clone()),
                scopes: scopes.clone(),
                created_at: self.now,
                expires_at,
                used_at: None,
            };
            invitations.push((invitation, event.detail(format!("for {username}"))));
        }
        Ok(self.invitations.create_invitations(&invitations).await?)
    }

    /// Invitations, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self, limit: u32) -> Result<Vec<Invitation>, AdminError> {
        Ok(self.invitations.invitations(limit).await?)
    }

    /// Withdraws an unused invitation.
    ///
    /// # Errors
    /// When there is none of that hash, or the store fails.
    pub async fn withdraw_invitation(&self, code_hash: &CodeHash) -> Result<(), AdminError> {
        let event = AuditEvent::new(self.now, EventKind::InvitationWithdrawn);
        let withdrawn = self.invitations.withdraw_invitation(code_hash, event).await?;
        withdrawn.then_some(()).ok_or(AdminError::NoInvitation)
    }

    /// The audit trail, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, AdminError> {
        Ok(self.audit.events(filter, limit).await?)
    }

    async fn replace_scopes(
        &self,
        account: &Account,
        scopes: Scopes,
    ) -> Result<Scopes, AdminError> {
        let event = self.event(EventKind::AccountScopesChanged, account.id);
        let event = event.detail(format!("now: {scopes}"));
        existing(self.accounts.set_scopes(account.id, &scopes, event).await?)?;
        Ok(scopes)
    }

    const fn event(&self, kind: EventKind, account: AccountId) -> AuditEvent {
        AuditEvent::new(self.now, kind).account(account)
    }
}

fn existing(found: bool) -> Result<(), AdminError> {
    found.then_some(()).ok_or(AdminError::NoAccount)
}

/// Why an administrative act fails.
#[derive(Debug, Error)]
pub enum AdminError {
    /// There is an invitation with the same name and password already.
    #[error("{0} was invited with that password before")]
    Invited(Username),
    /// There is no such account.
    #[error("no such account")]
    NoAccount,
    /// There is no such unused invitation.
    #[error("no such unused invitation")]
    NoInvitation,
    /// The key cannot be revoked.
    #[error(transparent)]
    RevokeKey(#[from] RevokeCredentialError),
    /// The account would have scopes that cannot be.
    #[error(transparent)]
    Scopes(#[from] InvalidScopes),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
