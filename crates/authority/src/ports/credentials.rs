//! Credentials and logins.

use async_trait::async_trait;
use countersign_protocol::{
    AccountId, ReplayEntry, Scopes, SpentReceipt, UnixTime, keys::Thumbprint,
};
use thiserror::Error;

use super::{
    StoreError,
    record_login::RecordLoginError,
    step_up::{Permit, UsePasskeyError, refused_by_step_up},
};
use crate::model::{
    account::Account,
    audit::AuditEvent,
    credential::{Credential, Expiry, Label},
    user_agent::UserAgent,
};

/// Credentials and logins.
///
/// A change is made by a [`Permit`]: its keys must not have been revoked, and the answer of its passkey is
/// recorded as used, which must be a live one of the account.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Adds a key to an account that has fewer live keys of its kind than `limits` say. A browser takes
    /// the place of those that were used longest ago, which are revoked and returned.
    ///
    /// The key that adds it must still be a live key of the account. If no key adds it, a password
    /// does, and the account must have no live key. The new key was proven, so accounts that only
    /// claim it lose their claims.
    async fn add_credential(
        &self,
        credential: &Credential,
        limits: KeyLimits,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<Vec<Thumbprint>, AddCredentialError>;

    /// The key of that thumbprint, live or revoked, and the account that has proven it. Of a key
    /// that was revoked long since there may be no more than [`Self::is_taken`] says.
    async fn credential(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Credential, Account)>, StoreError>;

    /// Whether an account has, or ever had, the key of that thumbprint, having proven it.
    async fn is_taken(&self, thumbprint: &Thumbprint) -> Result<bool, StoreError>;

    /// An account and its keys that are not revoked, oldest first. Some may have expired. The last may
    /// be a key that it only claims. `None` when there is no such account.
    async fn live_credentials(
        &self,
        id: AccountId,
    ) -> Result<Option<(Account, Vec<Credential>)>, StoreError>;

    /// The keys that the owner may see, oldest first: the live keys of the account and those that
    /// it revoked last.
    async fn credentials_of(&self, id: AccountId) -> Result<Vec<Credential>, StoreError>;

    /// Revokes a key of an account that is not revoked. With `keep_last` the account must have another
    /// live key that lasts, unless the key to be revoked does not last itself: one that is remembered
    /// for one visit. The revocation of a claimed key removes the claim; others may still register
    /// the key.
    async fn revoke_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        keep_last: bool,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<(), RevokeCredentialError>;

    /// Gives a live key of an account another name, and returns it. Where it has that name already,
    /// nothing is written, and no event.
    async fn rename_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        label: &Label,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<Credential, RenameCredentialError>;

    /// Notes that a live key of an account has signed something good at `now`. A key that the
    /// account only claims is its own by that, and other claims to it end; unless another account
    /// was faster.
    async fn note_use(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Appends uses of keys to the trail, which say where each key was used. A key that is used from a
    /// client network other than the last one, and was not there lately either, is an event of its
    /// own; here and with every login.
    async fn note_uses(&self, uses: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Records a login: the assertion as used (durably, so that no restart revives it), the times
    /// of last use, and the event. The credential must be live and its account active. It counts as
    /// a use, as in [`Self::note_use`].
    async fn record_login(&self, login: LoginRecord) -> Result<RecordedLogin, RecordLoginError>;

    /// Records an assertion as used, durably, without a login: it authenticated one call. Shares
    /// its memory with [`Self::record_login`], so no assertion works once for each.
    async fn spend_assertion(
        &self,
        assertion: ReplayEntry,
    ) -> Result<SpentReceipt, RecordLoginError>;
}

/// The conditions under which an account gets another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// How many live keys of the kind it may have.
    pub live: usize,
    /// How many revoked ones it may have. Each is remembered for ever, so that it never comes back.
    pub revoked: usize,
    /// When the token was issued that came with the request, where there was one. A password adds a
    /// key only by a token that has not been ended since.
    pub password_token_of: Option<UnixTime>,
}

/// A login to be recorded.
#[derive(Clone, Debug)]
pub struct LoginRecord {
    /// The account that logs in.
    pub account_id: AccountId,
    /// The key that it logs in with.
    pub thumbprint: Thumbprint,
    /// The assertion, which must not have been used.
    pub assertion: ReplayEntry,
    /// What the audit trail says; its time is the time of the login.
    pub event: AuditEvent,
    /// What changes about the key of a browser that logs in by itself.
    pub renewal: Option<Renewal>,
}

/// A login that was recorded.
#[derive(Debug)]
pub struct RecordedLogin {
    /// That the assertion is used up.
    pub receipt: SpentReceipt,
    /// The scopes of the account at that moment: an administrator may have changed them since the account
    /// was read.
    pub scopes: Scopes,
}

/// A login of a browser by its own key.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// When the key ends from now on.
    pub expiry: Expiry,
    /// The program, where it said which.
    pub user_agent: Option<UserAgent>,
}

/// Why a key was not added.
#[derive(Debug, Error)]
pub enum AddCredentialError {
    /// The key that adds it is no live one of the account.
    #[error("the key that adds it is no live key of the account")]
    AdderNotLive,
    /// The key belongs to an account already, live or revoked.
    #[error("the key is registered already")]
    KeyTaken,
    /// The account has as many live keys as it may.
    #[error("the account has as many keys as it may have")]
    LimitReached,
    /// There is no such account.
    #[error("no such account")]
    NoAccount,
    /// No key adds it, while the account has live keys.
    #[error("the account has keys: log in with one of them, not with the password")]
    NotFirst,
    /// No key adds it, but a password that the account no longer has.
    #[error("the token was ended: log in again, with the present password")]
    PasswordReplaced,
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account has revoked as many keys as one account may.
    #[error("the account has revoked {limit} keys, and no more are remembered of one account")]
    TooManyRevoked {
        /// How many are remembered.
        limit: usize,
    },
}

/// Why a key was not renamed.
#[derive(Debug, Error)]
pub enum RenameCredentialError {
    /// The account has no such live key.
    #[error("no such key")]
    NotFound,
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key was not revoked.
#[derive(Debug, Error)]
pub enum RevokeCredentialError {
    /// It is the account's last live key and `keep_last` was set.
    #[error("it is the last key of the account")]
    LastKey,
    /// The account has no such live key.
    #[error("no such key")]
    NotFound,
    /// The passkey that allowed it may not, or its answer was used before.
    #[error(transparent)]
    StepUp(UsePasskeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

refused_by_step_up!(AddCredentialError, RenameCredentialError, RevokeCredentialError);
