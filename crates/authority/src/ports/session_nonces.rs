//! The nonces of sessions.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use countersign_protocol::{ClientNetwork, UnixTime, replay::EpochId, strict::base64url};
use thiserror::Error;

use super::StoreError;

/// The nonce that each session of signed messages may use next. There is one at a time: a client gets the
/// next one by using it.
#[async_trait]
pub trait SessionNonces: Send + Sync {
    /// Gives a new session its nonce, and counts it against the share of `owner` for as long as it
    /// has one.
    async fn put(
        &self,
        session: &SessionId,
        nonce: SessionNonce,
        owner: ClientNetwork,
        now: UnixTime,
    ) -> Result<(), PutNonceError>;

    /// The nonce that a session may use, unless it has expired.
    async fn outstanding(
        &self,
        session: &SessionId,
        now: UnixTime,
    ) -> Result<Option<SessionNonce>, StoreError>;

    /// Uses up `used` and puts `next` in its place, atomically. `false`, and nothing has changed,
    /// when `used` is not the nonce of the session or has expired: of any number of concurrent
    /// calls with the same `used` exactly one gets `true`.
    ///
    /// `epoch` is the one of the replay log in which the session was recognised. An engine that can lose
    /// nonces, or bring back old ones, compares it in the step that exchanges: `false` in any other epoch.
    async fn exchange(
        &self,
        session: &SessionId,
        (used, next): (&SessionNonce, Option<SessionNonce>),
        epoch: EpochId,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
}

/// Why a session gets no nonce.
#[derive(Debug, Error)]
pub enum PutNonceError {
    /// The owner has as many sessions as it may.
    #[error("this client network has as many sessions as one may")]
    ShareUsedUp,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The identity of a session: 16 random bytes, written in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64url::decode(text).map_err(|_| InvalidSessionId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidSessionId)
    }
}

/// Not base64url of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the id of a session")]
pub struct InvalidSessionId;

/// A nonce of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNonce {
    /// 16 random bytes.
    pub value: [u8; 16],
    /// When it is no longer accepted.
    pub expires_at: UnixTime,
}

impl SessionNonce {
    /// What is signed: base64url of the value.
    pub fn text(&self) -> String {
        base64url::encode(&self.value)
    }
}
