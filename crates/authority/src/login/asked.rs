//! What a client asks of a token: scopes and audience.

use countersign_protocol::Scopes;
use thiserror::Error;

use crate::model::policy::Policy;

/// The scopes that a token gets: those that are asked for, or all of the account.
pub(super) fn scopes(asked: Option<&str>, allowed: &Scopes) -> Result<Scopes, AskedError> {
    let Some(asked) = asked else { return Ok(allowed.clone()) };
    let asked: Scopes = asked.parse().map_err(|_| AskedError::Scope)?;
    allowed.includes(&asked).then_some(asked).ok_or(AskedError::Scope)
}

/// The audience of a token for `resources` (RFC 8707 §2).
pub(super) fn audience(resources: &[&str], policy: &Policy) -> Result<Vec<String>, AskedError> {
    if resources.is_empty() {
        return Ok(vec![policy.issuer().to_owned()]);
    }
    let known = |resource: &str| {
        resource == policy.issuer() || policy.tokens.resources.iter().any(|own| own == resource)
    };
    let mut audience: Vec<String> = Vec::new();
    for resource in resources {
        if !known(resource) {
            return Err(AskedError::UnknownResource);
        }
        if !audience.iter().any(|present| present == resource) {
            audience.push((*resource).to_owned());
        }
    }
    Ok(audience)
}

/// Why a client does not get the token that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AskedError {
    /// A scope that the account does not have.
    #[error("the account does not have every scope that was asked for")]
    Scope,
    /// A `resource` that this server issues no tokens for.
    #[error("no tokens are issued for that resource")]
    UnknownResource,
}
