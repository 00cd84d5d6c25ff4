//! The audit trail: what happened, to whom, by which key, from where.

use std::{borrow::Cow, net::IpAddr, str::FromStr, time::Duration};

use countersign_protocol::{AccountId, ClientNetwork, UnixTime, keys::Thumbprint};
use thiserror::Error;

pub use self::administrator::Administrator;
pub use self::facts::{ChangeCode, Fact, Facts, InvalidFacts, Means, Reason};

mod administrator;
mod facts;

/// One entry of the audit trail, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it happened.
    pub at: UnixTime,
    /// What happened.
    pub kind: EventKind,
    /// The account concerned, where one is known.
    pub account_id: Option<AccountId>,
    /// The key concerned, where one is known.
    pub thumbprint: Option<Thumbprint>,
    /// The client's address; `None` for what an administrator or the server itself did.
    pub address: Option<IpAddr>,
    /// A few words more: a reason, a label. Never a secret.
    pub detail: Option<String>,
    /// The same for programs.
    pub facts: Facts,
    /// Set if this entry counts several refusals or uses of a key; the entry has the first of them.
    pub repeated: Option<Repeated>,
}

/// That something happened more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// How often in all: two or more.
    pub times: u64,
    /// When it happened last.
    pub last_at: UnixTime,
}

impl AuditEvent {
    /// An event without particulars.
    pub const fn new(at: UnixTime, kind: EventKind) -> Self {
        Self {
            at,
            kind,
            account_id: None,
            thumbprint: None,
            address: None,
            detail: None,
            facts: Facts::NONE,
            repeated: None,
        }
    }

    /// How often it happened.
    pub const fn times(&self) -> u64 {
        match self.repeated {
            Some(Repeated { times, .. }) => times,
            None => 1,
        }
    }

    /// When it happened last.
    pub const fn last_at(&self) -> UnixTime {
        match self.repeated {
            Some(Repeated { last_at, .. }) => last_at,
            None => self.at,
        }
    }

    /// The same, for an event that happened `times` times, the last time at `last_at`.
    pub fn again(&mut self, times: u64, last_at: UnixTime) {
        let times = self.times().saturating_add(times);
        self.repeated = Some(Repeated { times, last_at: last_at.max(self.last_at()) });
    }

    /// Equal for events that one entry counts together: refusals of one kind, of one account and
    /// key, by one client network, for one reason.
    pub(crate) fn likeness(&self) -> Likeness {
        Likeness {
            kind: self.kind,
            account_id: self.account_id,
            thumbprint: self.known_key(),
            network: self.network(),
            detail: self.detail.clone(),
        }
    }

    /// The key concerned, if the server knows it. A refused change of keys may name any key, so
    /// entries are not told apart by that key: otherwise a client could fill the trail with made-up
    /// keys. Such an entry has the key that was named first.
    pub fn known_key(&self) -> Option<Thumbprint> {
        self.thumbprint.filter(|_| self.kind != EventKind::KeyChangeRefused)
    }

    /// The network of the client's address.
    pub fn network(&self) -> Option<ClientNetwork> {
        self.address.map(ClientNetwork::from)
    }

    /// The same, about `account_id`.
    pub const fn account(mut self, account_id: AccountId) -> Self {
        self.account_id = Some(account_id);
        self
    }

    /// The same, about the key `thumbprint`.
    pub const fn key(mut self, thumbprint: Thumbprint) -> Self {
        self.thumbprint = Some(thumbprint);
        self
    }

    /// The same, caused by a client at `address`.
    pub const fn from(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same, with a few words.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, with a fact.
    pub fn fact(mut self, fact: Fact, value: impl Into<Cow<'static, str>>) -> Self {
        self.facts.set(fact, value);
        self
    }

    /// The same, for this reason, if there is one that a program can name.
    pub fn because(self, reason: impl Into<Option<Reason>>) -> Self {
        match reason.into() {
            Some(reason) => self.fact(Fact::Reason, reason.name()),
            None => self,
        }
    }

    /// The same, where somebody got in by other means than a key of the account.
    pub fn by_means(self, means: Means) -> Self {
        self.fact(Fact::Means, means.name())
    }
}

/// The key of refusals that are counted in one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Likeness {
    kind: EventKind,
    account_id: Option<AccountId>,
    thumbprint: Option<Thumbprint>,
    network: Option<ClientNetwork>,
    detail: Option<String>,
}

/// Evidence and noise do not share: what of the audit trail an event may push out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Changes of an account, a key or the server. Only age removes them.
    Changes,
    /// Logins, and tokens that were ended. Their number has a bound, and each account has a share
    /// of it for each kind.
    Logins,
    /// Refusals of clients that have something genuine: a key, a token, an assertion. Like refusals
    /// are counted in one entry. They have a bound of their own, and each account has a share of it
    /// for each kind.
    Refusals,
    /// Refusals of clients that have proven nothing: anybody can cause them, about any account.
    /// Like [`Self::Refusals`] they are counted together and have a bound of their own.
    Tries,
    /// Uses of keys. Like uses are counted in one entry. They have a bound of their own, and each
    /// account has a share of it.
    Uses,
}

impl Budget {
    /// For how long like events are counted in one entry; none if each has its own entry.
    pub const fn told_together_for(self) -> Option<Duration> {
        match self {
            Self::Changes | Self::Logins => None,
            Self::Refusals | Self::Tries => Some(Duration::from_hours(1)),
            Self::Uses => Some(Duration::from_hours(24)),
        }
    }
}

/// An entry of the audit trail as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its number; later events have larger ones.
    pub id: u64,
    /// The event.
    pub event: AuditEvent,
    /// The present name of the key.
    pub label: Option<String>,
    /// The administrator who did it, and why; none for events by others.
    pub by: Option<Administrator>,
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// The kinds of event, by their stable names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $variant,)+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, `subject.verb`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

event_kinds! {
    /// An administrator disabled an account.
    AccountDisabled = "account.disabled",
    /// An administrator enabled an account again.
    AccountEnabled = "account.enabled",
    /// An account was registered.
    AccountRegistered = "account.registered",
    /// An account got another name, because the old one looked like an identifier.
    AccountRenamed = "account.renamed",
    /// An administrator changed the scopes of an account.
    AccountScopesChanged = "account.scopes-changed",
    /// Accounts that nobody had ever used were removed.
    AccountsExpired = "accounts.expired",
    /// An administrator made a backup of the database.
    DatabaseBackedUp = "database.backed-up",
    /// The server went on without the write-ahead log of its database: changes may be lost.
    DatabaseLossAccepted = "database.loss-accepted",
    /// Everything in the file of one server was moved into a database that several share.
    DatabaseMoved = "database.moved",
    /// The database was restored from a backup.
    DatabaseRestored = "database.restored",
    /// An administrator made an invitation.
    InvitationCreated = "invitation.created",
    /// An administrator withdrew an invitation.
    InvitationWithdrawn = "invitation.withdrawn",
    /// An account added a key.
    KeyAdded = "key.added",
    /// A change of an account's keys was refused: the proof was too weak for that.
    KeyChangeRefused = "key.change-refused",
    /// An account lost a key that it never proved: another account has proven it.
    KeyClaimLost = "key.claim-lost",
    /// A key ended by itself: a visit was over, or a browser had not logged in for long.
    KeyExpired = "key.expired",
    /// The content of an online keyring was replaced.
    KeyringContentChanged = "keyring.content-changed",
    /// An online keyring was deleted.
    KeyringDeleted = "keyring.deleted",
    /// Somebody has begun to open an online keyring with a password or a recovery code. If it was the right
    /// one, [`KeyringOpened`](Self::KeyringOpened) follows.
    KeyringOpenBegun = "keyring.open-begun",
    /// An online keyring was opened: its sealed document was given out.
    KeyringOpened = "keyring.opened",
    /// An online keyring was not opened: a wrong password or recovery code, or a login that was over.
    KeyringOpenRefused = "keyring.open-refused",
    /// An earlier content of an online keyring was restored.
    KeyringRestored = "keyring.restored",
    /// An online keyring was stored, or replaced with all its slots.
    KeyringStored = "keyring.stored",
    /// A key got another name.
    KeyRenamed = "key.renamed",
    /// A key was revoked, by its owner or an administrator.
    KeyRevoked = "key.revoked",
    /// A key has signed requests: of one account, from one client network, within one day.
    KeyUsed = "key.used",
    /// A key was used from a client network that it was not seen in before, nor for the first time.
    KeyUsedFromNewPlace = "key.used-from-new-place",
    /// A login with a known key, or the right password, was refused.
    LoginRefused = "login.refused",
    /// An account logged in.
    LoginSucceeded = "login.succeeded",
    /// A lost master key was given up, and with it everything that only it opened.
    MasterKeyAbandoned = "master-key.abandoned",
    /// The master key was changed.
    MasterKeyChanged = "master-key.changed",
    /// A passkey was refused because its signature counter had not grown: there may be a copy of it.
    PasskeyCounterRegressed = "passkey.counter-regressed",
    /// A proof or an assertion that had been used came again.
    ProofReplayed = "proof.replayed",
    /// An administrator made a code that lets somebody back into an account.
    RecoveryCreated = "recovery.created",
    /// A recovery of an account was refused: a wrong code.
    RecoveryRefused = "recovery.refused",
    /// Somebody got into an account with a recovery code.
    RecoveryUsed = "recovery.used",
    /// A login with a password was refused: a wrong one.
    PasswordRefused = "password.refused",
    /// Refusals were so many that some were not written down.
    RefusalsDropped = "refusals.dropped",
    /// A registration was refused: a wrong enrolment code, or enrolment is closed.
    RegistrationRefused = "registration.refused",
    /// A new signing key was made.
    SigningKeyCreated = "signing-key.created",
    /// A signing key left the JWKS.
    SigningKeyRemoved = "signing-key.removed",
    /// An administrator rotated the signing keys ahead of time.
    SigningKeyRotated = "signing-key.rotated",
    /// A token was refused although its signature is good: its key, account or the token is revoked, or another key used it.
    TokenRefused = "token.refused",
    /// A token was revoked.
    TokenRevoked = "token.revoked",
}

impl EventKind {
    /// The budget that events of this kind count against.
    pub const fn budget(self) -> Budget {
        match self {
            Self::AccountDisabled
            | Self::AccountEnabled
            | Self::AccountRegistered
            | Self::AccountRenamed
            | Self::AccountScopesChanged
            | Self::AccountsExpired
            | Self::DatabaseBackedUp
            | Self::DatabaseLossAccepted
            | Self::DatabaseMoved
            | Self::DatabaseRestored
            | Self::InvitationCreated
            | Self::InvitationWithdrawn
            | Self::KeyAdded
            | Self::KeyClaimLost
            | Self::KeyExpired
            | Self::KeyringDeleted
            | Self::KeyringRestored
            | Self::KeyringStored
            | Self::KeyRenamed
            | Self::KeyRevoked
            | Self::MasterKeyAbandoned
            | Self::MasterKeyChanged
            | Self::RecoveryCreated
            | Self::RecoveryUsed
            | Self::SigningKeyCreated
            | Self::SigningKeyRemoved
            | Self::SigningKeyRotated => Budget::Changes,
            Self::KeyUsedFromNewPlace
            | Self::KeyringContentChanged
            | Self::KeyringOpened
            | Self::LoginSucceeded
            | Self::TokenRevoked => Budget::Logins,
            Self::KeyUsed => Budget::Uses,
            Self::KeyChangeRefused
            | Self::LoginRefused
            | Self::PasskeyCounterRegressed
            | Self::ProofReplayed
            | Self::TokenRefused => Budget::Refusals,
            Self::KeyringOpenBegun
            | Self::KeyringOpenRefused
            | Self::PasswordRefused
            | Self::RecoveryRefused
            | Self::RefusalsDropped
            | Self::RegistrationRefused => Budget::Tries,
        }
    }

    /// Events that the schedule of signing keys causes by itself.
    pub const OF_SCHEDULE: [Self; 2] = [Self::SigningKeyCreated, Self::SigningKeyRemoved];
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text).ok_or(UnknownEventKind)
    }
}

/// Not the name of an event kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the name of an audit event")]
pub struct UnknownEventKind;

/// Which entries of the audit trail to read. Every condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those about this account.
    pub account_id: Option<AccountId>,
    /// Only those about this key.
    pub thumbprint: Option<Thumbprint>,
    /// Only those of one of these kinds; of all kinds where there are none.
    pub kinds: Vec<EventKind>,
    /// Only those at or after this time.
    pub since: Option<UnixTime>,
    /// Only those before this time.
    pub until: Option<UnixTime>,
    /// Only those with a smaller number: the next page.
    pub before: Option<u64>,
    /// Not what the schedule of signing keys did by itself ([`EventKind::OF_SCHEDULE`]).
    pub without_schedule: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_that_reads_back() {
        for kind in EventKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
        }
        assert_eq!("login".parse::<EventKind>(), Err(UnknownEventKind));
    }
}
