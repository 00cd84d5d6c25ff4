//! The server's public signing keys.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::app::App;

pub(super) const PATH: &str = "/.well-known/jwks.json";

const JWK_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The public signing keys that are not expired, as a JWK Set (RFC 7517).
#[utoipa::path(
    get,
    path = PATH,
    tag = "metadata",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer")),
    responses(
        (status = 200, description = "A JWK Set", content_type = "application/jwk-set+json"),
        (status = 304, description = "The keys are those of the `If-None-Match`"),
    )
)]
pub(crate) async fn jwks(State(app): State<App>, headers: HeaderMap) -> Response {
    let keys = app.authority.signing_keys().published(app.authority.now());
    let max_age = app.authority.jwks_max_age();
    let cache = [
        (header::CACHE_CONTROL, format!("public, max-age={max_age}")),
        (header::ETAG, keys.tag.clone()),
    ];
    if is_known(&headers, &keys.tag) {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    ([(header::CONTENT_TYPE, JWK_SET)], cache, keys.json.clone()).into_response()
}

/// Whether the client has the answer with the entity tag `tag` (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
