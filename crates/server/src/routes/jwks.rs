//! The server's public signing keys.

use axum::{extract::State, http::header, response::IntoResponse};

use crate::app::App;

pub(super) const PATH: &str = "/.well-known/jwks.json";

/// The public signing keys that are not expired, as a JWK Set (RFC 7517).
#[utoipa::path(
    get,
    path = PATH,
    tag = "metadata",
    responses((status = 200, description = "A JWK Set", content_type = "application/jwk-set+json"))
)]
pub(crate) async fn jwks(State(app): State<App>) -> impl IntoResponse {
    let keys = app.authority.signing_keys().jwks(app.authority.now());
    let max_age = app.authority.jwks_max_age();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={max_age}")),
    ];
    (headers, keys.to_string())
}
