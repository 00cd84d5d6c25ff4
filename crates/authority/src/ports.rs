//! What the authority needs from outside: durable stores, short-lived state, clock and randomness.
//!
//! Every method of a store is one transaction: when it returns `Ok`, all of it is durable; when it
//! returns an error, none of it happened. Methods that change something take the audit event that
//! describes the change and record both together. No method reads a clock: times come in.

mod accounts;
mod audit;
mod browsers;
mod changes;
mod credentials;
mod error;
mod invitations;
mod issuer;
mod keyrings;
mod passkeys;
mod passwords;
mod rate_limits;
mod recent_numbers;
mod record_login;
mod revocations;
mod server_keys;
mod session_nonces;
mod signing_keys;
mod step_up;
mod upkeep;
mod vault;

use std::sync::Arc;

pub use countersign_protocol::ports::{Clock, Random, ReplayError, ReplayLog};

pub use self::accounts::{AccountStore, CreateAccountError, NewAccount};
pub use self::audit::AuditStore;
pub use self::browsers::{BrowserError, BrowserStore, NewBrowser, SignIn, SignInError, SignedIn};
pub use self::changes::{ChangeCursor, Changed, ChangedKey, Changes, ChangesSince};
pub use self::credentials::{
    AddCredentialError, CredentialStore, KeyLimits, LoginRecord, RecordedLogin,
    RenameCredentialError, Renewal, RevokeCredentialError,
};
pub use self::error::{OutOfDate, RoomKept, StoreError, WouldBeLost};
pub use self::invitations::{AccountRecovery, InvitationStore, NewSecret, RecoverError};
pub use self::issuer::IssuerStore;
pub use self::keyrings::{
    ChangeKeyringError, DeleteKeyringError, KeyringHolder, KeyringStore, KnowledgeSlot, NewContent,
    NewKeyring, NewSlot, OpenKeyringError, OpenedBy, Replaces, Restoration, StoreKeyringError,
};
pub use self::passkeys::{AddPasskeyError, KnownPasskey, NewPasskey, OwnPasskey, PasskeyStore};
pub use self::passwords::{
    CreatePasswordAccountError, NewPasswordAccount, PasswordLogin, PasswordStore,
};
pub use self::rate_limits::{RateLimiter, WindowLimiter};
pub use self::recent_numbers::{NUMBERS_OF_EACH_CLIENT, RecentNumbers};
pub use self::record_login::RecordLoginError;
pub use self::revocations::{
    AskedRevocations, DisabledAccount, KEYS_OF_EACH_ACCOUNT, LONGEST_TOKEN, RevocationStore,
    Revocations, RevokedBefore, RevokedKey, RevokedToken, RevokedTokenList, ShutOut,
};
pub use self::server_keys::ServerKeyStore;
pub use self::session_nonces::{
    InvalidSessionId, PutNonceError, SessionId, SessionNonce, SessionNonces,
};
pub use self::signing_keys::{
    ChangeSigningKeysError, SigningKeyChange, SigningKeyStore, SigningKeyVersion, StoredSigningKeys,
};
pub use self::step_up::{Permit, SpentStepUp, UsePasskeyError};
pub use self::upkeep::{StoreCondition, StoreUpkeep};
pub use self::vault::{ServerKeyOwners, VaultRecord, VaultStore};
pub use crate::model::limits::{LimitKey, NotAdmitted, RateLimit, Retention};

/// Everything that the authority needs, wired together by the binary.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is what its type documents")]
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub state: State,
    pub store: Arc<dyn Store>,
}

/// Everything that must last. A backend is one type that keeps all of it, since what changes together
/// must be one transaction. Its replay log is for what must stay used across restarts.
pub trait Store:
    AccountStore
    + AuditStore
    + BrowserStore
    + CredentialStore
    + InvitationStore
    + IssuerStore
    + KeyringStore
    + PasskeyStore
    + PasswordStore
    + ReplayLog
    + RevocationStore
    + ServerKeyStore
    + SigningKeyStore
    + StoreUpkeep
    + VaultStore
{
}

impl<S> Store for S where
    S: AccountStore
        + AuditStore
        + BrowserStore
        + CredentialStore
        + InvitationStore
        + IssuerStore
        + IssuerStore
        + KeyringStore
        + PasskeyStore
        + PasswordStore
        + ReplayLog
        + RevocationStore
        + ServerKeyStore
        + SigningKeyStore
        + StoreUpkeep
        + VaultStore
{
}

/// Everything that lives for minutes. Nothing of it changes together, so each may be of another
/// engine.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type documents")]
pub struct State {
    /// Counts tries at online keyrings. It never forgets one within its hour.
    pub keyring_tries: Arc<dyn RateLimiter>,
    /// Whether other servers on the same store have such state of their own. Then what carries no nonce of this
    /// server, and works once, is recorded in the store too.
    pub has_neighbours: bool,
    pub rate_limiter: Arc<dyn RateLimiter>,
    pub recent_numbers: Arc<dyn RecentNumbers>,
    pub replay_log: Arc<dyn ReplayLog>,
    /// Counts requests of any kind, at this server alone, so that to answer needs nobody else.
    pub request_limiter: Arc<dyn RateLimiter>,
    pub session_nonces: Arc<dyn SessionNonces>,
    pub window_limiter: Arc<dyn WindowLimiter>,
}
