//! Browsers that are remembered when somebody logs in from them by another key, such as a passkey; and
//! what ends by itself.

use async_trait::async_trait;
use countersign_protocol::{Scopes, SpentReceipt, UnixTime, keys::Thumbprint};
use thiserror::Error;

use super::{KeyLimits, LoginRecord, RecordLoginError, StoreError, UsePasskeyError};
use crate::model::{audit::AuditEvent, credential::Credential, passkey::PasskeyUse};

/// Browsers, and credentials that end by themselves.
#[async_trait]
pub trait BrowserStore: Send + Sync {
    /// Records a login by one key from a browser that proves itself by another, as
    /// [`CredentialStore::record_login`](super::CredentialStore::record_login) does, and remembers the
    /// browser if that is asked for: all or nothing.
    async fn sign_in(&self, sign_in: SignIn) -> Result<SignedIn, SignInError>;

    /// Revokes up to `limit` keys that expired at `ended` or earlier, as of the time of their end. Each
    /// is an event at `now`. Returns the revoked ones.
    async fn expire_credentials(
        &self,
        ended: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Thumbprint>, StoreError>;
}

/// A login by one key from a browser that proves itself by another.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The login. `thumbprint` is the key that logs in.
    pub login: LoginRecord,
    /// The use of the key that logs in, if it is a passkey.
    pub passkey: Option<PasskeyUse>,
    /// The browser to be remembered.
    pub remember: Option<NewBrowser>,
}

/// The key of a browser that is to log in to the account by itself from now on.
///
/// If the key is a live credential of the account already, it stays what it is; the key of a browser
/// gets the new expiry, program and address.
#[derive(Clone, Debug)]
pub struct NewBrowser {
    /// The credential, of the kind of browsers.
    pub credential: Box<Credential>,
    /// When the account has as many browsers as `live` says, the ones that were used longest ago are
    /// revoked.
    pub limits: KeyLimits,
    /// What the audit trail says if the key is new.
    pub event: AuditEvent,
}

/// A login that was recorded.
#[derive(Debug)]
pub struct SignedIn {
    /// That the assertion was not used before.
    pub receipt: SpentReceipt,
    /// The scopes of the account at that moment, as of
    /// [`RecordedLogin::scopes`](super::RecordedLogin::scopes).
    pub scopes: Scopes,
    /// The browsers that were revoked to make room.
    pub revoked: Vec<Thumbprint>,
}

/// Why a login from a browser was not recorded.
#[derive(Debug, Error)]
pub enum SignInError {
    /// The browser cannot be remembered.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The signature counter of the passkey is not larger than before.
    #[error("the signature counter of the passkey has not grown: there may be a copy of it")]
    CounterRegressed,
    /// The login is refused.
    #[error(transparent)]
    Login(#[from] RecordLoginError),
}

/// Why a browser is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BrowserError {
    /// The key is another account's, or a passkey, or was revoked or has expired: it never comes back.
    #[error("the key of the browser is registered already, or was revoked: make a new one")]
    KeyTaken,
    /// The account has revoked as many keys as one account may.
    #[error("the account has revoked {limit} keys, and no more are remembered of one account")]
    TooManyRevoked {
        /// How many are remembered.
        limit: usize,
    },
}

impl From<UsePasskeyError> for SignInError {
    fn from(error: UsePasskeyError) -> Self {
        match error {
            UsePasskeyError::CounterRegressed => Self::CounterRegressed,
            UsePasskeyError::Record(error) => Self::Login(error),
        }
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}
