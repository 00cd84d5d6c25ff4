//! Tokens after they were issued: standing, introspection, revocation.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use countersign_protocol::{
    AccountId, UnixTime,
    keys::{PublicKey, Thumbprint},
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims, verify::AccessToken},
};
use parking_lot::{Mutex, RwLock};
use thiserror::Error;

use crate::{
    account::{Account, AccountName, AccountStatus, Username},
    audit::{AuditEvent, EventKind},
    authority::Authority,
    caller::Caller,
    live::KnownCredential,
    ports::StoreError,
};

/// The scope that lets an account introspect the tokens of others.
const INTROSPECT: &str = "introspect";

/// What introspection says of a token (RFC 7662 §2.2).
#[derive(Clone, Debug)]
pub enum Introspection {
    /// It is good.
    Active {
        /// What it says.
        claims: Box<AccessTokenClaims>,
        /// The name of its account.
        username: Username,
    },
    /// It is not, or the caller may not know.
    Inactive,
}

/// Who logged in for a token.
#[derive(Clone, Debug)]
pub enum LoggedIn {
    /// An account with a key.
    WithCredential(Arc<KnownCredential>),
    /// An account with its password.
    WithPassword(Box<Account>),
}

impl LoggedIn {
    /// The account.
    pub fn account(&self) -> &Account {
        match self {
            Self::WithCredential(known) => &known.account,
            Self::WithPassword(account) => account,
        }
    }
}

impl Authority {
    /// Who logged in for a token that verified, if the token is still good: neither it, nor the
    /// credential, nor the account has been revoked or disabled since.
    ///
    /// A token whose credential is not in the store is one that a password was given for and that is
    /// bound to a key of no account: then the account decides alone. Once somebody has proven to
    /// have that key, its standing counts; who only claims it does not matter. Of what was revoked
    /// long since the store keeps no more than that it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn standing(
        &self,
        claims: &AccessTokenClaims,
    ) -> Result<Option<LoggedIn>, StoreError> {
        if self.revoked_tokens.contains(&claims.token_id) {
            return Ok(None);
        }
        if let Some(known) = self.live.get(&claims.credential, &*self.ports.credentials).await? {
            let is_good = known.is_live() && known.account.id == claims.account_id;
            return Ok(is_good.then_some(LoggedIn::WithCredential(known)));
        }
        if self.ports.credentials.is_taken(&claims.credential).await? {
            return Ok(None);
        }
        let active = self.active_account(claims.account_id).await?;
        Ok(active.map(|account| LoggedIn::WithPassword(Box::new(account))))
    }

    /// Whether a token that is bound to no key, and that verified, is still good: neither it has
    /// been revoked since, nor its account disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unbound_standing(&self, claims: &UnboundClaims) -> Result<bool, StoreError> {
        let revoked = self.revoked_tokens.contains(&claims.token_id);
        Ok(!revoked && self.active_account(claims.account_id).await?.is_some())
    }

    async fn active_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let account = self.ports.accounts.account(&AccountName::Id(id)).await?;
        Ok(account.filter(|account| account.status == AccountStatus::Active))
    }

    /// Says whether `token` is good (RFC 7662). The caller may ask about tokens of its own account,
    /// and about others with the scope `introspect`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn introspect(
        &self,
        token: &str,
        caller: &Caller,
    ) -> Result<Introspection, StoreError> {
        let Some(claims) = self.verified_claims(token, self.now()) else {
            return Ok(Introspection::Inactive);
        };
        let own = claims.account_id == caller.account.id;
        if !own && !caller.account.scopes.contains(INTROSPECT) {
            return Ok(Introspection::Inactive);
        }
        Ok(match self.standing(&claims).await? {
            Some(known) => Introspection::Active {
                claims: Box::new(claims),
                username: known.account().username.clone(),
            },
            None => Introspection::Inactive,
        })
    }

    /// Revokes `token` (RFC 7009). Whoever holds a token may end it; a caller that authenticates
    /// itself may end only its own. What is no token of this server is revoked already.
    ///
    /// # Errors
    /// When it is somebody else's, or the store fails.
    pub async fn revoke_token(
        &self,
        token: &str,
        caller: Option<&Caller>,
        address: IpAddr,
    ) -> Result<(), RevokeTokenError> {
        let now = self.now();
        let Some(claims) = self.verified_claims(token, now) else { return Ok(()) };
        if caller.is_some_and(|caller| caller.account.id != claims.account_id) {
            return Err(RevokeTokenError::NotOwner);
        }
        let event = AuditEvent::new(now, EventKind::TokenRevoked)
            .account(claims.account_id)
            .key(claims.bound_to)
            .from(address);
        // In memory first: from here on the token is refused, whatever becomes of the store.
        let expires_at = claims.expires_at + self.policy.skew;
        self.revoked_tokens.insert(claims.token_id.clone(), expires_at);
        self.revocation_feed.forget();
        let revocations = &self.ports.revocations;
        let written = revocations.revoke_token(&claims.token_id, expires_at, event.clone()).await;
        if written.is_err() {
            // Housekeeping tries again: what is refused now must be refused after a restart too.
            let jti = claims.token_id;
            self.revoked_tokens.write_later(LateRevocation { jti, expires_at, event });
        }
        Ok(written?)
    }

    /// An account and its live public keys, oldest first, for resource servers that verify what it signs; `None`
    /// when there is no such account or it is disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account_keys(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, Vec<PublicKey>)>, StoreError> {
        let account = self.ports.accounts.account(name).await?;
        let active = account.filter(|account| account.status == AccountStatus::Active);
        let Some(account) = active else { return Ok(None) };
        let mut live = self.live_keys(account.id).await?;
        live.sort_by_key(|known| known.credential.created_at);
        let keys = live.iter().map(|known| known.credential.public_key.clone()).collect();
        Ok(Some((account, keys)))
    }

    /// Notes that a resource refused a request with a genuine token, or signed by a genuine key.
    pub fn note_refused_request(
        &self,
        (account_id, key): (AccountId, Thumbprint),
        replayed: bool,
        reason: &str,
        address: IpAddr,
    ) {
        let kind = if replayed { EventKind::ProofReplayed } else { EventKind::TokenRefused };
        let event = AuditEvent::new(self.now(), kind).account(account_id);
        self.trail.note(event.key(key).from(address).detail(reason));
    }

    fn verified_claims(&self, token: &str, now: UnixTime) -> Option<AccessTokenClaims> {
        let token = AccessToken::parse(token).ok()?;
        let key = self.signing_keys.public_key(&token.kid()?, now)?;
        token.verify_as_issuer(&key, self.policy.issuer(), self.policy.skew, now).ok()
    }
}

/// The ids of revoked tokens, until they end by themselves.
#[derive(Default)]
pub(crate) struct RevokedTokens {
    ends: RwLock<HashMap<String, UnixTime>>,
    /// Those that the store does not know yet.
    late: Mutex<Vec<LateRevocation>>,
}

/// A revocation that could not be written when it came.
#[derive(Clone, Debug)]
pub(crate) struct LateRevocation {
    pub(crate) jti: String,
    pub(crate) expires_at: UnixTime,
    pub(crate) event: AuditEvent,
}

/// How many revocations may wait for a store that fails.
const MAX_LATE: usize = 10_000;

impl RevokedTokens {
    pub(crate) fn contains(&self, jti: &str) -> bool {
        self.ends.read().contains_key(jti)
    }

    pub(crate) fn insert(&self, jti: String, expires_at: UnixTime) {
        self.ends.write().insert(jti, expires_at);
    }

    /// Those that have not ended at `now`.
    pub(crate) fn ids(&self, now: UnixTime) -> Vec<String> {
        let own = self.ends.read();
        let live = own.iter().filter(|(_, expires_at)| **expires_at > now);
        live.map(|(jti, _)| jti.clone()).collect()
    }

    pub(crate) fn add(&self, tokens: Vec<(String, UnixTime)>) {
        let mut own = self.ends.write();
        own.extend(tokens);
    }

    /// Keeps a revocation until it is [written](Self::written). Who made it was told that it failed.
    fn write_later(&self, revocation: LateRevocation) {
        let mut late = self.late.lock();
        if late.len() < MAX_LATE && late.iter().all(|known| known.jti != revocation.jti) {
            late.push(revocation);
        }
    }

    /// Those that wait to be written, and have not ended at `now`.
    pub(crate) fn unwritten(&self, now: UnixTime) -> Vec<LateRevocation> {
        let mut late = self.late.lock();
        late.retain(|revocation| revocation.expires_at > now);
        late.clone()
    }

    /// The store knows of `jti` now.
    pub(crate) fn written(&self, jti: &str) {
        self.late.lock().retain(|revocation| revocation.jti != jti);
    }

    pub(crate) fn forget_ended(&self, now: UnixTime) {
        self.ends.write().retain(|_, expires_at| *expires_at > now);
    }
}

/// Why a token is not revoked.
#[derive(Debug, Error)]
pub enum RevokeTokenError {
    /// The caller authenticated itself as another account.
    #[error("the token belongs to another account")]
    NotOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
