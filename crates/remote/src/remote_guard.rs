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

    /// A layer that lets only principals through; see [`GuardLayer::require_scopes`] and
    /// [`GuardLayer::require_acr`].
    pub fn layer(&self) -> GuardLayer {
        GuardLayer::new(self.guard.clone())
    }

    /// The path at which to serve [`Self::metadata`] to GET and HEAD. None for an audience that is
    /// no URL at the origin.
    pub fn metadata_path(&self) -> Option<&str> {
        self.metadata_path.as_deref()
    }

    /// The service's metadata (RFC 9728), to be served at [`Self::metadata_path`].
    pub fn metadata(&self) -> Value {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        self.guard.metadata(&scopes)
    }

    /// Waits until the issuer has been asked once, so that requests can be verified. Without
    /// waiting, requests are refused until then.
    ///
    /// # Errors
    /// When the issuer cannot be asked now. It is asked again later all the same.
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

/// The issuer's keys. The upkeep runs for as long as somebody holds them.
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
