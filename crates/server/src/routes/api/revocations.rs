//! The revocation feed, for resource servers that verify tokens by themselves.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::header, response::IntoResponse};
use countersign_authority::core::latest_feed::FEED_MAX_AGE;
use countersign_protocol::wire;

use crate::{http::problem::Problem, state::App};

/// What was revoked before its time, signed.
///
/// A compact JWS of the type `countersign-revocations-2+jwt`: the ids of revoked tokens, the
/// thumbprints of revoked keys and the ids of disabled accounts whose tokens may still be about; and
/// moments up to which every token of an account, or of anybody, counts as revoked.
#[utoipa::path(
    get,
    path = wire::path::REVOCATIONS,
    tag = "metadata",
    responses(
        (status = 200, description = "A compact JWS", content_type = "application/jwt"),
        (status = 503, description = "unavailable: the server cannot say"),
    )
)]
pub(crate) async fn revocations(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let feed = app.authority.tokens.revocation_feed().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/jwt".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={}", FEED_MAX_AGE.as_secs())),
    ];
    Ok((headers, Bytes::from_owner(Text(feed))))
}

/// The text of the feed, shared by all requests.
struct Text(Arc<str>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
