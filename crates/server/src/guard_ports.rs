//! The guard's ports over the authority: the server's own resources are guarded like anyone's.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_authority::{
    Authority, core::credential_cache::KnownCredential, ports::StoreError,
};
use countersign_guard::ports::{
    AccountKey, AccountKeys, IssuerKeys, PortUnavailable, Standing, TokenStanding, VerifiedToken,
};
use countersign_protocol::{
    AccountId, ClientNetwork, UnixTime,
    keys::{Algorithm, PublicKey, Thumbprint},
    proofs::body_hash::BodyHashes,
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims},
};

/// What a guard hears of a store that does not answer.
pub(crate) fn unavailable(error: &StoreError) -> PortUnavailable {
    let cause = error.to_string();
    if error.is_out_of_date() {
        PortUnavailable::OutOfDate(cause)
    } else {
        PortUnavailable::Away(cause)
    }
}

/// The ports of a guard that stands in the same process as the authority.
pub(crate) struct InProcessGuardPorts(pub(crate) Arc<Authority>);

#[async_trait]
impl IssuerKeys for InProcessGuardPorts {
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        let key = self.0.core.issuer_key(kid, now).await;
        key.map_err(|error| unavailable(&error))
    }

    fn generation(&self) -> u64 {
        self.0.core.signing_keys().withdrawals()
    }
}

#[async_trait]
impl Standing for InProcessGuardPorts {
    async fn standing(
        &self,
        token: VerifiedToken<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let known = self.0.tokens.standing(token.claims, now).await;
        let known = known.map_err(|error| unavailable(&error))?;
        Ok(known.map_or(TokenStanding::Revoked, |_| TokenStanding::Good))
    }

    fn algorithms(&self, key: &Thumbprint) -> Option<&'static [Algorithm]> {
        self.0.core.registered_algorithms(key)
    }

    async fn unbound_standing(
        &self,
        token: VerifiedToken<'_, UnboundClaims>,
        _now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let good = self.0.tokens.unbound_standing(token.claims).await;
        let good = good.map_err(|error| unavailable(&error))?;
        Ok(if good { TokenStanding::Good } else { TokenStanding::Revoked })
    }
}

#[async_trait]
impl AccountKeys for InProcessGuardPorts {
    async fn account_keys(
        &self,
        name: &str,
        kid: Option<&Thumbprint>,
        _client: Option<ClientNetwork>,
    ) -> Result<Vec<AccountKey>, PortUnavailable> {
        let now = self.0.core.now();
        let known = self.0.core.signers(name, kid, now).await;
        let known = known.map_err(|error| unavailable(&error))?;
        let key = |known: &KnownCredential| AccountKey {
            account_id: known.account.id,
            username: Some(known.account.username.clone()),
            key: known.credential.public_key.clone(),
            scopes: known.account.scopes.clone(),
            body_hashes: BodyHashes::of_account(known.account.fingerprint.is_some()),
            standing: if known.is_live(now) { TokenStanding::Good } else { TokenStanding::Revoked },
        };
        Ok(known.iter().map(|known| key(known)).collect())
    }

    async fn key_used(&self, id: AccountId, key: &Thumbprint, now: UnixTime) {
        self.0.core.key_used(id, key, now).await;
    }
}
