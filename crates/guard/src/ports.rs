//! What a guard needs from outside.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
pub use countersign_protocol::ports::{Clock, Recording, ReplayError, ReplayLog};
use countersign_protocol::{
    AccountId, ClientNetwork, Principal, Scopes, UnixTime,
    keys::{Algorithm, PublicKey, Thumbprint},
    names::Username,
    proofs::body_hash::BodyHashes,
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims},
};
use thiserror::Error;

/// What a guard needs from outside, wired together.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type documents")]
pub struct GuardPorts {
    pub clock: Arc<dyn Clock>,
    pub issuer_keys: Arc<dyn IssuerKeys>,
    pub replay_log: Arc<dyn ReplayLog>,
    pub standing: Arc<dyn Standing>,
}

/// The issuer's public signing keys.
#[async_trait]
pub trait IssuerKeys: Send + Sync {
    /// The key `kid`, if the issuer publishes it at `now`.
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable>;

    /// Changes when a key is withdrawn: what verified before must verify anew.
    fn generation(&self) -> u64;
}

/// Whether tokens that verify are still good: neither the token, nor its key, nor its account has
/// been revoked since.
#[async_trait]
pub trait Standing: Send + Sync {
    /// Whether `token` is still good at `now`.
    async fn standing(
        &self,
        token: VerifiedToken<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable>;

    /// The algorithms that the registered key `key` was registered for, where it is known here
    /// without asking anybody, and none where any will do that fits the key (RFC 8725 §3.1).
    fn algorithms(&self, _key: &Thumbprint) -> Option<&'static [Algorithm]> {
        None
    }

    /// The same for a token that is bound to no key.
    async fn unbound_standing(
        &self,
        token: VerifiedToken<'_, UnboundClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable>;
}

/// A token that verified.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedToken<'a, C> {
    /// The token itself, for those who must ask somebody about it.
    pub text: &'a str,
    /// What it says.
    pub claims: &'a C,
}

/// The answer of [`Standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStanding {
    /// Nothing was revoked.
    Good,
    /// The token, the key or the account was revoked.
    Revoked,
}

impl TokenStanding {
    /// Revoked if `is_revoked`, and good otherwise.
    pub const fn revoked_if(is_revoked: bool) -> Self {
        if is_revoked { Self::Revoked } else { Self::Good }
    }
}

/// The keys of accounts, which verify what accounts sign themselves.
#[async_trait]
pub trait AccountKeys: Send + Sync {
    /// The keys that can have signed a JWT of the account `name`: the key `kid` where that is one of
    /// the account's, or else all of its live ones. Empty when there is no such account. `client` is
    /// the network that the JWT comes from, where that is known; nothing else is proven.
    async fn account_keys(
        &self,
        name: &str,
        kid: Option<&Thumbprint>,
        client: Option<ClientNetwork>,
    ) -> Result<Vec<AccountKey>, PortUnavailable>;

    /// Notes that `key` has signed a request that was accepted, for the account `id`.
    async fn key_used(&self, id: AccountId, key: &Thumbprint, now: UnixTime);
}

/// A key of an account.
#[derive(Clone, Debug)]
pub struct AccountKey {
    /// Whose it is.
    pub account_id: AccountId,
    /// What that account is called, where that is known.
    pub username: Option<Username>,
    /// The key.
    pub key: PublicKey,
    /// What the account may do.
    pub scopes: Scopes,
    /// Which hashes of the body count in what the account signs, as far as the guard's policy has
    /// them count at all: MD5 is for accounts whose protocol demands it.
    pub body_hashes: BodyHashes,
    /// Whether key and account are still good. Only who holds the key learns that they are not.
    pub standing: TokenStanding,
}

/// Sessions whose requests are signed together with a nonce.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Verifies a signed message. Its nonce is not used up.
    async fn check(
        &self,
        message: SignedMessage<'_>,
        now: UnixTime,
    ) -> Result<Box<dyn CheckedMessage>, SessionRefusal>;
}

/// A session, and a signature over its nonce and its text.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// The session's JWT.
    pub jwt: &'a str,
    /// The signature.
    pub signature: &'a [u8],
    /// The address that they come from, where that is known.
    pub client: Option<IpAddr>,
}

/// A signed message that verified.
#[async_trait]
pub trait CheckedMessage: Send + Sync {
    /// Who signed it.
    fn principal(&self) -> &Principal;

    /// Uses up its nonce and returns the session's next; of any number of messages with one nonce
    /// exactly one succeeds.
    async fn redeem(&self, now: UnixTime) -> Result<String, SessionRefusal>;
}

/// Why a signed message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// Session, nonce or signature is not good; which of them, nobody learns.
    Refused,
    /// Something that is needed to decide is away.
    Unavailable(String),
}

/// A port cannot answer, so the guard refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PortUnavailable(pub String);
