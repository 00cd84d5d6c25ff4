//! The server's public signing keys.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use countersign_protocol::wire;

use crate::{http::response, state::App};

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
    let mut response = if is_known(request.headers(), &keys.tag) {
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

/// Whether the client has the answer with the entity tag `tag` (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
