//! How much and how often: allowances, places to wait in, and how long records are kept.

use std::time::Duration;

use countersign_protocol::{AccountId, ClientNetwork, keys::Thumbprint};
use thiserror::Error;

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
    /// The network of a client.
    Network(ClientNetwork),
    /// An account.
    Account(AccountId),
    /// A key that has signed.
    Key(Thumbprint),
    /// A name that may not exist, by its SHA-256.
    Name([u8; 32]),
    /// Such a name at one client network, by the SHA-256 of both.
    NameAt([u8; 32]),
}

/// Why somebody is not let in who is counted before anything is done for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAdmitted {
    /// The allowance is used up.
    #[error("too many requests; try again in {} s", .retry_after.as_secs() + 1)]
    TooMany {
        /// When the next one will be allowed.
        retry_after: Duration,
    },
    /// What counts is away. Nobody knows how many there were, so there may have been too many.
    #[error("requests cannot be counted for now")]
    Unavailable,
}

impl NotAdmitted {
    /// Whether what was `taken` was there, for an act that an empty allowance makes slower and does not
    /// stop.
    ///
    /// # Errors
    /// When nobody knows.
    pub fn is_within(taken: Result<(), Self>) -> Result<bool, Self> {
        match taken {
            Ok(()) => Ok(true),
            Err(Self::TooMany { .. }) => Ok(false),
            Err(Self::Unavailable) => Err(Self::Unavailable),
        }
    }
}

/// How much of the audit trail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older events go.
    pub max_age: Duration,
    /// When there are more logins than this, the oldest of the accounts with the most of one kind
    /// are removed. Changes are removed by age alone.
    pub max_events: u64,
    /// When there are more entries of refusals than this, the oldest of the accounts with the most
    /// of one kind are removed. Tries of clients that have proven nothing have the same limit and
    /// are counted apart. If there are more accounts and kinds than this, each keeps its newest
    /// entry, and the oldest of these are removed.
    pub max_refusals: u64,
    /// When there are more entries of uses of keys than this, the oldest of the accounts with the
    /// most are removed.
    pub max_uses: u64,
}

/// How many may do it at once, and wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// How many do it at once.
    pub at_once: usize,
    /// How many may wait for their turn, of all clients together. More are refused at once.
    pub waiting: usize,
    /// How many one client network, or account where accounts take turns, may have of both together.
    pub each: usize,
}

impl TurnLimits {
    /// Turns of accounts at reading their audit trails. To look through as much as one request may takes
    /// some milliseconds, and the account app asks for two pages at once.
    pub const OF_TRAILS: Self = Self { at_once: 1, waiting: 512, each: 8 };
}
