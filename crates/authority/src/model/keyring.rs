//! Online keyrings: sealed documents of accounts, which the server keeps and cannot open.

use std::{fmt, str::FromStr, time::Duration};

use countersign_protocol::UnixTime;
use thiserror::Error;

use crate::model::limits::TurnLimits;

pub use countersign_protocol::keyring_document::{
    InvalidKeyring, KeyringContent, KeyringDocument, Opener, Slot, SlotId, SlotKind,
};

/// How much of online keyrings there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyringPolicy {
    /// The longest ciphertext, in bytes.
    pub max_bytes: usize,
    /// How many evaluations of OPAQUE go on at once, and may wait. Each takes a fraction of a
    /// millisecond of a processor.
    pub turns: TurnLimits,
    /// Which earlier contents are kept.
    pub keeping: Keeping,
    /// How large they may become.
    pub growth: Growth,
}

/// How large online keyrings may become, so that accounts which cost nothing do not fill the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// How many bytes the contents of all accounts may have together, earlier ones included. An account may
    /// always have as many as it has.
    pub total_bytes: u64,
    /// For how long an account is recent, in whole days of UTC. All recent accounts together may have half
    /// of the total, so that accounts which strangers make do not keep out those that were there before.
    pub recent: Duration,
    /// For how long an account is young.
    pub young: Duration,
    /// How many bytes the content of a young account may have. All its earlier contents may have
    /// [`EARLIER_CONTENTS`] times as many.
    pub young_bytes: u64,
}

impl Growth {
    /// How many bytes the contents of all recent accounts may have together.
    #[must_use]
    pub const fn recent_bytes(&self) -> u64 {
        self.total_bytes / 2
    }

    /// Accounts that were registered after this [`day`] are recent at `now`.
    #[must_use]
    pub fn recent_after(&self, now: UnixTime) -> u64 {
        day(now - self.recent)
    }

    /// Whether an account is recent at `now`.
    #[must_use]
    pub fn is_recent(&self, registered_at: UnixTime, now: UnixTime) -> bool {
        day(registered_at) > self.recent_after(now)
    }

    /// Which earlier contents are kept of an account that is young, where `keeping` says it for others.
    #[must_use]
    pub fn while_young(self, keeping: Keeping) -> Keeping {
        let bytes = self.young_bytes.saturating_mul(EARLIER_CONTENTS);
        Keeping { bytes: keeping.bytes.min(bytes), ..keeping }
    }
}

/// How many days of UTC were over at `time`, since 1970.
#[must_use]
pub const fn day(time: UnixTime) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

/// All earlier contents of a keyring together may have this many times the bytes of the longest content.
pub const EARLIER_CONTENTS: u64 = 4;

/// Which earlier contents of a keyring are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How many at most.
    pub revisions: u32,
    /// How many bytes they may have together.
    pub bytes: u64,
    /// For how long each is kept after it was replaced, unless its owner allows that it goes.
    pub at_least: Duration,
}

/// Whether the owner of a keyring has allowed, by a step-up, that a change loses an earlier content or brings
/// one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The change is refused if it does either.
    Lacking,
    /// The change is made.
    Given,
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revisions, bytes, at_least } = self;
        let days = at_least.as_secs() / (24 * 60 * 60);
        write!(
            f,
            "there is no room for another earlier content, because all were replaced less than {days} days \
             ago (limits.keyring_revision_days): {revisions} of at most {bytes} bytes together are kept \
             (limits.keyring_revisions; {EARLIER_CONTENTS} times limits.keyring_bytes, or \
             limits.keyring_young_bytes of a young account)"
        )
    }
}

impl Default for KeyringPolicy {
    fn default() -> Self {
        let turns = TurnLimits { at_once: 1, waiting: 1280, each: 65 };
        let keeping = Keeping {
            revisions: 20,
            bytes: EARLIER_CONTENTS * 1024 * 1024,
            at_least: Duration::from_hours(24 * 30),
        };
        let growth = Growth {
            total_bytes: 8 * 1024 * 1024 * 1024,
            recent: Duration::from_hours(24 * 30),
            young: Duration::from_hours(24 * 7),
            young_bytes: 64 * 1024,
        };
        Self { max_bytes: 1024 * 1024, turns, keeping, growth }
    }
}

/// The number of a content of an account's keyring. Each change of it has a larger one, also after the
/// keyring was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an owner knows and OPAQUE opens a slot with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// A password.
    Password,
    /// A recovery code.
    Recovery,
}

impl Knowledge {
    /// The kind of its slot.
    pub const fn slot(self) -> SlotKind {
        match self {
            Self::Password => SlotKind::Password,
            Self::Recovery => SlotKind::Recovery,
        }
    }
}

impl FromStr for Knowledge {
    type Err = UnknownKnowledge;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "password" => Ok(Self::Password),
            "recovery" => Ok(Self::Recovery),
            _ => Err(UnknownKnowledge),
        }
    }
}

/// Not a kind of slot that OPAQUE opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("kind is password or recovery")]
pub struct UnknownKnowledge;

/// What the server keeps of a password or a recovery code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnowledgeRecord {
    /// Under which identifier OPAQUE knows it.
    pub user: [u8; 32],
    /// The record of OPAQUE.
    pub record: Vec<u8>,
}

/// What the owner may know of a keyring without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringSummary {
    /// The number of the content.
    pub revision: Revision,
    /// Since when that is the content.
    pub updated_at: UnixTime,
    /// The length of the ciphertext in bytes.
    pub size: u64,
    /// The slots.
    pub slots: Vec<KnownSlot>,
}

/// A slot that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSlot {
    /// The slot.
    pub slot: Slot,
    /// When it was made.
    pub created_at: UnixTime,
    /// Whether it is for a passkey that is no live one of the account any more.
    pub passkey_revoked: bool,
}

/// An earlier content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRevision {
    /// Its number.
    pub revision: Revision,
    /// Since when it was the content.
    pub updated_at: UnixTime,
    /// Until when it was the content.
    pub replaced_at: UnixTime,
    /// The length of its ciphertext in bytes.
    pub size: u64,
}
