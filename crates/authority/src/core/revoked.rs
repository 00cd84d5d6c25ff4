//! The tokens that were revoked before their time, in memory that no number of them exceeds.
//!
//! Tokens are listed one by one for as long as there are few. Of an account that revokes many, the
//! older ones become one moment: every token of the account that was issued up to then counts as
//! revoked. When the entries become too many, all tokens of an account become its moment, first of
//! those accounts that revoked most. Only when the accounts themselves are too many, the same
//! happens to the oldest tokens of all. A client that loses a valid token by that logs in again; a
//! revoked token never counts.

use std::collections::{HashMap, HashSet};

use countersign_protocol::{AccountId, UnixTime};
use parking_lot::{Mutex, RwLock};

use crate::{
    model::audit::AuditEvent,
    ports::{RevokedBefore, RevokedToken, RevokedTokenList},
};

/// How many entries there are at most: tokens, and accounts with a moment of their own. With their
/// identifiers they fill two thirds of the longest feed.
pub(crate) const CAPACITY: usize = 40_000;
/// How many revoked tokens are read from the store one by one.
pub(crate) const READ: u32 = 100_000;
/// How many tokens of one account are listed one by one.
pub(crate) const OF_ONE_ACCOUNT: usize = 32;

/// How many revocations may wait for a store that fails.
const MAX_LATE: usize = 10_000;

/// The revoked tokens, until they end by themselves.
pub(crate) struct RevokedTokens {
    revoked: RwLock<Revoked>,
    capacity: usize,
    /// Those that the store does not know yet.
    late: Mutex<Vec<LateRevocation>>,
    /// Up to which sequence number of the store all of them are here. Locked while they are read.
    pub(crate) read_up_to: tokio::sync::Mutex<u64>,
}

/// A revocation that could not be written when it came.
#[derive(Clone, Debug)]
pub(crate) struct LateRevocation {
    pub(crate) token: RevokedToken,
    pub(crate) event: AuditEvent,
}

#[derive(Default)]
struct Revoked {
    accounts: HashMap<AccountId, OfAccount>,
    /// How many entries `accounts` holds.
    entries: usize,
    /// Which tokens count as revoked, whosesoever they are.
    before: Option<RevokedBefore>,
}

/// The revocations of one account.
#[derive(Default)]
struct OfAccount {
    tokens: Vec<Listed>,
    before: Option<RevokedBefore>,
}

struct Listed {
    id: Box<str>,
    issued_at: UnixTime,
    expires_at: UnixTime,
    /// Whether the store has told it.
    is_stored: bool,
}

/// The part of a feed about revoked tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TokensToList {
    pub(crate) tokens: Vec<String>,
    pub(crate) accounts_before: Vec<(AccountId, UnixTime)>,
    pub(crate) before: Option<UnixTime>,
}

impl Default for RevokedTokens {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl RevokedTokens {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            revoked: RwLock::default(),
            capacity,
            late: Mutex::default(),
            read_up_to: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the token `id` of `account`, issued at `issued_at`, counts as revoked.
    pub(super) fn contains(&self, id: &str, account: AccountId, issued_at: UnixTime) -> bool {
        self.revoked.read().contains(id, account, issued_at)
    }

    /// Adds one that the store does not know yet. Returns whether it was not revoked already.
    pub(crate) fn insert(&self, token: RevokedToken) -> bool {
        let mut revoked = self.revoked.write();
        let is_new = revoked.insert(token, false);
        revoked.shrink_to(self.capacity);
        is_new
    }

    /// Adds what a store remembers.
    pub(crate) fn add(&self, RevokedTokenList { tokens, accounts, others }: RevokedTokenList) {
        let mut revoked = self.revoked.write();
        if let Some(others) = others {
            raise(&mut revoked.before, others);
        }
        for (account, before) in accounts {
            revoked.end_account(account, before);
            revoked.shrink_to(self.capacity);
        }
        for token in tokens {
            revoked.insert(token, true);
            revoked.shrink_to(self.capacity);
        }
    }

    /// Ends every token of `account` of before.
    pub(crate) fn end_account(&self, account: AccountId, before: RevokedBefore) {
        let mut revoked = self.revoked.write();
        revoked.end_account(account, before);
        revoked.shrink_to(self.capacity);
    }

    /// Up to when every token of `account` counts as revoked.
    pub(crate) fn ended_up_to(&self, account: AccountId) -> Option<UnixTime> {
        let revoked = self.revoked.read();
        let own = revoked.accounts.get(&account).and_then(|of| of.before);
        own.into_iter().chain(revoked.before).map(|before| before.issued_at).max()
    }

    /// Keeps a revocation until it is [written](Self::written). Its caller was told that it failed.
    pub(crate) fn write_later(&self, revocation: LateRevocation) {
        let mut late = self.late.lock();
        let is_known = |known: &LateRevocation| known.token.token_id == revocation.token.token_id;
        if late.len() < MAX_LATE && !late.iter().any(is_known) {
            late.push(revocation);
        }
    }

    /// Those that wait to be written, and have not ended at `now`.
    pub(crate) fn unwritten(&self, now: UnixTime) -> Vec<LateRevocation> {
        let mut late = self.late.lock();
        late.retain(|revocation| revocation.token.expires_at > now);
        late.clone()
    }

    /// The store knows of the token `id` now.
    pub(crate) fn written(&self, id: &str) {
        self.late.lock().retain(|revocation| revocation.token.token_id != id);
    }

    /// Forgets what has ended by itself at `now`.
    pub(crate) fn forget_ended(&self, now: UnixTime) {
        let mut revoked = self.revoked.write();
        let is_live = |before: &RevokedBefore| before.expires_at > now;
        revoked.before = revoked.before.filter(is_live);
        revoked.retain(|of| {
            of.tokens.retain(|token| token.expires_at > now);
            of.before = of.before.filter(is_live);
        });
    }

    /// The clock was set back to `now`: tokens that are issued from now on must not fall under a
    /// moment that has not come. The revoked ones that no moment covers any more are listed one by
    /// one again, as `stored`: when the clock is right again, they would count otherwise.
    pub(crate) fn clock_was_set_back(&self, now: UnixTime, stored: RevokedTokenList) {
        let late: Vec<_> = self.late.lock().iter().map(|late| late.token.clone()).collect();
        let mut revoked = self.revoked.write();
        let lower = |before: &mut RevokedBefore| before.issued_at = before.issued_at.min(now);
        revoked.before.iter_mut().for_each(lower);
        revoked.accounts.values_mut().flat_map(|of| &mut of.before).for_each(lower);
        // The ids of these tokens are unknown, so they stay covered.
        if let Some(others) = stored.others {
            raise(&mut revoked.before, others);
        }
        for (account, before) in stored.accounts {
            revoked.end_account(account, before);
            revoked.shrink_to(self.capacity);
        }
        let listed = revoked.accounts.values().flat_map(|of| &of.tokens);
        let mut known: HashSet<String> = listed.map(|token| token.id.to_string()).collect();
        let late = late.into_iter().map(|token| (token, false));
        for (token, is_stored) in stored.tokens.into_iter().map(|token| (token, true)).chain(late) {
            if known.insert(token.token_id.clone()) && !revoked.covers(&token) {
                revoked.list(token, is_stored);
                revoked.shrink_to(self.capacity);
            }
        }
    }

    /// Those that have not ended at `now`. One whose revocation is being written is not among them: it has
    /// no sequence number yet, and a feed of another server with the same number would lack it. One that
    /// could not be written is, if it was among `late` when the store was read: no other server tells it.
    pub(crate) fn to_list(&self, now: UnixTime, late: &[LateRevocation]) -> TokensToList {
        let late: HashSet<_> = late.iter().map(|late| late.token.token_id.as_str()).collect();
        let revoked = self.revoked.read();
        let live = |before: Option<RevokedBefore>| {
            before.filter(|before| before.expires_at > now).map(|before| before.issued_at)
        };
        let mut list = TokensToList { before: live(revoked.before), ..TokensToList::default() };
        for (id, of) in &revoked.accounts {
            list.accounts_before.extend(live(of.before).map(|before| (*id, before)));
            let tokens = of.tokens.iter().filter(|token| token.expires_at > now);
            let tokens = tokens.filter(|token| token.is_stored || late.contains(&*token.id));
            list.tokens.extend(tokens.map(|token| token.id.to_string()));
        }
        list
    }
}

impl Revoked {
    fn contains(&self, id: &str, account: AccountId, issued_at: UnixTime) -> bool {
        let falls_under = |before: Option<RevokedBefore>| {
            before.is_some_and(|before| issued_at <= before.issued_at)
        };
        let of_account =
            |of: &OfAccount| falls_under(of.before) || of.tokens.iter().any(|own| *own.id == *id);
        falls_under(self.before) || self.accounts.get(&account).is_some_and(of_account)
    }

    /// Returns whether `token` did not count as revoked.
    fn insert(&mut self, token: RevokedToken, is_stored: bool) -> bool {
        if self.covers(&token) {
            return false;
        }
        let id = &*token.token_id;
        let known = self.accounts.get_mut(&token.account_id);
        if let Some(known) = known.and_then(|of| of.tokens.iter_mut().find(|own| *own.id == *id)) {
            known.is_stored |= is_stored;
            return false;
        }
        let of = self.list(token, is_stored);
        let had = of.entries();
        if of.tokens.len() > OF_ONE_ACCOUNT
            && let Some(oldest) = of.tokens.iter().map(|token| token.issued_at).min()
        {
            of.collapse(oldest);
        }
        let has = of.entries();
        self.entries = self.entries + has - had;
        true
    }

    /// Every token of `account` of before counts as revoked, and is not listed.
    fn end_account(&mut self, account: AccountId, before: RevokedBefore) {
        let of = self.accounts.entry(account).or_default();
        let had = of.entries();
        raise(&mut of.before, before);
        of.collapse(before.issued_at);
        let has = of.entries();
        self.entries = self.entries + has - had;
    }

    /// Whether `token` falls under a moment, which then lasts until the token ends.
    fn covers(&mut self, token: &RevokedToken) -> bool {
        let of_account = self.accounts.get_mut(&token.account_id);
        let of_account = of_account.and_then(|of| of.before.as_mut());
        for before in self.before.as_mut().into_iter().chain(of_account) {
            if token.issued_at <= before.issued_at {
                before.expires_at = before.expires_at.max(token.expires_at);
                return true;
            }
        }
        false
    }

    /// Lists `token`. Returns the revocations of its account.
    fn list(&mut self, token: RevokedToken, is_stored: bool) -> &mut OfAccount {
        self.entries += 1;
        let of = self.accounts.entry(token.account_id).or_default();
        of.tokens.push(Listed {
            id: token.token_id.into(),
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            is_stored,
        });
        of
    }

    /// Makes room for a quarter of `capacity` when there are more entries than that: at the cost of
    /// the accounts that revoked most, and at the cost of all only if there are too many accounts.
    fn shrink_to(&mut self, capacity: usize) {
        if self.entries <= capacity {
            return;
        }
        let wanted = capacity - capacity / 4;
        self.collapse_largest(wanted);
        if self.entries > wanted {
            self.collapse_oldest();
        }
    }

    /// Turns the tokens of single accounts into one moment of each, those of which most are listed
    /// first, until there are no more than `wanted` entries.
    fn collapse_largest(&mut self, wanted: usize) {
        let sizes = self.accounts.iter().map(|(id, of)| (of.entries(), *id));
        let mut large: Vec<_> = sizes.filter(|(entries, _)| *entries > 1).collect();
        large.sort_unstable_by(|one, other| other.cmp(one));
        for (entries, id) in large {
            if self.entries <= wanted {
                return;
            }
            if let Some(of) = self.accounts.get_mut(&id)
                && let Some(latest) = of.tokens.iter().map(|token| token.issued_at).max()
            {
                of.collapse(latest);
                self.entries = self.entries + of.entries() - entries;
            }
        }
    }

    /// Turns the oldest quarter of all entries into a moment for everybody.
    fn collapse_oldest(&mut self) {
        let moments = self.accounts.values().flat_map(OfAccount::moments);
        let mut issued: Vec<_> = moments.map(|moment| moment.issued_at).collect();
        let quarter = issued.len() / 4;
        let (_, issued_at, _) = issued.select_nth_unstable(quarter);
        let issued_at = *issued_at;
        let gone = self.accounts.values().flat_map(OfAccount::moments);
        let gone = gone.filter(|moment| moment.issued_at <= issued_at);
        let expires_at = gone.map(|moment| moment.expires_at).max().unwrap_or(issued_at);
        raise(&mut self.before, RevokedBefore { issued_at, expires_at });
        self.retain(|of| {
            of.tokens.retain(|token| token.issued_at > issued_at);
            of.before = of.before.filter(|before| before.issued_at > issued_at);
        });
    }

    /// Lets `change` take something from every account, and counts what is left.
    fn retain(&mut self, change: impl Fn(&mut OfAccount)) {
        self.entries = 0;
        let entries = &mut self.entries;
        self.accounts.retain(|_, of| {
            change(of);
            *entries += of.entries();
            of.entries() > 0
        });
        self.accounts.shrink_to(2 * self.accounts.len());
    }
}

impl OfAccount {
    fn entries(&self) -> usize {
        self.tokens.len() + usize::from(self.before.is_some())
    }

    fn moments(&self) -> impl Iterator<Item = RevokedBefore> {
        self.tokens.iter().map(Listed::moment).chain(self.before)
    }

    /// Every token that was issued up to `issued_at` counts as revoked, and is not listed.
    fn collapse(&mut self, issued_at: UnixTime) {
        let gone = self.tokens.iter().filter(|token| token.issued_at <= issued_at);
        for moment in gone.map(Listed::moment) {
            raise(&mut self.before, moment);
        }
        self.tokens.retain(|token| token.issued_at > issued_at);
    }
}

impl Listed {
    const fn moment(&self) -> RevokedBefore {
        RevokedBefore { issued_at: self.issued_at, expires_at: self.expires_at }
    }
}

/// Makes `before` say what `other` says too.
fn raise(before: &mut Option<RevokedBefore>, other: RevokedBefore) {
    let both = before.map_or(other, |before| RevokedBefore {
        issued_at: before.issued_at.max(other.issued_at),
        expires_at: before.expires_at.max(other.expires_at),
    });
    *before = Some(both);
}

#[cfg(test)]
mod tests;
