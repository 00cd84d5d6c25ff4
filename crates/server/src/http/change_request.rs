//! A request that changes an account, with everything that decides whether it may.

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use countersign_authority::accounts::step_up::SignedRequest;
use countersign_protocol::{Principal, wire};

use super::{
    address::ClientAddress,
    problem::{Problem, ProblemType},
};

/// Who asks for a change, and how it was proven; everything but the body.
pub(crate) struct ChangeRequest {
    pub(crate) principal: Principal,
    pub(crate) client: ClientAddress,
    method: Method,
    path: String,
    passkey: Option<String>,
}

impl ChangeRequest {
    /// The request with its body, for the decision.
    pub(crate) fn with_body<'a>(&'a self, body: &'a [u8]) -> SignedRequest<'a> {
        SignedRequest {
            principal: &self.principal,
            method: self.method.as_str(),
            path: &self.path,
            body,
            approval: None,
            passkey: self.passkey.as_deref(),
            address: self.client.0,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ChangeRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Problem::internal("no guard before a change"))?;
        let client = parts.extensions.get::<ClientAddress>().copied();
        let client =
            client.ok_or_else(|| Problem::internal("no layer has told the client's address"))?;
        Ok(Self {
            principal,
            client,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            passkey: passkey_assertion(parts)?,
        })
    }
}

/// The header `Passkey-Assertion`. Of two, nobody could say which one counts.
fn passkey_assertion(parts: &Parts) -> Result<Option<String>, Problem> {
    let invalid = |detail: &'static str| Problem::new(ProblemType::InvalidRequest).detail(detail);
    let mut fields = parts.headers.get_all(wire::header::PASSKEY_ASSERTION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(invalid("there are several Passkey-Assertion header fields; send one"));
    }
    let text = field.to_str().map_err(|_| invalid("Passkey-Assertion is not base64url"))?;
    Ok(Some(text.to_owned()))
}
