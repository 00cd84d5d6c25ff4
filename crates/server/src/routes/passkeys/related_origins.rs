//! The origins whose pages may use this server's passkeys (WebAuthn §5.11).

use axum::{Json, extract::State, http::header, response::IntoResponse};
use countersign_protocol::wire;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::problem::{Problem, ProblemType},
    state::App,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct RelatedOrigins {
    /// The issuer, and the origins of the setting `passkeys.origins`.
    #[schema(example = json!(["https://auth.example.com"]))]
    origins: Vec<String>,
}

/// The origins whose pages may use passkeys of this server.
///
/// Browsers ask for it at the host that is the RP ID, when a page of another site wants to use one of
/// its passkeys.
#[utoipa::path(
    get,
    path = wire::path::RELATED_ORIGINS,
    tag = "passkeys",
    responses(
        (status = 200, body = RelatedOrigins),
        (status = 404, description = "not-found: there are no passkeys here"),
    )
)]
pub(crate) async fn related_origins(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let off = || Problem::new(ProblemType::NotFound).detail("this server has no passkeys");
    let origins = app.authority.passkeys.origins().ok_or_else(off)?;
    let origins = origins.iter().map(ToString::to_string).collect();
    let headers = [(header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, Json(RelatedOrigins { origins })))
}
