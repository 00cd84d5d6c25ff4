//! For those who run the server: is it alive, and is it ready?

use std::time::Duration;

use axum::{extract::State, http::header, response::IntoResponse};
use countersign_authority::{keys::SigningKeyError, ports::StoreError};
use countersign_protocol::wire;

use crate::{
    http::problem::{Problem, ProblemType},
    state::App,
};

/// Whether the server answers at all.
#[utoipa::path(
    get,
    path = wire::path::HEALTH,
    tag = "operations",
    responses((status = 200, description = "It does", content_type = "text/plain"))
)]
pub(crate) async fn alive() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}

/// Whether the server can do its work: the store reads and writes as much as a login does, no write
/// has failed in the last seconds, a key is there to sign, and the server is not about to stop.
#[utoipa::path(
    get,
    path = wire::path::READY,
    tag = "operations",
    responses(
        (status = 200, description = "It can", content_type = "text/plain"),
        (status = 503, description = "unavailable"),
    )
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    if app.is_draining() {
        let problem = Problem::new(ProblemType::Unavailable).retry_after(Duration::from_secs(1));
        return Err(problem.detail("the server is about to stop; it still answers requests"));
    }
    app.authority.health.check().await.map_err(unready)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n"))
}

/// Why the server cannot do its work, as far as others may know it; the rest goes to the log.
fn unready(error: SigningKeyError) -> Problem {
    match error {
        SigningKeyError::Store(error @ StoreError::Unavailable(_)) => Problem::from(error),
        error => Problem::unavailable(error),
    }
}
