//! Who am I: a protected resource that answers with the guard's principal.

use axum::{Extension, extract::State, response::Response};
use countersign_protocol::{AccountId, Principal, keys::Thumbprint, names::Fingerprint, wire};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{problem::Problem, response},
    state::App,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct WhoamiBody<'a> {
    #[schema(value_type = String)]
    account_id: AccountId,
    username: &'a str,
    /// The account's other name: the fingerprint of the key that it was registered by, if it was
    /// registered by that.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint>,
    /// The credential that the account logged in with.
    #[schema(value_type = Option<String>)]
    credential: Option<Thumbprint>,
    /// The key that signed this request.
    #[schema(value_type = Option<String>)]
    thumbprint: Option<Thumbprint>,
    /// How possession of it was proven.
    #[schema(example = "dpop")]
    proof: &'static str,
    /// The `jti` of the access token.
    token_id: Option<&'a str>,
    scopes: Vec<&'a str>,
    /// Seconds since 1970.
    expires_at: u64,
}

/// Say who makes the request, and how that was proven.
#[utoipa::path(
    method(get, post, put, patch, delete),
    path = wire::path::WHOAMI,
    tag = "account",
    security(("dpop" = [])),
    responses((status = 200, body = WhoamiBody))
)]
pub(crate) async fn whoami(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Response, Problem> {
    let (username, fingerprint) = app.authority.accounts.names(&principal).await?;
    let body = WhoamiBody {
        account_id: principal.account_id,
        username: username.as_str(),
        fingerprint,
        credential: principal.key.map(|key| key.credential),
        thumbprint: principal.key.map(|key| key.thumbprint),
        proof: principal.proof.name(),
        token_id: principal.token_id.as_deref(),
        scopes: principal.scopes.iter().collect(),
        expires_at: principal.expires_at.as_secs(),
    };
    Ok(response::uncached_json(&body))
}
