//! For those who run the server: is it alive, is it ready, how is it doing.

use axum::{
    Router,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    address::ClientAddress,
    app::App,
    problem::{Problem, ProblemType},
};

/// These answer outside of all limits, so that an overloaded server can still be watched.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app)
}

/// Whether the server can do its work: the store reads and writes, and a key is there to sign.
async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    app.authority.check().await.map_err(Problem::unavailable)?;
    Ok("ready\n")
}

/// The metrics in the text format of Prometheus, for those networks that may read them.
async fn metrics(State(app): State<App>, request: Request) -> Response {
    if !may_read(&app, &request) {
        return Problem::new(ProblemType::Forbidden)
            .detail("metrics are read from the networks in metrics.allow only")
            .into_response();
    }
    let entries = app.authority.ports().replay_log.len();
    app.metrics.set_replay_log_entries(usize::try_from(entries).unwrap_or(usize::MAX));
    app.metrics.set_audit_events_dropped(app.authority.dropped_events());
    match app.metrics.encode() {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// A request that came through a proxy which is not trusted has no known origin.
fn may_read(app: &App, request: &Request) -> bool {
    let forwarded =
        ["forwarded", "x-forwarded-for"].iter().any(|name| request.headers().contains_key(*name));
    let known_origin = !forwarded || !app.settings.proxies.is_empty();
    let client = request.extensions().get::<ClientAddress>();
    known_origin
        && client.is_some_and(|client| {
            app.settings.metrics_readers.iter().any(|network| network.contains(&client.0))
        })
}
