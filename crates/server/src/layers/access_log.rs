//! One log line and one entry in the metrics for every request.
//!
//! The line has the method, the route's pattern, the status, the latency, the client's address and
//! the request's id; the account and the thumbprint of its key, if they are proven; and the cause,
//! if the server failed. It never has a query, a header or a body, because these carry tokens, keys
//! and passwords.

use std::{
    mem,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::extract::Request;
use axum::response::Response;
use countersign_authority::Authority;
use countersign_protocol::{
    Actor,
    ports::{Clock, DrawnAhead},
};
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use tracing::field::display;

use crate::{
    http::{
        address::{ClientAddress, PeerAddress, TrustedProxies, client_address},
        refusal::{Cause, RefusalReason},
        request_id::{RequestId, X_REQUEST_ID},
    },
    metrics::{MethodLabel, Metrics, Route},
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
    /// A log of the requests to a server with this authority, which counts in `metrics`.
    pub fn of(
        authority: &Authority,
        metrics: &Arc<Metrics>,
        proxies: &Arc<TrustedProxies>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: authority.core.clock(),
            ids: DrawnAhead::new(authority.core.random()),
            metrics: Arc::clone(metrics),
            proxies: Arc::clone(proxies),
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

/// A request under way, until it is answered.
pub(crate) struct Entry(Line);

/// The line of a request: an extension of the request. It is written with the answer. If the client leaves
/// before the answer, it is written when nothing works on the request any more, because a change is done to
/// its end all the same, and until then more may become known of it.
#[derive(Clone)]
pub(crate) struct Line(Arc<Unfinished>);

struct Unfinished {
    log: Arc<AccessLog>,
    started: Duration,
    method: MethodLabel,
    route: Route,
    client: IpAddr,
    id: RequestId,
    is_written: AtomicBool,
    known: Mutex<Known>,
}

/// The part of a line that becomes known while the request is worked on.
#[derive(Default)]
struct Known {
    actor: Option<Actor>,
    cause: Option<Cause>,
    refusal: Option<RefusalReason>,
}

impl Entry {
    /// Gives `request` the extension [`ClientAddress`], from [`PeerAddress`] where there is one, and
    /// otherwise `0.0.0.0`; and the extension [`Line`].
    pub(crate) fn begin(log: Arc<AccessLog>, request: &mut Request) -> Self {
        let peer = request.extensions().get::<PeerAddress>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let client = client_address(peer, request.headers(), &log.proxies);
        request.extensions_mut().insert(ClientAddress(client));
        let line = Line(Arc::new(Unfinished {
            started: log.clock.monotonic(),
            method: MethodLabel::of(request.method()),
            route: Route::of(request.extensions()),
            client,
            id: RequestId::from_bytes(log.ids.take()),
            is_written: AtomicBool::new(false),
            known: Mutex::default(),
            log,
        }));
        request.extensions_mut().insert(line.clone());
        Self(line)
    }

    /// Writes the line, with how the request was answered and to whom; takes [`Actor`] and [`Cause`] out of
    /// the response and reads [`RefusalReason`].
    pub(crate) fn finish(self, mut response: Response) -> Response {
        let Self(line) = self;
        line.learn(&response);
        response.extensions_mut().remove::<Actor>();
        response.extensions_mut().remove::<Cause>();
        line.0.write(response.status());
        if let Ok(id) = HeaderValue::from_str(line.0.id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response
    }
}

impl Line {
    /// Notes whose request it is, as soon as that is proven.
    pub(crate) fn proven_by(&self, actor: &Actor) {
        self.0.known.lock().actor.get_or_insert_with(|| actor.clone());
    }

    /// Notes what `response` says about the request, whether its client gets the response or has left.
    pub(crate) fn learn(&self, response: &Response) {
        let said = response.extensions();
        let mut known = self.0.known.lock();
        if known.actor.is_none() {
            known.actor = said.get().cloned();
        }
        known.cause = said.get().cloned().or(known.cause.take());
        known.refusal = said.get().copied().or(known.refusal);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.write(StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::REQUEST_TIMEOUT));
    }
}

impl Unfinished {
    /// Writes the line, unless it is written, and counts the request.
    fn write(&self, status: StatusCode) {
        if self.is_written.swap(true, Relaxed) {
            return;
        }
        let took = self.log.clock.monotonic().saturating_sub(self.started);
        self.log.metrics.request(&self.route, self.method, status, took);
        let Known { actor, cause, refusal } = mem::take(&mut *self.known.lock());
        if let Some(RefusalReason(reason)) = refusal {
            self.log.metrics.refused(reason);
        }

        let (method, path) = (self.method.as_str(), self.route.as_str());
        let is_server_error = status.is_server_error();
        let (status, latency_us) = (status.as_u16(), micros(took));
        let (client, request_id) = (self.client, self.id);
        // An absent value is left out of the line.
        let actor = actor.as_ref();
        let account = actor.map(|actor| display(actor.account_id));
        let user = actor.and_then(|actor| actor.username.as_ref()).map(display);
        let key = actor.and_then(|actor| actor.key).map(display);
        match &cause {
            Some(Cause(cause)) => tracing::error!(
                target: TARGET,
                method, path, status, latency_us, %client, account, user, key, %request_id, %cause,
                "request failed"
            ),
            None if is_server_error => tracing::warn!(
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
