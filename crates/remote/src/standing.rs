//! Whether tokens are still good: by the feed of revocations, or else by asking.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_guard::ports::{PortUnavailable, Standing, TokenStanding, VerifiedToken};
use countersign_protocol::{
    UnixTime,
    tokens::{issue::AccessTokenClaims, unbound::UnboundClaims},
};

use crate::{
    introspection::{Asked, Introspection},
    revocations::{Feed, Revocable, stale},
};

/// Decides by the feed while it is fresh enough. After that, introspection decides if it was set
/// up; otherwise nothing is accepted.
pub(crate) struct RemoteStanding {
    pub(crate) feed: Arc<Feed>,
    pub(crate) introspection: Option<Introspection>,
}

impl RemoteStanding {
    async fn decide(
        &self,
        text: &str,
        token: Revocable<'_>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        match (self.feed.current(), &self.introspection) {
            (Some(known), _) => Ok(TokenStanding::revoked_if(known.has(token))),
            (None, Some(introspection)) => {
                let Revocable { token_id, account, .. } = token;
                introspection.standing(Asked { text, token_id, account }, now).await
            }
            (None, None) => Err(stale()),
        }
    }
}

#[async_trait]
impl Standing for RemoteStanding {
    async fn standing(
        &self,
        VerifiedToken { text, claims }: VerifiedToken<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let token = Revocable {
            token_id: &claims.token_id,
            keys: &[&claims.credential, &claims.bound_to],
            account: claims.account_id,
            issued_at: claims.issued_at,
        };
        self.decide(text, token, now).await
    }

    async fn unbound_standing(
        &self,
        VerifiedToken { text, claims }: VerifiedToken<'_, UnboundClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let token = Revocable {
            token_id: &claims.token_id,
            keys: &[],
            account: claims.account_id,
            issued_at: claims.issued_at,
        };
        self.decide(text, token, now).await
    }
}
