//! Accounts: the people and programs that log in.

use countersign_protocol::{AccountId, Scopes, UnixTime};

pub use countersign_protocol::names::{AccountName, Fingerprint, InvalidUsername, Username};

/// A person or a program that can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, which never changes.
    pub id: AccountId,
    /// Its unique name.
    pub username: Username,
    /// The fingerprint of its first key, where it was registered by that: its other name.
    pub fingerprint: Option<Fingerprint>,
    /// Whether it may act.
    pub status: AccountStatus,
    /// The scopes that its tokens may carry.
    pub scopes: Scopes,
    /// When it was registered.
    pub registered_at: UnixTime,
    /// When it last logged in.
    pub last_login_at: Option<UnixTime>,
}

impl Account {
    /// Whether `name` names this account.
    pub fn is_called(&self, name: &AccountName) -> bool {
        match name {
            AccountName::Id(id) => *id == self.id,
            AccountName::Fingerprint(fingerprint) => self.fingerprint == Some(*fingerprint),
            AccountName::Username(username) => *username == self.username,
        }
    }
}

/// Whether an account may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may log in and use its tokens.
    Active,
    /// Every login and every token of it is refused.
    Disabled,
}

impl AccountStatus {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}
