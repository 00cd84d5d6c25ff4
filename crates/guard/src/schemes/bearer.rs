//! A token that is bound to no key (RFC 6750).

use countersign_protocol::{
    Coverage, Principal, ProofKind, Scopes,
    tokens::unbound::{UnboundClaims, UnboundToken},
    wire::scheme::BEARER,
};

use crate::{
    case::Case,
    ports::{TokenStanding, VerifiedToken},
    refusal::{Refusal, Refused},
    request::{Accepted, Verdict},
};

/// The challenge, without an error (RFC 6750 §3).
pub(crate) fn challenge() -> String {
    format!("{BEARER} realm=\"countersign\"")
}

/// Whether `text` is to be taken for an unbound token of `issuer`, and not for a JWT that a client
/// signed itself.
pub(crate) fn is_of(issuer: &str, text: &str) -> bool {
    UnboundToken::parse(text)
        .is_ok_and(|token| token.claims_to_be_from(issuer) && !token.claims_to_be_an_access_token())
}

/// Decides about a request with the unbound token `text`. Such a token has no scopes.
pub(crate) async fn verify(text: &str, case: &Case<'_>) -> Verdict {
    let refused = |refusal| Refused::early(refusal, ProofKind::Bearer);
    let claims = verified_token(text, case).await.map_err(refused)?;
    let token = VerifiedToken { text, claims: &claims };
    let standing = case.ports().standing.unbound_standing(token, case.now).await;
    if standing.map_err(|error| refused(error.into()))? != TokenStanding::Good {
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
        authentication: None,
        issued_at: Some(claims.issued_at),
        expires_at: claims.expires_at,
    };
    case.check_requirements(&principal.scopes, None).map_err(refused)?;
    Ok(Accepted { principal, session_nonce: None })
}

async fn verified_token(text: &str, case: &Case<'_>) -> Result<UnboundClaims, Refusal> {
    let token = UnboundToken::parse(text)?;
    let key = case.issuer_key(token.kid()).await?;
    let policy = case.policy();
    Ok(token.verify(&key, &policy.issuer, policy.skew, case.now)?)
}
