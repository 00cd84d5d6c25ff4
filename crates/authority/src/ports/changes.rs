//! What others changed in a store: administrators, and other servers.

use countersign_protocol::{AccountId, keys::Thumbprint};

use super::RevokedTokenList;

/// Up to where a handle on a store has heard of changes. It means something to the handle that gave it,
/// and to no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCursor(u64);

impl ChangeCursor {
    /// The cursor with this number, which the store chooses.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number that it was made with.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The answer of a store that is asked what others changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesSince {
    /// What they changed.
    pub changes: Changes,
    /// Whoever asks with this one is told of what is changed from now on.
    pub cursor: ChangeCursor,
}

/// What was changed. Whoever keeps something in memory forgets it, or takes it over. To be told of the
/// same change twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Anything may have changed.
    Everything,
    /// This, and nothing else.
    These(Changed),
}

impl Changes {
    /// Nothing has changed.
    pub fn none() -> Self {
        Self::These(Changed::default())
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(changed) if *changed == Changed::default())
    }
}

/// Single changes. Logins and times of last use are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys that were added, proven, renamed, given another end, or revoked.
    pub keys: Vec<ChangedKey>,
    /// Accounts whose status or scopes were changed, or that are gone. Their keys need not be in
    /// [`Self::keys`].
    pub accounts: Vec<AccountId>,
    /// Tokens that were revoked, and accounts whose tokens were ended.
    pub tokens: RevokedTokenList,
    /// Whether signing keys were made, given another life, or removed.
    pub signing_keys: bool,
}

/// A key that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedKey {
    /// The key.
    pub thumbprint: Thumbprint,
    /// The account that it was changed for. A key that one account claimed and another has proven is
    /// told once for each.
    pub account_id: AccountId,
}
