//! Who am I: a protected resource that says what the guard found.

use axum::{Extension, Json, extract::State, http::header, response::IntoResponse};
use countersign_protocol::Principal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, problem::Problem};

#[derive(Serialize, ToSchema)]
pub(crate) struct WhoamiBody {
    account_id: String,
    username: String,
    /// The credential that the account logged in with.
    credential: Option<String>,
    /// The key that signed this request.
    thumbprint: Option<String>,
    /// How possession of it was proven.
    #[schema(example = "dpop")]
    proof: &'static str,
    /// The `jti` of the access token.
    token_id: Option<String>,
    scopes: Vec<String>,
    /// Seconds since 1970.
    expires_at: u64,
}

/// Say who makes the request, and how that was proven.
#[utoipa::path(
    method(get, post, put, patch, delete),
    path = "/v1/whoami",
    tag = "account",
    security(("dpop" = [])),
    responses((status = 200, body = WhoamiBody))
)]
pub(crate) async fn whoami(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<impl IntoResponse, Problem> {
    let username = app.authority.username(&principal).await?;
    let body = WhoamiBody {
        account_id: principal.account_id.to_string(),
        username: username.to_string(),
        credential: principal.key.map(|key| key.credential.to_string()),
        thumbprint: principal.key.map(|key| key.thumbprint.to_string()),
        proof: principal.proof.name(),
        token_id: principal.token_id,
        scopes: principal.scopes.iter().map(str::to_owned).collect(),
        expires_at: principal.expires_at.as_secs(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)))
}
