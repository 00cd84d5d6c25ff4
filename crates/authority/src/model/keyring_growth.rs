//! How large online keyrings may become: of all accounts together, of recent accounts together, and of an
//! account that is young.

use countersign_protocol::UnixTime;
use thiserror::Error;

use super::keyring::{Growth, Keeping, KeyringContent};

/// How many bytes the contents of keyrings have before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The content of the account.
    pub present: u64,
    /// The earlier contents of the account.
    pub earlier: u64,
    /// All contents of all [recent](Growth::recent) accounts.
    pub recent: u64,
    /// All contents of all accounts.
    pub all: u64,
}

/// The bound for one account at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    growth: Growth,
    is_young: bool,
    held: Held,
    /// How many bytes may be added, and what bounds them.
    room: (u64, KeyringTooLarge),
}

impl Bound {
    /// The bound at `now` for an account that was registered at `registered_at`.
    #[must_use]
    pub fn new(growth: Growth, registered_at: UnixTime, held: Held, now: UnixTime) -> Self {
        let is_young = now.since(registered_at) < growth.young;
        let all = growth.total_bytes.saturating_sub(held.all);
        let recent = growth.recent_bytes().saturating_sub(held.recent);
        let room = if growth.is_recent(registered_at, now) && recent < all {
            (recent, KeyringTooLarge::RecentAccounts { growth })
        } else {
            (all, KeyringTooLarge::AllTogether { limit: growth.total_bytes })
        };
        Self { growth, is_young, held, room }
    }

    /// How many bytes all contents of the account may have: always as many as they have already.
    fn own_bytes(&self) -> u64 {
        let Held { present, earlier, .. } = self.held;
        present.saturating_add(earlier).saturating_add(self.room.0)
    }

    /// Sees that `content` is not too long for the account.
    ///
    /// # Errors
    /// When it is.
    pub fn check(&self, content: &KeyringContent) -> Result<(), KeyringTooLarge> {
        let (bytes, growth) = (content.ciphertext.len() as u64, self.growth);
        if self.is_young && bytes > growth.young_bytes {
            return Err(KeyringTooLarge::YoungAccount { bytes, growth });
        }
        if bytes <= self.own_bytes() { Ok(()) } else { Err(self.room.1) }
    }

    /// Which earlier contents the account keeps, whatever the others have. A clock that is behind makes no
    /// account young again that has more.
    #[must_use]
    pub fn own_keeping(&self, keeping: Keeping) -> Keeping {
        if !self.is_young {
            return keeping;
        }
        let young = self.growth.while_young(keeping).bytes;
        Keeping { bytes: young.max(self.held.earlier).min(keeping.bytes), ..keeping }
    }

    /// Which earlier contents the account keeps beside `content`, and what makes them fewer than its own
    /// bound does.
    #[must_use]
    pub fn keeping(
        &self,
        keeping: Keeping,
        content: &KeyringContent,
    ) -> (Keeping, Option<KeyringTooLarge>) {
        let own = self.own_keeping(keeping);
        let bytes = self.own_bytes().saturating_sub(content.ciphertext.len() as u64);
        if bytes < own.bytes { (Keeping { bytes, ..own }, Some(self.room.1)) } else { (own, None) }
    }

    /// Whether `content` may be put in the place of the present one, which goes, while all earlier contents
    /// stay.
    #[must_use]
    pub fn fits_beside_earlier(&self, content: &KeyringContent) -> bool {
        let bytes = content.ciphertext.len() as u64;
        self.held.earlier.saturating_add(bytes) <= self.own_bytes()
    }
}

/// There is no room for a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyringTooLarge {
    /// All online keyrings together are as large as may be.
    #[error(
        "all online keyrings together, with their earlier contents, have at most {limit} bytes here \
         (limits.keyring_bytes_total)"
    )]
    AllTogether {
        /// How many bytes they may have.
        limit: u64,
    },
    /// All online keyrings of recent accounts together are as large as may be.
    #[error(
        "all online keyrings of accounts younger than {} days together (limits.keyring_recent_days), with \
         their earlier contents, have at most {} bytes here, half of limits.keyring_bytes_total",
        growth.recent.as_secs() / (24 * 60 * 60), growth.recent_bytes()
    )]
    RecentAccounts {
        /// How many bytes they may have.
        growth: Growth,
    },
    /// The account is too young for one of this length.
    #[error(
        "the ciphertext of a keyring has at most {} bytes (limits.keyring_young_bytes) while the account \
         is younger than {} days (limits.keyring_young_days), this one has {bytes}",
        growth.young_bytes, growth.young.as_secs() / (24 * 60 * 60)
    )]
    YoungAccount {
        /// How many bytes it has.
        bytes: u64,
        /// How many it may have.
        growth: Growth,
    },
}
