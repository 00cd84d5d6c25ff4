//! What the authority needs from outside: durable stores, short-lived state, clock and randomness.
//!
//! Every method of a store is one transaction: when it returns `Ok`, all of it is durable; when it
//! returns an error, none of it happened. Methods that change something take the audit event that
//! describes the change and record both together. No method reads a clock: times come in.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use countersign_protocol::ports::{Clock, Random};
use countersign_protocol::{
    AccountId, ReplayEntry, Scopes, SpentReceipt, UnixTime, keys::Thumbprint, strict::base64url,
};
use thiserror::Error;

use crate::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::{AuditEvent, AuditFilter, RecordedEvent},
    credential::Credential,
    invitation::{CodeHash, Invitation},
    passwords::Email,
    sealed_key::{SealedServerKey, SealedSigningKey},
};

/// Everything that the authority needs, wired together by the binary.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type documents")]
pub struct Ports {
    pub accounts: Arc<dyn AccountStore>,
    pub audit: Arc<dyn AuditStore>,
    pub clock: Arc<dyn Clock>,
    pub credentials: Arc<dyn CredentialStore>,
    pub invitations: Arc<dyn InvitationStore>,
    pub passwords: Arc<dyn PasswordStore>,
    pub random: Arc<dyn Random>,
    pub rate_limiter: Arc<dyn RateLimiter>,
    pub replay_log: Arc<dyn ReplayLog>,
    pub revocations: Arc<dyn RevocationStore>,
    pub session_nonces: Arc<dyn SessionNonces>,
    pub server_keys: Arc<dyn ServerKeyStore>,
    pub signing_keys: Arc<dyn SigningKeyStore>,
    pub vault: Arc<dyn VaultStore>,
    pub watch: Arc<dyn StoreWatch>,
    pub window_limiter: Arc<dyn WindowLimiter>,
}

/// The store could not do what was asked. The caller is not at fault.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It is away, full, locked or broken.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds something that this program never writes.
    #[error("the store holds an impossible value in {table}.{column}: {reason}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// Where in it.
        column: &'static str,
        /// Why it is impossible; never the value itself.
        reason: String,
    },
}

/// Accounts and how they come to be.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Creates an account with its first credential, and uses up the invitation if there is one.
    ///
    /// The key was proven. If an account has it that never proved it, that account loses it.
    async fn create_account(&self, new: NewAccount) -> Result<(), CreateAccountError>;

    /// The same, for a key that nobody has proven to possess.
    async fn create_unproven_account(&self, new: NewAccount) -> Result<(), CreateAccountError>;

    /// The account of that name.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError>;

    /// The account that has that other name, such as the fingerprint of a key's text.
    async fn account_by_alias(&self, alias: &str) -> Result<Option<AccountId>, StoreError>;

    /// Accounts in the order of their folded usernames, after `after`, at most `limit`.
    async fn accounts(
        &self,
        after: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    /// Sets the status. `false` when there is no such account.
    async fn set_status(
        &self,
        id: AccountId,
        status: AccountStatus,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;

    /// Replaces the scopes. `false` when there is no such account.
    async fn set_scopes(
        &self,
        id: AccountId,
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
    /// Its scopes; those of the invitation are added by the store.
    pub scopes: Scopes,
    /// Its first key.
    pub credential: Credential,
    /// The invitation to use up. It must exist, be unused, unexpired at `credential.created_at`
    /// and open to this username.
    pub invitation: Option<CodeHash>,
    /// Another name for the account and its first key, such as the fingerprint of the key's text.
    pub alias: Option<String>,
    /// The key pair that the server made for this account alone.
    pub server_key: Option<SealedServerKey>,
    /// What the audit trail says.
    pub event: AuditEvent,
}

/// Why an account was not created.
#[derive(Debug, Error)]
pub enum CreateAccountError {
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

/// Credentials and logins.
#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// Adds a key to an account that has fewer than `max_live` live keys.
    ///
    /// The key was proven. If another account has it that never proved it, that account loses it.
    async fn add_credential(
        &self,
        credential: &Credential,
        max_live: usize,
        event: AuditEvent,
    ) -> Result<(), AddCredentialError>;

    /// The key of that thumbprint, live or revoked, and the account that it belongs to.
    async fn credential(
        &self,
        thumbprint: &Thumbprint,
    ) -> Result<Option<(Credential, Account)>, StoreError>;

    /// All keys of an account, live and revoked, oldest first.
    async fn credentials_of(&self, id: AccountId) -> Result<Vec<Credential>, StoreError>;

    /// Revokes a live key of an account; `keep_last` refuses to revoke the last live one.
    async fn revoke_credential(
        &self,
        id: AccountId,
        thumbprint: &Thumbprint,
        keep_last: bool,
        event: AuditEvent,
    ) -> Result<(), RevokeCredentialError>;

    /// Notes that a live key has signed something good at `now`, and thereby proven itself.
    async fn note_use(&self, thumbprint: &Thumbprint, now: UnixTime) -> Result<(), StoreError>;

    /// Records a login: the assertion as used (durably, so that no restart revives it), the times
    /// of last use, and the event. The credential must be live and its account active.
    async fn record_login(&self, login: LoginRecord) -> Result<SpentReceipt, RecordLoginError>;

    /// Records an assertion as used, durably, without a login: it authenticated one call. Shares
    /// its memory with [`Self::record_login`], so no assertion works once for each.
    async fn spend_assertion(
        &self,
        assertion: ReplayEntry,
    ) -> Result<SpentReceipt, RecordLoginError>;
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
}

/// Why a key was not added.
#[derive(Debug, Error)]
pub enum AddCredentialError {
    /// The key belongs to an account already, live or revoked.
    #[error("the key is registered already")]
    KeyTaken,
    /// The account has as many live keys as it may.
    #[error("the account has as many keys as it may have")]
    LimitReached,
    /// There is no such account.
    #[error("no such account")]
    NoAccount,
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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a login was not recorded.
#[derive(Debug, Error)]
pub enum RecordLoginError {
    /// The assertion was used before.
    #[error("the assertion was used before")]
    AlreadyUsed,
    /// The key is revoked, unknown, or its account is disabled.
    #[error("the credential is not live")]
    NotLive,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Accounts with passwords.
#[async_trait]
pub trait PasswordStore: Send + Sync {
    /// Creates an account with a password and without a key.
    async fn create_password_account(
        &self,
        new: NewPasswordAccount,
    ) -> Result<(), CreatePasswordAccountError>;

    /// The account of that name and what is kept of its password, which may match nothing.
    async fn password(&self, name: &AccountName) -> Result<Option<(Account, String)>, StoreError>;

    /// Records a login at the time of its event: the times of last use, the entry in the log of
    /// logins, and the event. `false`, and nothing is recorded, when the account is not active.
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
    /// What is kept of its password.
    pub password_hash: String,
    /// What the audit trail says; its time is the time of registration.
    pub event: AuditEvent,
}

/// Why an account with a password was not created.
#[derive(Debug, Error)]
pub enum CreatePasswordAccountError {
    /// An account has that e-mail address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An account has that name.
    #[error("the username is taken")]
    UsernameTaken,
}

/// A login with a password, to be recorded.
#[derive(Clone, Debug)]
pub struct PasswordLogin {
    /// The account that logs in.
    pub account_id: AccountId,
    /// The client's address.
    pub address: IpAddr,
    /// What the audit trail says; its time is the time of the login.
    pub event: AuditEvent,
}

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
}

/// What was revoked before its time.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Revokes the token `jti`, which would have ended at `expires_at`. Revoking twice is fine.
    async fn revoke_token(
        &self,
        jti: &str,
        expires_at: UnixTime,
        event: AuditEvent,
    ) -> Result<(), StoreError>;

    /// The revoked tokens that would not have ended at `now`.
    async fn revoked_tokens(&self, now: UnixTime) -> Result<Vec<(String, UnixTime)>, StoreError>;

    /// Whose tokens died by a revocation after `since`: at most `limit` keys and as many accounts,
    /// the earliest first.
    async fn shut_out(&self, since: UnixTime, limit: u32) -> Result<ShutOut, StoreError>;
}

/// Keys and accounts that may no longer act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutOut {
    /// The keys that were revoked.
    pub keys: Vec<Thumbprint>,
    /// The accounts that were disabled, and still are.
    pub accounts: Vec<AccountId>,
}

/// The server's signing keys.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All of them, by time of activation.
    async fn signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError>;

    /// Inserts the keys of `put` or replaces those of the same `kid`, and removes those of `remove`.
    async fn change_signing_keys(
        &self,
        put: &[SealedSigningKey],
        remove: &[Thumbprint],
        events: Vec<AuditEvent>,
    ) -> Result<(), StoreError>;
}

/// The key pairs that the server made for single accounts, each when its account was created.
#[async_trait]
pub trait ServerKeyStore: Send + Sync {
    /// The key pair of an account, if it has one.
    async fn server_key(&self, id: AccountId) -> Result<Option<SealedServerKey>, StoreError>;
}

/// What proves that a master key is the right one.
#[async_trait]
pub trait VaultStore: Send + Sync {
    /// The record, once the first start has made it.
    async fn vault(&self) -> Result<Option<VaultRecord>, StoreError>;

    /// Keeps the first record. `false` when there is one already, which then stays.
    async fn create_vault(&self, record: &VaultRecord) -> Result<bool, StoreError>;

    /// The key pairs of all accounts that have one.
    async fn server_keys(&self) -> Result<Vec<(AccountId, SealedServerKey)>, StoreError>;

    /// The key pair of sealed registrations, once it was made.
    async fn registration_key(&self) -> Result<Option<SealedServerKey>, StoreError>;

    /// Keeps the first key pair of sealed registrations. `false` when there is one already, which
    /// then stays.
    async fn create_registration_key(&self, key: &SealedServerKey) -> Result<bool, StoreError>;

    /// Replaces the record, every signing key, every account's key pair and that of sealed
    /// registrations at once: the master key has changed.
    async fn replace_vault(
        &self,
        record: &VaultRecord,
        signing_keys: &[SealedSigningKey],
        server_keys: &[(AccountId, SealedServerKey)],
        registration_key: Option<&SealedServerKey>,
        event: AuditEvent,
    ) -> Result<(), StoreError>;
}

/// What is stored about the master key: nothing that helps to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRecord {
    /// The salt with which a master key given as text is stretched.
    pub salt: [u8; 16],
    /// The nonce of `check`.
    pub nonce: [u8; 12],
    /// A known text, sealed with the master key.
    pub check: Vec<u8>,
}

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends events that no other change carries.
    async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StoreError>;

    /// Events that fit `filter`, newest first, at most `limit`.
    async fn events(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError>;

    /// Forgets what has outlived its use at `now`: used assertions, revocations of ended tokens,
    /// expired invitations, and events beyond `retention`. Returns how many rows went.
    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError>;
}

/// How much of the audit trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older events go.
    pub max_age: Duration,
    /// When there are more events than this, the oldest go.
    pub max_events: u64,
}

/// The durable store as a whole.
#[async_trait]
pub trait StoreWatch: Send + Sync {
    /// Whether another process changed the store since this was last asked.
    async fn changed_elsewhere(&self) -> Result<bool, StoreError>;

    /// Reads and writes something, to see that both work.
    async fn check(&self) -> Result<(), StoreError>;
}

/// The nonce that each session of *signjwt* may use next. There is one at a time: a client gets the
/// next one by using it.
#[async_trait]
pub trait SessionNonces: Send + Sync {
    /// Gives a session its nonce.
    async fn put(
        &self,
        session: &SessionId,
        nonce: SessionNonce,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// The nonce that a session may use, unless it has expired.
    async fn outstanding(
        &self,
        session: &SessionId,
        now: UnixTime,
    ) -> Result<Option<SessionNonce>, StoreError>;

    /// Uses up `used` and puts `next` in its place, atomically. `false`, and nothing has changed,
    /// when `used` is not the nonce of the session or has expired: of any number of concurrent
    /// calls with the same `used` exactly one gets `true`.
    async fn exchange(
        &self,
        session: &SessionId,
        used: &SessionNonce,
        next: Option<SessionNonce>,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
}

/// The identity of a session: 16 random bytes, written in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64url::decode(text).map_err(|_| InvalidSessionId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidSessionId)
    }
}

/// Not base64url of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the id of a session")]
pub struct InvalidSessionId;

/// A nonce of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNonce {
    /// 16 random bytes.
    pub value: [u8; 16],
    /// When it is no longer accepted.
    pub expires_at: UnixTime,
}

impl SessionNonce {
    /// What is signed: base64url of the value.
    pub fn text(&self) -> String {
        base64url::encode(&self.value)
    }
}

/// Remembers what was used until it has expired by itself.
///
/// A false "used before" costs an honest client one more round trip; a false "first use" lets a
/// thief in. So an implementation that cannot tell (full, or its server away) must refuse.
#[async_trait]
pub trait ReplayLog: Send + Sync {
    /// Records `entry` as used, atomically: of any number of concurrent calls with the same digest
    /// exactly one gets the receipt.
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError>;

    /// How many entries are held.
    fn len(&self) -> u64;

    /// Whether no entry is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a restart forgets what was used. If so, what was made before the start is refused.
    fn is_volatile(&self) -> bool;
}

/// Why an entry was not recorded.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The log is full or away; nothing can be accepted for now.
    #[error("the replay log cannot record: {0}")]
    Unavailable(&'static str),
    /// It was used before.
    #[error("used before")]
    Used,
}

/// Counts events per key and says when there were too many.
///
/// When it runs out of room, it forgets the keys that have the least to remember.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes one from the allowance of `key` under `limit`; `now` is the monotonic clock.
    async fn take(
        &self,
        limit: &RateLimit,
        key: LimitKey,
        now: Duration,
    ) -> Result<(), RateLimited>;

    /// Gives back one that was taken.
    async fn give_back(&self, limit: &RateLimit, key: LimitKey);
}

/// Lets at most ten events of a key pass in any one second, wherever that second begins.
///
/// This is stricter than [`RateLimiter`], whose allowance refills while it is used. What was
/// refused does not count. Without room it refuses rather than forget anybody.
#[async_trait]
pub trait WindowLimiter: Send + Sync {
    /// Lets one event of `key` pass; `now` is the monotonic clock.
    async fn take(&self, key: LimitKey, now: Duration) -> Result<(), RateLimited>;
}

/// An allowance: `burst` at once, refilled evenly at `burst` per `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Which limit it is; counts are kept apart by it.
    pub name: &'static str,
    /// How many at once.
    pub burst: u32,
    /// The time in which an empty allowance becomes full.
    pub period: Duration,
}

/// Whose allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A client address (an IPv6 address stands for its /64).
    Address(IpAddr),
    /// An account.
    Account(AccountId),
    /// A name that may be nobody's, by its SHA-256.
    Name([u8; 32]),
}

/// The allowance is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub struct RateLimited {
    /// When the next one will be allowed.
    pub retry_after: Duration,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests; try again in {} s", self.retry_after.as_secs() + 1)
    }
}
