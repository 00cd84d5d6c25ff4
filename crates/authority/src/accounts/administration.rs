//! What administrators do, directly on the store. A running server notices within a moment.

use std::sync::Arc;

use countersign_protocol::{AccountId, Scopes, UnixTime, keys::Thumbprint, scopes::InvalidScopes};
use thiserror::Error;

use crate::{
    accounts::own_keys::live_keys_added_by,
    core::password_hasher::NO_PASSWORD,
    keys::registration_key::RegistrationKey,
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        audit::{AuditEvent, AuditFilter, EventKind, Fact, RecordedEvent},
        credential::Credential,
        invitation::{CodeHash, EnrolmentCode, Invitation, OneTimePassword, Purpose, RecoveryCode},
    },
    ports::{Permit, Ports, Random, RevokeCredentialError, Store, StoreError},
};

/// How often a change of scopes is tried, when others are faster each time. Each time one of them has
/// succeeded.
const ATTEMPTS: usize = 64;

/// Administrative acts at one moment.
pub struct Administration {
    store: Arc<dyn Store>,
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

/// A code to be made that lets somebody back into an account.
#[derive(Clone, Debug)]
pub struct NewRecovery {
    /// The account.
    pub name: AccountName,
    /// Whether everything else that logs in to the account is revoked when the code is used.
    pub revoke_others: bool,
    /// When it stops working.
    pub expires_at: UnixTime,
}

impl Administration {
    /// Acts on the store of `ports`, at the present moment of its clock.
    pub fn new(ports: &Ports) -> Self {
        Self {
            store: Arc::clone(&ports.store),
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
        Ok(self.store.accounts(after, limit).await?)
    }

    /// The account of that name.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn account(&self, name: &AccountName) -> Result<Account, AdminError> {
        self.store.account(name).await?.ok_or(AdminError::NoAccount)
    }

    /// Disables or enables an account. Every token of a disabled account is refused, and stays so
    /// when it is enabled: its clients log in again.
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
        existing(self.store.set_status(account.id, status, event).await?)
    }

    /// Adds scopes to an account. Tokens that it has already keep theirs.
    ///
    /// # Errors
    /// When there is no such account, it would have too many scopes, others change its scopes again and
    /// again, or the store fails.
    pub async fn grant_scopes(
        &self,
        name: &AccountName,
        scopes: &Scopes,
    ) -> Result<Scopes, AdminError> {
        self.change_scopes(name, |present| Ok(present.union(scopes)?)).await
    }

    /// Takes scopes from an account. Tokens that it has already keep theirs until they end.
    ///
    /// # Errors
    /// When there is no such account, others change its scopes again and again, or the store fails.
    pub async fn withdraw_scopes(
        &self,
        name: &AccountName,
        scopes: &Scopes,
    ) -> Result<Scopes, AdminError> {
        self.change_scopes(name, |present| Ok(present.without(scopes))).await
    }

    /// The keys of an account: the live ones, and those that were revoked last, oldest first.
    ///
    /// # Errors
    /// When there is no such account, or the store fails.
    pub async fn keys(&self, name: &AccountName) -> Result<Vec<Credential>, AdminError> {
        let account = self.account(name).await?;
        Ok(self.store.credentials_of(account.id).await?)
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
        self.store
            .revoke_credential(account.id, thumbprint, false, event, Permit::ADMINISTRATOR)
            .await?;
        let keys = self.store.credentials_of(account.id).await?;
        Ok(live_keys_added_by(*thumbprint, &keys))
    }

    /// Makes an invitation. The code is returned here and is kept nowhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invite(&self, new: NewInvitation) -> Result<EnrolmentCode, AdminError> {
        let code = EnrolmentCode::generate(&*self.random);
        let NewInvitation { username, scopes, expires_at } = new;
        let (invitation, event) = self.invitation(code.hash(), username, &scopes, expires_at);
        self.store.create_invitation(&invitation, event).await?;
        Ok(code)
    }

    /// Makes an invitation for each of these names: all of them or none. The codes are returned here,
    /// in the order of the names, and are kept nowhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invite_each(
        &self,
        usernames: &[Username],
        scopes: &Scopes,
        expires_at: UnixTime,
    ) -> Result<Vec<EnrolmentCode>, AdminError> {
        let codes: Vec<_> =
            usernames.iter().map(|_| EnrolmentCode::generate(&*self.random)).collect();
        let named = usernames.iter().zip(&codes).map(|(username, code)| {
            self.invitation(code.hash(), Some(username.clone()), scopes, expires_at)
        });
        self.store.create_invitations(&named.collect::<Vec<_>>()).await?;
        Ok(codes)
    }

    /// Makes a code that lets somebody back into an account, in place of an earlier one for the same
    /// account. It is returned here and is kept nowhere.
    ///
    /// # Errors
    /// When there is no such account, it is disabled, or the store fails.
    pub async fn allow_recovery(&self, new: NewRecovery) -> Result<RecoveryCode, AdminError> {
        let account = self.account(&new.name).await?;
        if account.status == AccountStatus::Disabled {
            return Err(AdminError::Disabled);
        }
        let code = RecoveryCode::generate(&*self.random);
        let event = self.event(EventKind::RecoveryCreated, account.id);
        let detail = if new.revoke_others {
            "by an administrator; its use revokes everything else that logs in"
        } else {
            "by an administrator"
        };
        let recovery = Invitation {
            code_hash: code.hash(),
            purpose: Purpose::Recover { revoke_others: new.revoke_others },
            username: Some(account.username),
            scopes: Scopes::none(),
            created_at: self.now,
            expires_at: new.expires_at,
            used_at: None,
        };
        self.store.create_recovery(&recovery, event.detail(detail)).await?;
        Ok(code)
    }

    /// The code that lets somebody back into an account and has not been used, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recovery(&self, account: &Account) -> Result<Option<Invitation>, AdminError> {
        Ok(self.store.recovery(&account.username).await?)
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
            if self.store.invitation(&code_hash).await?.is_some() {
                return Err(AdminError::Invited(username.clone()));
            }
            let username = Some(username.clone());
            invitations.push(self.invitation(code_hash, username, scopes, expires_at));
        }
        Ok(self.store.create_invitations(&invitations).await?)
    }

    /// Whether an account has a password.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_password(&self, account: &Account) -> Result<bool, AdminError> {
        let known = self.store.password(&AccountName::Id(account.id)).await?;
        Ok(known.is_some_and(|(_, hash)| hash != NO_PASSWORD))
    }

    /// Invitations, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitations(&self, limit: u32) -> Result<Vec<Invitation>, AdminError> {
        Ok(self.store.invitations(limit).await?)
    }

    /// Withdraws an unused invitation.
    ///
    /// # Errors
    /// When there is none of that hash, or the store fails.
    pub async fn withdraw_invitation(&self, code_hash: &CodeHash) -> Result<(), AdminError> {
        let mut event = AuditEvent::new(self.now, EventKind::InvitationWithdrawn);
        let known = self.store.invitation(code_hash).await?;
        event.detail =
            known.map(|known| format!("{}, which {}", code_hash.short(), describe(&known)));
        let withdrawn = self.store.withdraw_invitation(code_hash, event).await?;
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
        Ok(self.store.events(filter, limit).await?)
    }

    /// An invitation to register, and the event that says so.
    fn invitation(
        &self,
        code_hash: CodeHash,
        username: Option<Username>,
        scopes: &Scopes,
        expires_at: UnixTime,
    ) -> (Invitation, AuditEvent) {
        let event = self.invitation_event(code_hash, username.as_ref());
        let invitation = Invitation {
            code_hash,
            purpose: Purpose::Register,
            username,
            scopes: scopes.clone(),
            created_at: self.now,
            expires_at,
            used_at: None,
        };
        (invitation, event)
    }

    /// Changes the scopes that an account has at that moment, and returns the new ones. When others
    /// change them in between, the change is made to theirs.
    async fn change_scopes(
        &self,
        name: &AccountName,
        change: impl Fn(&Scopes) -> Result<Scopes, AdminError>,
    ) -> Result<Scopes, AdminError> {
        for _ in 0..ATTEMPTS {
            let Account { id, scopes: present, .. } = self.account(name).await?;
            let scopes = change(&present)?;
            let event = self.event(EventKind::AccountScopesChanged, id);
            let event =
                event.detail(format!("now: {scopes}")).fact(Fact::Scopes, scopes.to_string());
            if self.store.replace_scopes(id, &present, &scopes, event).await? {
                return Ok(scopes);
            }
        }
        Err(AdminError::Contended)
    }

    /// The event that an invitation was made: which one, and for whom if it is for one name only.
    fn invitation_event(&self, code_hash: CodeHash, username: Option<&Username>) -> AuditEvent {
        let event = AuditEvent::new(self.now, EventKind::InvitationCreated);
        let code = code_hash.short();
        event.detail(match username {
            Some(username) => format!("{code} for {username}"),
            None => code,
        })
    }

    const fn event(&self, kind: EventKind, account: AccountId) -> AuditEvent {
        AuditEvent::new(self.now, kind).account(account)
    }
}

/// What an invitation does, in words.
fn describe(invitation: &Invitation) -> String {
    let does = match invitation.purpose {
        Purpose::Register => "registers",
        Purpose::Recover { .. } => "recovers",
    };
    let whom = invitation.username.as_ref().map_or("anybody", Username::as_str);
    format!("{does} {whom}")
}

fn existing(found: bool) -> Result<(), AdminError> {
    found.then_some(()).ok_or(AdminError::NoAccount)
}

/// Why an administrative act fails.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Others changed the account again and again in between.
    #[error("others change the account at the same time; try again")]
    Contended,
    /// The account is disabled, so nobody shall get into it.
    #[error("the account is disabled")]
    Disabled,
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
