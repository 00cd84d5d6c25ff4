//! How the server is doing, for those networks that may know.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use countersign_protocol::wire;

use crate::{
    http::{
        address::{PeerAddress, is_forwarded},
        problem::{Problem, ProblemType},
    },
    metrics::CONTENT_TYPE,
    state::App,
};

/// The metrics in the text format of Prometheus, for those networks that may read them.
#[utoipa::path(
    get,
    path = wire::path::METRICS,
    tag = "operations",
    responses(
        (status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text"),
        (status = 403, description = "forbidden"),
    )
)]
pub(crate) async fn metrics(State(app): State<App>, request: Request) -> Response {
    if !may_read(&app, &request) {
        return Problem::new(ProblemType::Forbidden)
            .detail(
                "metrics are read from the networks in metrics.allow only, and not through a proxy",
            )
            .into_response();
    }
    if let Some(entries) = app.authority.core.replay_log().entries() {
        app.metrics.set_replay_log_entries(usize::try_from(entries).unwrap_or(usize::MAX));
    }
    app.metrics.set_audit_events_dropped(app.authority.health.dropped_events());
    app.metrics.set_replay_log_epochs(app.authority.health.replay_log_epochs());
    app.metrics.set_changes_age(app.authority.core.age_of_news());
    app.metrics.set_clock_ahead(app.authority.health.clock_ahead_millis().unwrap_or(0));
    let (condition, log_age) = app.authority.health.store_condition();
    app.metrics.set_store_condition(&condition, log_age);
    match app.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// Whether the other end of the connection may read the metrics. Headers do not count, because they
/// can be forged; so a request that came through a proxy may not.
fn may_read(app: &App, request: &Request) -> bool {
    let Some(PeerAddress(peer)) = request.extensions().get() else { return false };
    let peer = peer.ip().to_canonical();
    !is_forwarded(request.headers())
        && app.settings.metrics_readers.iter().any(|network| network.contains(&peer))
}
