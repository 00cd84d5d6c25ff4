//! The guard's ports over the authority: the server's own resources are guarded like anyone's.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_authority::{Authority, ports::ReplayError as LogError};
use countersign_guard::ports::{
    IssuerKeys, PortUnavailable, ReplayError, ReplayLog, Standing, TokenStanding,
};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    keys::{PublicKey, Thumbprint},
    tokens::issue::AccessTokenClaims,
};

/// The ports of a guard that stands in the same process as the authority.
pub(crate) struct AuthorityPorts(pub(crate) Arc<Authority>);

#[async_trait]
impl IssuerKeys for AuthorityPorts {
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        Ok(self.0.signing_keys().public_key(kid, now))
    }
}

#[async_trait]
impl Standing for AuthorityPorts {
    async fn standing(
        &self,
        claims: &AccessTokenClaims,
        _now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let known = self.0.standing(claims).await;
        let known = known.map_err(|error| PortUnavailable(error.to_string()))?;
        Ok(known.map_or(TokenStanding::Revoked, |_| TokenStanding::Good))
    }
}

#[async_trait]
impl ReplayLog for AuthorityPorts {
    async fn check_and_insert(
        &self,
        entry: ReplayEntry,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        let log = &self.0.ports().replay_log;
        log.check_and_insert(entry, now).await.map_err(|error| match error {
            LogError::Used => ReplayError::Used,
            LogError::Unavailable(_) => ReplayError::Unavailable,
        })
    }
}
