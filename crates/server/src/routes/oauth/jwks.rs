//! The server's public signing keys.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use countersign_protocol::wire;

use crate::{
    http::{entity_tag, response},
    state::App,
};

const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The public signing keys that are not expired, as a JWK Set (RFC 7517).
#[utoipa::path(
    get,
    path = wire::path::JWKS,
    tag = "metadata",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")),
    responses(
        (status = 200, description = "A JWK Set", content_type = "application/jwk-set+json"),
        (status = 304, description = "The keys are those of the `If-None-Match`"),
    )
)]
pub(crate) async fn jwks(State(app): State<App>, request: Request) -> Response {
    let keys = app.authority.core.published_keys().await;
    let answer = app.jwks.current(&keys, || app.authority.core.jwks_max_age());
    let mut response = if entity_tag::is_known(request.headers(), &keys.tag) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        response::with_body(JWK_SET, answer.json.clone())
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, answer.caching.clone());
    headers.insert(header::ETAG, answer.tag.clone());
    response
}
