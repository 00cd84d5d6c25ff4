//! The guard's ports: keys, standing, sessions and a replay log.

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

/// Says whether a verified token is still good: neither the token nor its key has been revoked, and
/// its account has not been disabled.
#[async_trait]
pub trait Standing: Send + Sync {
    /// Whether `token` is still good at `now`.
    async fn standing(
        &self,
        token: VerifiedToken<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable>;

    /// The algorithms for which `key` was registered, if that is known without asking anybody. None
    /// if every algorithm that fits the key is allowed (RFC 8725 §3.1).
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

/// A verified token.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedToken<'a, C> {
    /// The token itself, for implementations that must ask the issuer about it.
    pub text: &'a str,
    /// Its claims.
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

/// The keys of accounts, to verify what accounts sign themselves.
#[async_trait]
pub trait AccountKeys: Send + Sync {
    /// The keys that can have signed a JWT of the account `name`: the account's key `kid` if it has
    /// that key, or else all its live keys. Empty when there is no such account. `client` is the
    /// network that the JWT comes from, if known: all that is known of a client that has proven
    /// nothing.
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
    /// The account's id.
    pub account_id: AccountId,
    /// The account's username, if known.
    pub username: Option<Username>,
    /// The key.
    pub key: PublicKey,
    /// What the account may do.
    pub scopes: Scopes,
    /// Which hashes of the body the account may sign, within what the guard's policy accepts. MD5
    /// is for accounts whose protocol demands it.
    pub body_hashes: BodyHashes,
    /// Whether key and account are still good. Only the holder of the key learns that they are not.
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
    ) -> Result<Box<dyn CheckedMessage>, MessageError>;
}

/// A session, and a signature over its nonce and its text.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// The session's JWT.
    pub jwt: &'a str,
    /// The signature.
    pub signature: &'a [u8],
    /// The address of the sender, if known.
    pub client: Option<IpAddr>,
}

/// A verified signed message.
#[async_trait]
pub trait CheckedMessage: Send + Sync {
    /// Who signed it.
    fn principal(&self) -> &Principal;

    /// Uses up its nonce and returns the session's next nonce. Of any number of messages with the
    /// same nonce exactly one succeeds.
    async fn redeem(&self, now: UnixTime) -> Result<String, MessageError>;
}

/// Why a signed message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// Session, nonce or signature is wrong. Which of them is not told.
    Refused,
    /// A port that is needed to decide cannot answer.
    Unavailable(PortUnavailable),
}

/// A port cannot answer, so the guard refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortUnavailable {
    /// It does not answer, for this cause.
    #[error("{0}")]
    Away(String),
    /// It answers, but has not heard for too long what was revoked, for this cause.
    #[error("{0}")]
    OutOfDate(String),
}
