//! Issuance: the one door through which tokens leave, whatever the login was.

use std::time::Duration;

use countersign_protocol::{
    AccountId, Actor, AuthenticationContext, Scopes, UnixTime,
    ids::uuid_v7,
    keys::Thumbprint,
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims},
};

use crate::{
    core::Core,
    keys::{Signer, SigningKeyError},
    model::{account::Account, key_life::Signs},
    tokens::Tokens,
};

/// A token that is to be issued to an account that has logged in.
pub(crate) struct Issuance<'a> {
    pub(crate) account: &'a Account,
    /// The login that it comes from.
    pub(crate) login: AuthenticationContext,
    /// The key that it is bound to. Without one it is no access token, and guards take it only where
    /// their policy says that bearer tokens count.
    pub(crate) binding: Option<Binding>,
    /// The resource servers that it is for.
    pub(crate) audience: Vec<String>,
    /// The granted scopes.
    pub(crate) scopes: Scopes,
    /// Whether it carries the claim `name`.
    pub(crate) is_named: bool,
    pub(crate) signed_with: SignedWith,
}

/// The keys that a token depends on.
#[derive(Clone, Copy)]
pub(crate) struct Binding {
    /// The key that has logged in. With it the token is revoked.
    pub(crate) credential: Thumbprint,
    /// The key that proves possession: that key, or one that it vouched for.
    pub(crate) bound_to: Thumbprint,
    /// When the first of them ends by itself. The token ends with it.
    pub(crate) ends_at: Option<UnixTime>,
}

impl Binding {
    /// To the key that has logged in itself, which does not end by itself.
    pub(crate) const fn to(key: Thumbprint) -> Self {
        Self { credential: key, bound_to: key, ends_at: None }
    }

    /// The same, if the first of its keys ends at `ends_at`.
    pub(crate) const fn until(self, ends_at: Option<UnixTime>) -> Self {
        Self { ends_at, ..self }
    }
}

/// Which of the server's keys sign a token.
#[derive(Clone, Copy)]
pub(crate) enum SignedWith {
    /// Those for access tokens.
    AccessTokenKey,
    /// Those for the tokens of passwords. No token outlives such a key.
    PasswordTokenKey {
        /// Whether the token is to be born expired, for verifiers to be tested with.
        expired: bool,
    },
}

/// An access token that was granted.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The token.
    pub access_token: String,
    /// How long it lives.
    pub expires_in: Duration,
    /// The granted scopes.
    pub scopes: Scopes,
    /// The account that has logged in.
    pub actor: Actor,
}

impl<'a> Issuance<'a> {
    /// For `account`, which has logged in by `login`, at the server itself, with all that the account
    /// may do.
    pub(crate) fn at_home(
        (account, login): (&'a Account, AuthenticationContext),
        binding: Option<Binding>,
        signed_with: SignedWith,
        core: &Core,
    ) -> Self {
        let audience = vec![core.policy.issuer().to_owned()];
        let scopes = account.scopes.clone();
        Self { account, login, binding, audience, scopes, is_named: true, signed_with }
    }
}

/// When a token begins and ends.
struct Life {
    issued_at: UnixTime,
    expires_at: UnixTime,
}

impl Tokens {
    /// Issues a token.
    ///
    /// # Errors
    /// When no key can sign it.
    pub(crate) fn issue(
        &self,
        issuance: Issuance<'_>,
        now: UnixTime,
    ) -> Result<Grant, SigningKeyError> {
        let (signer, begins, expires_at) = self.signer(issuance.signed_with, now)?;
        let mut expires_in = self.core.policy.tokens.lifetime;
        let mut expires_at = expires_at;
        if let Some(end) = issuance.binding.and_then(|binding| binding.ends_at) {
            expires_at = expires_at.min(end);
            expires_in = expires_in.min(end.since(now));
        }
        let account = issuance.account;
        let life = Life { issued_at: self.issue_time(account.id, begins), expires_at };
        let actor = Actor {
            account_id: account.id,
            username: Some(account.username.clone()),
            key: issuance.binding.map(|binding| binding.credential),
            proof: None,
        };
        let (access_token, scopes) = match issuance.binding {
            Some(binding) => self.access_token(issuance, binding, life, &signer, now)?,
            None => (self.unbound_token(account, life, &signer, now)?, issuance.scopes),
        };
        Ok(Grant { access_token, expires_in, scopes, actor })
    }

    /// The key that signs at `now`, and between which moments what it signs is good.
    fn signer(
        &self,
        signed_with: SignedWith,
        now: UnixTime,
    ) -> Result<(Signer, UnixTime, UnixTime), SigningKeyError> {
        let (keys, lifetime) = (&self.core.signing_keys, self.core.policy.tokens.lifetime);
        Ok(match signed_with {
            SignedWith::AccessTokenKey => {
                (keys.signer(Signs::AccessTokens, now)?, now, now + lifetime)
            }
            SignedWith::PasswordTokenKey { expired: false } => {
                let signer = keys.signer(Signs::PasswordTokens, now)?;
                let end = signer.expires_at.min(now + lifetime);
                (signer, now, end)
            }
            SignedWith::PasswordTokenKey { expired: true } => {
                let signer = keys.expired_signer(Signs::PasswordTokens, now)?;
                let end = signer.expires_at;
                (signer, end - lifetime, end)
            }
        })
    }

    fn access_token(
        &self,
        issuance: Issuance<'_>,
        Binding { credential, bound_to, .. }: Binding,
        Life { issued_at, expires_at }: Life,
        signer: &Signer,
        now: UnixTime,
    ) -> Result<(String, Scopes), SigningKeyError> {
        let Issuance { account, login, audience, scopes, is_named, .. } = issuance;
        let claims = AccessTokenClaims {
            issuer: self.core.policy.issuer().to_owned(),
            account_id: account.id,
            audience,
            credential,
            name: is_named.then(|| account.username.to_string()),
            username: Some(account.username.clone()),
            bound_to,
            narrowed: scopes != account.scopes,
            scopes,
            token_id: self.token_id(now),
            authentication: Some(login),
            issued_at,
            expires_at,
        };
        Ok((signer.access_token(&claims)?, claims.scopes))
    }

    fn unbound_token(
        &self,
        account: &Account,
        Life { issued_at, expires_at }: Life,
        signer: &Signer,
        now: UnixTime,
    ) -> Result<String, SigningKeyError> {
        let claims = UnboundClaims {
            issuer: self.core.policy.issuer().to_owned(),
            account_id: account.id,
            name: account.username.to_string(),
            token_id: self.token_id(now),
            issued_at,
            expires_at,
        };
        Ok(claims.sign(&signer.key, signer.algorithm)?)
    }

    fn token_id(&self, now: UnixTime) -> String {
        uuid_v7(now, &*self.core.ports.random).to_string()
    }

    /// The `iat` of a token that `account` gets at `now`: later than the account's ended tokens. An
    /// `iat` is in whole seconds, so it may lie a second ahead, which every verifier tolerates.
    fn issue_time(&self, account: AccountId, now: UnixTime) -> UnixTime {
        let ended = self.core.revoked.ended_up_to(account);
        let next = ended.map(|ended| UnixTime::from_secs(ended.as_secs() + 1));
        next.filter(|next| *next > now && *next <= now + self.core.policy.skew).unwrap_or(now)
    }
}
