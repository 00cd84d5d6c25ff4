//! A request that changes an account, with everything that decides whether it may.

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, Method,
        header::{IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
};
use countersign_authority::accounts::signed_request::SignedRequest;
use countersign_protocol::{Principal, challenges::request_digest::Conditions, wire};

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
    if_match: Option<Vec<u8>>,
    if_none_match: Option<Vec<u8>>,
    passkey: Option<String>,
}

impl ChangeRequest {
    /// The request with its body, for the decision.
    pub(crate) fn with_body<'a>(&'a self, body: &'a [u8]) -> SignedRequest<'a> {
        SignedRequest {
            principal: &self.principal,
            method: self.method.as_str(),
            path: &self.path,
            conditions: Conditions {
                if_match: self.if_match.as_deref(),
                if_none_match: self.if_none_match.as_deref(),
            },
            body,
            approval: None,
            passkey: self.passkey.as_deref(),
            address: self.client.0,
        }
    }

    /// Sees that the account which the body names, if it names one, is the one that asks. A page that
    /// shows the things of one account may have got the session of another meanwhile.
    ///
    /// # Errors
    /// When it is another one.
    pub(crate) fn check_account(&self, named: Option<&str>) -> Result<(), Problem> {
        let own = self.principal.account_id.to_string();
        if named.is_none_or(|named| named == own) {
            return Ok(());
        }
        let detail = format!("account_id names another account than the one that asks, {own}");
        Err(Problem::new(ProblemType::OtherAccount).detail(detail))
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
            if_match: condition(&parts.headers, &IF_MATCH),
            if_none_match: condition(&parts.headers, &IF_NONE_MATCH),
            passkey: passkey_assertion(parts)?,
        })
    }
}

/// The condition in the header fields called `name`, if there are any.
fn condition(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let fields = headers.get_all(name).iter().map(|field| field.as_bytes().trim_ascii());
    let fields: Vec<_> = fields.collect();
    (!fields.is_empty()).then(|| fields.join(&b", "[..]))
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
