//! One log line and one entry in the metrics for every request.
//!
//! The line has the method, the route's pattern, the status, the latency, the client's address and
//! the request's id; the account and the thumbprint of its key, if they are proven; and the cause,
//! if the server failed. It never has a query, a header or a body, because these carry tokens, keys
//! and passwords.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use countersign_protocol::{
    Actor,
    ports::{Clock, DrawnAhead},
};
use http::{HeaderValue, StatusCode};
use tracing::field::display;

use crate::{
    http::{
        address::{ClientAddress, PeerAddress, TrustedProxies, client_address},
        refusal::{Cause, RefusalReason},
        request_id::{RequestId, X_REQUEST_ID},
    },
    metrics::{MethodLabel, Metrics, Route},
    state::App,
};

#[cfg(test)]
pub(crate) mod tests;

/// What `log.level` calls these lines, wherever this file lies.
const TARGET: &str = "countersign_server::access_log";

/// The status that the log and the metrics give to a request whose client left before the answer.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// The inputs of the log, and where it reports to.
pub struct AccessLog {
    /// Measures latencies.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub ids: DrawnAhead<8>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The proxies that may name the client's address.
    pub proxies: Arc<TrustedProxies>,
}

impl AccessLog {
    /// A log of the requests to `app`, which counts in its metrics.
    pub fn of(app: &App) -> Arc<Self> {
        Arc::new(Self {
            clock: app.authority.core.clock(),
            ids: DrawnAhead::new(app.authority.core.random()),
            metrics: Arc::clone(&app.metrics),
            proxies: Arc::clone(&app.settings.proxies),
        })
    }

    /// Logs a request that was answered before it reached a route.
    pub(crate) fn answered_early(
        self: &Arc<Self>,
        request: &mut Request,
        response: Response,
    ) -> Response {
        Entry::begin(Arc::clone(self), request).finish(response)
    }
}

/// A request under way. It is logged when it is dropped. So a request whose client leaves, which
/// drops the handler, gets a line too.
pub(crate) struct Entry {
    log: Arc<AccessLog>,
    started: Duration,
    method: MethodLabel,
    route: Route,
    client: IpAddr,
    id: RequestId,
    status: StatusCode,
    actor: Option<Actor>,
    cause: Option<Cause>,
}

impl Entry {
    /// Gives `request` the extension [`ClientAddress`], from [`PeerAddress`] where there is one, and
    /// otherwise `0.0.0.0`.
    pub(crate) fn begin(log: Arc<AccessLog>, request: &mut Request) -> Self {
        let peer = request.extensions().get::<PeerAddress>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let client = client_address(peer, request.headers(), &log.proxies);
        request.extensions_mut().insert(ClientAddress(client));
        Self {
            started: log.clock.monotonic(),
            method: MethodLabel::of(request.method()),
            route: Route::of(request.extensions()),
            client,
            id: RequestId::from_bytes(log.ids.take()),
            status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::REQUEST_TIMEOUT),
            actor: None,
            cause: None,
            log,
        }
    }

    /// Writes down how the request was answered, and to whom; takes [`Actor`] and [`Cause`] out of the
    /// response and reads [`RefusalReason`].
    pub(crate) fn finish(mut self, mut response: Response) -> Response {
        self.status = response.status();
        self.actor = response.extensions_mut().remove();
        self.cause = response.extensions_mut().remove();
        if let Some(RefusalReason(reason)) = response.extensions().get() {
            self.log.metrics.refused(reason);
        }
        if let Ok(id) = HeaderValue::from_str(self.id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let took = self.log.clock.monotonic().saturating_sub(self.started);
        self.log.metrics.request(&self.route, self.method, self.status, took);

        let (method, path) = (self.method.as_str(), self.route.as_str());
        let (status, latency_us) = (self.status.as_u16(), micros(took));
        let (client, request_id) = (self.client, self.id);
        // An absent value is left out of the line.
        let actor = self.actor.as_ref();
        let account = actor.map(|actor| display(actor.account_id));
        let user = actor.and_then(|actor| actor.username.as_ref()).map(display);
        let key = actor.and_then(|actor| actor.key).map(display);
        match &self.cause {
            Some(Cause(cause)) => tracing::error!(
                target: TARGET,
                method, path, status, latency_us, %client, account, user, key, %request_id, %cause,
                "request failed"
            ),
            None if self.status.is_server_error() => tracing::warn!(
                target: TARGET,
                method, path, status, latency_us, %client, account, user, key, %request_id,
                "request failed"
            ),
            None => {
                tracing::info!(
                    target: TARGET,
                    method, path, status, latency_us, %client, account, user, key, %request_id,
                    "request"
                );
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
