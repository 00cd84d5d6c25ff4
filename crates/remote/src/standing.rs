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
        token: VerifiedToken<'_, AccessTokenClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let claims = token.claims;
        match (self.feed.current(), &self.introspection) {
            (Some(known), _) => Ok(TokenStanding::revoked_if(known.has(Revocable {
                token_id: &claims.token_id,
                keys: &[&claims.credential, &claims.bound_to],
                account: claims.account_id,
                issued_at: claims.issued_at,
            }))),
            (None, Some(introspection)) => {
                let asked = Asked {
                    text: token.text,
                    token_id: &claims.token_id,
                    account: claims.account_id,
                };
                introspection.standing(asked, now).await
            }
            (None, None) => Err(stale()),
        }
    }

    async fn unbound_standing(
        &self,
        token: VerifiedToken<'_, UnboundClaims>,
        now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        let claims = token.claims;
        match (self.feed.current(), &self.introspection) {
            (Some(known), _) => Ok(TokenStanding::revoked_if(known.has(Revocable {
                token_id: &claims.token_id,
                keys: &[],
                account: claims.account_id,
                issued_at: claims.issued_at,
            }))),
            (None, Some(introspection)) => {
                let asked = Asked {
                    text: token.text,
                    token_id: &claims.token_id,
                    account: claims.account_id,
                };
                introspection.standing(asked, now).await
            }
            (None, None) => Err(stale()),
        }
    }
}
