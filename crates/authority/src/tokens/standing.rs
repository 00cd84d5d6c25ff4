//! Tokens after they were issued: standing, introspection, revocation.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_protocol::{
    AccountId, Principal, ProvenKey, Scopes, UnixTime,
    keys::{PublicKey, Thumbprint},
    tokens::{
        issue::AccessTokenClaims,
        unbound::{UnboundClaims, UnboundToken},
        verify::AccessToken,
    },
};
use thiserror::Error;

use crate::{
    core::{credential_cache::KnownCredential, news::UpToDate, revoked::LateRevocation},
    login::assertion::Caller,
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        audit::{AuditEvent, EventKind, Reason},
    },
    ports::{RevokedToken, StoreError},
    tokens::Tokens,
};

/// The scope that lets an account introspect the tokens of others. Followed by a colon and a resource
/// it is about tokens for that resource only (RFC 7662 §4).
const INTROSPECT: &str = "introspect";

/// A verified token of this server.
#[derive(Clone, Debug)]
pub enum IssuedToken {
    /// An access token, bound to a key.
    Bound(Box<AccessTokenClaims>),
    /// One that is bound to no key.
    Unbound(Box<UnboundClaims>),
}

impl IssuedToken {
    /// Whose it is.
    pub fn account_id(&self) -> AccountId {
        match self {
            Self::Bound(claims) => claims.account_id,
            Self::Unbound(claims) => claims.account_id,
        }
    }

    /// The same as something to be revoked; until `skew` after its end some verifier may accept it.
    fn to_revoke(&self, skew: Duration) -> RevokedToken {
        let (token_id, issued_at, expires_at) = match self {
            Self::Bound(claims) => (&claims.token_id, claims.issued_at, claims.expires_at),
            Self::Unbound(claims) => (&claims.token_id, claims.issued_at, claims.expires_at),
        };
        RevokedToken {
            token_id: token_id.clone(),
            account_id: self.account_id(),
            issued_at,
            expires_at: expires_at + skew,
        }
    }
}

/// Whether `scopes` let an account introspect a token of another one. One that is bound to no key
/// names no resource, because it is for all of them.
fn may_introspect(scopes: &Scopes, token: &IssuedToken) -> bool {
    let bound = |scope: &str| {
        let resource = scope.strip_prefix(INTROSPECT).and_then(|rest| rest.strip_prefix(':'));
        resource.is_some_and(|resource| match token {
            IssuedToken::Bound(claims) => claims.audience.iter().any(|name| name == resource),
            IssuedToken::Unbound(_) => true,
        })
    };
    scopes.contains(INTROSPECT) || scopes.iter().any(bound)
}

/// The answer of introspection about a token (RFC 7662 §2.2).
#[derive(Clone, Debug)]
pub enum Introspection {
    /// It is good.
    Active {
        /// What it says.
        token: IssuedToken,
        /// The name of its account.
        username: Username,
    },
    /// It is not, or the caller may not know.
    Inactive,
}

/// What a client that revokes a token says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RevokingClient<'a> {
    /// Whom it has authenticated itself as.
    pub caller: Option<&'a Caller>,
    /// `client_id`: the token's account or key, by any of their names.
    pub client_id: Option<&'a str>,
}

/// The account and credential behind a token.
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

impl Tokens {
    /// The account and credential behind a verified token, if the token is still good at `now`: neither
    /// the token nor the credential was revoked since, the credential has not expired, and the account
    /// was not disabled. Where the key that it is bound to is another credential, that one counts too.
    ///
    /// A token whose credential is not in the store was issued for a password and is bound to a key
    /// of no account. Then the account alone decides, and when its password is replaced, all
    /// earlier tokens count as revoked. Once an account has proven that key, the key's standing
    /// counts; claims do not matter. Of keys that were revoked long ago the store knows only that
    /// they were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn standing(
        &self,
        claims: &AccessTokenClaims,
        now: UnixTime,
    ) -> Result<Option<LoggedIn>, StoreError> {
        let current = self.core.up_to_date_at(now).await?;
        if current.has_revoked(&claims.token_id, claims.account_id, claims.issued_at) {
            return Ok(None);
        }
        let key = ProvenKey { credential: claims.credential, thumbprint: claims.bound_to };
        self.holder(claims.account_id, key, current, now).await
    }

    /// Whether `principal` could still be let in: for a request that was let in when
    /// [`SigningKeys::withdrawals`](crate::keys::signing::SigningKeys::withdrawals) said `withdrawals`, and that
    /// takes minutes to arrive. A token counts no longer if a signing key was withdrawn since: that may be its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn still_stands(
        &self,
        principal: &Principal,
        withdrawals: u64,
    ) -> Result<bool, StoreError> {
        let Principal { account_id, key, token_id, issued_at, expires_at, .. } = principal;
        let now = self.core.now();
        let may_be_withdrawn =
            token_id.is_some() && self.core.signing_keys.withdrawals() != withdrawals;
        if may_be_withdrawn || now >= *expires_at + self.core.policy.skew {
            return Ok(false);
        }
        let current = self.core.up_to_date().await?;
        if let (Some(token_id), Some(issued_at)) = (token_id, issued_at)
            && current.has_revoked(token_id, *account_id, *issued_at)
        {
            return Ok(false);
        }
        Ok(match key {
            Some(key) => self.holder(*account_id, *key, current, now).await?.is_some(),
            None => self.active_account(*account_id).await?.is_some(),
        })
    }

    /// The account and the credential behind `key`, which has signed for the account, if they may still
    /// act at `now`.
    async fn holder(
        &self,
        account_id: AccountId,
        key: ProvenKey,
        current: UpToDate<'_>,
        now: UnixTime,
    ) -> Result<Option<LoggedIn>, StoreError> {
        if let Some(known) = self.core.credentials.get(&key.credential, current).await? {
            let is_good = known.is_live(now)
                && known.account.id == account_id
                && !self.prover_is_shut_out(key, current, now).await?;
            return Ok(is_good.then_some(LoggedIn::WithCredential(known)));
        }
        if self.core.ports.store.is_taken(&key.credential).await? {
            return Ok(None);
        }
        let active = self.active_account(account_id).await?;
        Ok(active.map(|account| LoggedIn::WithPassword(Box::new(account))))
    }

    /// Whether the key that has signed is not the one that logged in, but a credential itself that may
    /// not act any more: such as a browser that was remembered when somebody signed in from it with a
    /// passkey.
    async fn prover_is_shut_out(
        &self,
        key: ProvenKey,
        current: UpToDate<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        if key.thumbprint == key.credential {
            return Ok(false);
        }
        self.core.credentials.is_shut_out(&key.thumbprint, current, now).await
    }

    /// Whether a token that is bound to no key, and that verified, is still good: neither it has
    /// been revoked since, nor its account disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unbound_standing(&self, claims: &UnboundClaims) -> Result<bool, StoreError> {
        Ok(self.unbound_account(claims).await?.is_some())
    }

    /// The account of an unbound token that is still good.
    async fn unbound_account(&self, claims: &UnboundClaims) -> Result<Option<Account>, StoreError> {
        let UnboundClaims { token_id, account_id, issued_at, .. } = claims;
        if self.core.up_to_date().await?.has_revoked(token_id, *account_id, *issued_at) {
            return Ok(None);
        }
        self.active_account(*account_id).await
    }

    async fn active_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let account = self.core.ports.store.account(&AccountName::Id(id)).await?;
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
        let now = self.core.now();
        let Some(token) = self.issued_token(token, now).await? else {
            return Ok(Introspection::Inactive);
        };
        if !self.may_ask(caller, &token).await? {
            return Ok(Introspection::Inactive);
        }
        let username = match &token {
            IssuedToken::Bound(claims) => {
                self.standing(claims, now).await?.map(|known| known.account().username.clone())
            }
            IssuedToken::Unbound(claims) => {
                self.unbound_account(claims).await?.map(|account| account.username)
            }
        };
        Ok(username
            .map_or(Introspection::Inactive, |username| Introspection::Active { token, username }))
    }

    /// Whether `caller` may know about `token`. What memory lacks of its scopes, an administrator may have
    /// granted a moment ago.
    async fn may_ask(&self, caller: &Caller, token: &IssuedToken) -> Result<bool, StoreError> {
        let Account { id, scopes, .. } = &caller.account;
        if token.account_id() == *id || may_introspect(scopes, token) {
            return Ok(true);
        }
        let account = self.active_account(*id).await?;
        Ok(account.is_some_and(|account| may_introspect(&account.scopes, token)))
    }

    /// Revokes `token` (RFC 7009). Anybody who holds a token may end it; a caller that
    /// authenticates itself may end only its own. A text that is no token of this server counts as
    /// revoked already.
    ///
    /// # Errors
    /// When it is somebody else's, or a session of signed messages, or the store fails.
    pub async fn revoke_token(
        &self,
        token: &str,
        client: RevokingClient<'_>,
        address: IpAddr,
    ) -> Result<(), RevokeTokenError> {
        let now = self.core.now();
        let Some(issued) = self.issued_token(token, now).await? else {
            let sessions = self.sessions.of(self.core.epoch().id);
            let is_session = sessions.verify(token, now).is_ok();
            return if is_session { Err(RevokeTokenError::Session) } else { Ok(()) };
        };
        self.check_revoking(client, &issued).await?;
        let event = AuditEvent::new(now, EventKind::TokenRevoked).account(issued.account_id());
        let event = match &issued {
            IssuedToken::Bound(claims) => event.key(claims.bound_to),
            IssuedToken::Unbound(_) => event.detail("unbound"),
        };
        // In memory first: from now on the token is refused, even if the store fails.
        let token = issued.to_revoke(self.core.policy.skew);
        if self.core.revoked.insert(token.clone()) {
            self.core.feed.forget();
        }
        let revocations = &self.core.ports.store;
        let event = event.from(address);
        let written = revocations.revoke_token(token.clone(), event.clone()).await;
        if written.is_err() {
            // Housekeeping tries again, because the token must be refused after a restart too.
            self.core.revoked.write_later(LateRevocation { token, event });
        }
        Ok(written?)
    }

    /// A token is ended for its own account only, if the client says who it is.
    async fn check_revoking(
        &self,
        client: RevokingClient<'_>,
        token: &IssuedToken,
    ) -> Result<(), RevokeTokenError> {
        let account = token.account_id();
        if client.caller.is_some_and(|caller| caller.account.id != account) {
            return Err(RevokeTokenError::NotOwner);
        }
        let Some(name) = client.client_id else { return Ok(()) };
        let key = name.parse::<Thumbprint>().ok();
        let is_client =
            matches!(token, IssuedToken::Bound(claims) if key == Some(claims.credential));
        let is_own = is_client || self.core.account_id_of(name).await? == Some(account);
        is_own.then_some(()).ok_or(RevokeTokenError::NotOwner)
    }

    /// Notes that a resource refused a request with a genuine token, or signed by a genuine key: why, and the
    /// same in words.
    pub fn note_refused_request(
        &self,
        (account_id, key): (AccountId, Thumbprint),
        (reason, words): (Reason, &str),
        address: IpAddr,
    ) {
        let replayed = reason == Reason::UsedBefore;
        let kind = if replayed { EventKind::ProofReplayed } else { EventKind::TokenRefused };
        let event = AuditEvent::new(self.core.now(), kind).account(account_id);
        let event = event.key(key).from(address);
        self.core.pending_events.note(event.because(reason).detail(words));
    }

    /// `text` as a token of this server, if it verifies.
    async fn issued_token(
        &self,
        text: &str,
        now: UnixTime,
    ) -> Result<Option<IssuedToken>, StoreError> {
        let kid = UnboundToken::parse(text).ok().and_then(|token| token.kid());
        let Some(kid) = kid else { return Ok(None) };
        let key = self.core.issuer_key(&kid, now).await?;
        Ok(key.and_then(|key| self.verified(text, &key, now)))
    }

    /// `text` as a token that the owner of `key` signed, if it verifies.
    fn verified(&self, text: &str, key: &PublicKey, now: UnixTime) -> Option<IssuedToken> {
        let (issuer, skew) = (self.core.policy.issuer(), self.core.policy.skew);
        let token = UnboundToken::parse(text).ok()?;
        if token.claims_to_be_an_access_token() {
            let claims = AccessToken::parse(text).ok()?.verify_as_issuer(key, issuer, skew, now);
            return claims.ok().map(|claims| IssuedToken::Bound(Box::new(claims)));
        }
        let claims = token.verify(key, issuer, skew, now).ok()?;
        Some(IssuedToken::Unbound(Box::new(claims)))
    }
}

/// Why a token is not revoked.
#[derive(Debug, Error)]
pub enum RevokeTokenError {
    /// The caller authenticated itself, or names itself by `client_id`, as another account.
    #[error("the token belongs to another account")]
    NotOwner,
    /// It is a session of signed messages. Anybody gets one for any name, so holding it proves nothing.
    #[error("a session is ended by a signed message to /logout")]
    Session,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
