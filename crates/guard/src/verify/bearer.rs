//! The path of a token that is bound to no key.

use countersign_protocol::{
    Coverage, Principal, ProofKind, Scopes, UnixTime,
    tokens::unbound::{UnboundClaims, UnboundToken},
};

use super::{Guard, Request, Verdict, Verified, check_scope, unavailable};
use crate::{
    ports::{self, TokenStanding},
    refusal::{Refusal, Refused},
};

impl Guard {
    /// Whether `text` is to be taken for an unbound token of the issuer, and not for a JWT that a
    /// client signed itself.
    pub(super) fn is_unbound(&self, text: &str) -> bool {
        let issuer = &self.0.policy.issuer;
        self.0.proofs.bearer
            && UnboundToken::parse(text).is_ok_and(|token| {
                token.claims_to_be_from(issuer) && !token.claims_to_be_an_access_token()
            })
    }

    /// Decides about a request with the unbound token `text`. It says nothing of scopes, so it has
    /// none.
    pub(super) async fn verify_bearer(
        &self,
        text: &str,
        request: Request<'_>,
        now: UnixTime,
    ) -> Verdict {
        let refused = |refusal| Refused::early(refusal, ProofKind::Bearer);
        let claims = self.verified_unbound(text, now).await.map_err(refused)?;
        let token = ports::Verified { text, claims: &claims };
        let standing = self.0.ports.standing.unbound_standing(token, now).await;
        if standing.map_err(|error| refused(unavailable(error)))? != TokenStanding::Good {
            return Err(refused(Refusal::Revoked));
        }
        let principal = Principal {
            account_id: claims.account_id,
            username: claims.name.parse().ok(),
            key: None,
            proof: ProofKind::Bearer,
            token_id: Some(claims.token_id),
            scopes: Scopes::none(),
            narrowed: false,
            covers: Coverage::NOTHING,
            issued_at: Some(claims.issued_at),
            expires_at: claims.expires_at,
        };
        check_scope(request.scope, &principal.scopes).map_err(refused)?;
        Ok(Verified { principal, session_nonce: None })
    }

    async fn verified_unbound(&self, text: &str, now: UnixTime) -> Result<UnboundClaims, Refusal> {
        let token = UnboundToken::parse(text)?;
        let key = self.issuer_key(token.kid(), now).await?;
        let policy = &self.0.policy;
        Ok(token.verify(&key, &policy.issuer, policy.skew, now)?)
    }
}
