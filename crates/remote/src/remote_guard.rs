//! The guard of a resource server, while it runs.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_guard::{
    Guard, GuardLayer,
    ports::{IssuerKeys, PortUnavailable},
};
use countersign_protocol::{
    UnixTime,
    keys::{PublicKey, Thumbprint},
};
use serde_json::Value;

use crate::upkeep::Fresh;

/// The guard of a resource server. Clones share everything.
#[derive(Clone)]
pub struct RemoteGuard {
    pub(crate) guard: Guard,
    pub(crate) fresh: Arc<Fresh>,
    pub(crate) scopes: Arc<[String]>,
    pub(crate) metadata_path: Option<String>,
}

impl RemoteGuard {
    /// The guard, for deciding about requests outside of tower.
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// A layer that lets only principals through; see [`GuardLayer::require_scopes`].
    pub fn layer(&self) -> GuardLayer {
        GuardLayer::new(self.guard.clone())
    }

    /// Where [`Self::metadata`] are to be served, to GET and HEAD; nowhere for an audience that is no
    /// URL at the origin.
    pub fn metadata_path(&self) -> Option<&str> {
        self.metadata_path.as_deref()
    }

    /// What the service says about itself (RFC 9728), to be served at [`Self::metadata_path`].
    pub fn metadata(&self) -> Value {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        self.guard.metadata(&scopes)
    }

    /// Waits until the issuer has been asked once, so that requests can be verified. Not waiting is
    /// no harm: until then they are refused.
    ///
    /// # Errors
    /// When the issuer cannot be asked now; it is asked again all the time.
    pub async fn ready(&self) -> Result<(), PortUnavailable> {
        if self.fresh.feed.current().is_none() {
            self.fresh.refresh().await?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) async fn refresh(&self) -> Result<(), PortUnavailable> {
        Ok(self.fresh.refresh().await?)
    }

    #[cfg(test)]
    pub(crate) fn fresh(&self) -> std::sync::Weak<Fresh> {
        Arc::downgrade(&self.fresh)
    }
}

/// The issuer's keys; whoever holds them keeps the upkeep going.
pub(crate) struct KeptFresh(pub(crate) Arc<Fresh>);

#[async_trait]
impl IssuerKeys for KeptFresh {
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        self.0.jwks.issuer_key(kid, now).await
    }

    fn generation(&self) -> u64 {
        self.0.jwks.generation()
    }
}
