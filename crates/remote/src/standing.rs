//! Whether tokens are still good: by the feed of revocations, or else by asking.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_guard::ports::{PortUnavailable, Standing, TokenStanding, Verified};
use countersign_protocol::{
    UnixTime,
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims},
};

use crate::{introspection::Introspection, revocations::Feed};

/// Decides by the feed while that is fresh enough; after that, introspection decides where it was
/// set up, and otherwise nothing is accepted.
pub(crate) struct RemoteStanding {
    pub(crate) feed: Arc<Feed>,
    pub(crate) introspection: Option<Introspection>,
}

#[async_trait]
impl Standing for RemoteStanding {
    async fn standing(
        &self,
        token: Verified<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let claims = token.claims;
        match (self.feed.current(), &self.introspection) {
            (Some(known), _) => {
                let keys = [&claims.credential, &claims.bound_to];
                Ok(standing(known.has(&claims.token_id, &keys, claims.account_id)))
            }
            (None, Some(introspection)) => introspection.standing(token, now).await,
            (None, None) => Err(stale()),
        }
    }

    /// There is no introspection of unbound tokens: they are no access tokens.
    async fn unbound_standing(
        &self,
        Verified { claims, .. }: Verified<'_, UnboundClaims>,
        _now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let known = self.feed.current().ok_or_else(stale)?;
        Ok(standing(known.has(&claims.token_id, &[], claims.account_id)))
    }
}

pub(crate) const fn standing(is_revoked: bool) -> TokenStanding {
    if is_revoked { TokenStanding::Revoked } else { TokenStanding::Good }
}

pub(crate) fn stale() -> PortUnavailable {
    PortUnavailable("what is known of revocations is too old".to_owned())
}
