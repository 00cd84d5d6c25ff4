//! What was revoked before its time.

use std::time::Duration;

use async_trait::async_trait;
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::StoreError;
use crate::model::audit::AuditEvent;

/// How many revoked keys of one account are read, the latest ones.
pub const KEYS_OF_EACH_ACCOUNT: u32 = 33;

/// No token lives longer, whatever is configured: it is an hour more than the largest setting.
pub const LONGEST_TOKEN: Duration = Duration::from_hours(25);

/// What was revoked before its time.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Revokes a token. Revoking twice is fine.
    async fn revoke_token(&self, token: RevokedToken, event: AuditEvent) -> Result<(), StoreError>;

    /// The revoked tokens that would not have ended at `now`: at most `limit` one by one, those that
    /// end last first.
    async fn revoked_tokens(
        &self,
        now: UnixTime,
        limit: u32,
    ) -> Result<RevokedTokenList, StoreError>;

    /// What a feed says, all of one moment: two answers with one sequence number say the same, and one with
    /// a larger number lacks nothing of what the other has, as far as it has not ended.
    async fn revocations(&self, asked: AskedRevocations) -> Result<Revocations, StoreError>;
}

/// A token that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Its `jti`.
    pub token_id: String,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its `iat`.
    pub issued_at: UnixTime,
    /// From when on nobody would accept it anyway.
    pub expires_at: UnixTime,
}

/// Every token that was issued up to a moment counts as revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedBefore {
    /// That moment.
    pub issued_at: UnixTime,
    /// From then on the revoked ones among them have ended.
    pub expires_at: UnixTime,
}

/// What a feed asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedRevocations {
    /// Keys and accounts whose tokens died by a revocation after that time.
    pub since: UnixTime,
    /// At most so many keys and as many accounts. Of each account there are the latest
    /// [`KEYS_OF_EACH_ACCOUNT`] keys. First comes the latest key of each account, then the second latest of
    /// each, and so on, so that the limit cuts off keys of those who revoked most; among these, and among
    /// the accounts, the latest comes first.
    pub limit: u32,
    /// Tokens, as [`RevocationStore::revoked_tokens`] tells them, that would not have ended at this time,
    pub now: UnixTime,
    /// and whose revocation came after this sequence number;
    pub after: u64,
    /// at most so many one by one.
    pub token_limit: u32,
}

/// What was revoked, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Grows with each revocation. All that was revoked up to this value is here, or was there to be asked
    /// for with a smaller [`AskedRevocations::after`], and nothing else.
    pub sequence: u64,
    /// Keys and accounts.
    pub shut_out: ShutOut,
    /// Tokens.
    pub tokens: RevokedTokenList,
}

/// The revoked tokens of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokedTokenList {
    /// As many as were asked for.
    pub tokens: Vec<RevokedToken>,
    /// Accounts whose tokens were all ended at a moment: their secret was replaced by an
    /// administrator's word, or they were disabled until then.
    pub accounts: Vec<(AccountId, RevokedBefore)>,
    /// The times that cover all other tokens: those beyond the limit, and those whose account the
    /// store does not know.
    pub others: Option<RevokedBefore>,
}

impl RevokedTokenList {
    /// Whether it lists and covers nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Keys and accounts that may no longer act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutOut {
    /// The keys that were revoked, in the order of [`AskedRevocations::limit`].
    pub keys: Vec<RevokedKey>,
    /// The accounts that were disabled, and still are.
    pub accounts: Vec<DisabledAccount>,
}

/// A key that was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedKey {
    /// The key.
    pub thumbprint: Thumbprint,
    /// Whose it was.
    pub account_id: AccountId,
    /// When it was revoked.
    pub revoked_at: UnixTime,
}

/// An account that was disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisabledAccount {
    /// The account.
    pub account_id: AccountId,
    /// When it was disabled.
    pub disabled_at: UnixTime,
}
