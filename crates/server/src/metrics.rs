//! What the server counts about itself, in the `OpenMetrics` text format.
//!
//! Every label has few values: routes are the router's own patterns, methods and status classes
//! are closed sets, and all other labels are constants of the code. Nothing that a client chooses
//! becomes a label.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use axum::extract::MatchedPath;
use countersign_authority::ports::StoreCondition;
use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[cfg(test)]
mod tests;

/// The `Content-Type` of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<RouteLabel, Histogram>,
    refusals: Family<NamedLabel, Counter>,
    connections: Gauge,
    replay_log_entries: Gauge,
    replay_log_epochs: Counter,
    store_duration: Family<NamedLabel, Histogram>,
    audit_events_dropped: Counter,
    changes_age: Gauge,
    clock_ahead: Gauge,
    store_condition: StoreMetrics,
}

/// How the store is.
#[derive(Debug, Default)]
struct StoreMetrics {
    failed_writes: Counter,
    free_bytes: Gauge,
    log_bytes: Gauge,
    log_age: Gauge,
    log_transactions_dropped: Gauge,
}

impl Metrics {
    /// Metrics of a server that has done nothing yet.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("countersign"),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(request_histogram),
            refusals: Family::default(),
            connections: Gauge::default(),
            replay_log_entries: Gauge::default(),
            replay_log_epochs: Counter::default(),
            store_duration: Family::new_with_constructor(store_histogram),
            audit_events_dropped: Counter::default(),
            changes_age: Gauge::default(),
            clock_ahead: Gauge::default(),
            store_condition: StoreMetrics::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request's head to the answer's head",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register("refusals", "Requests refused, by reason", self.refusals.clone());
        registry.register("connections", "Connections open", self.connections.clone());
        registry.register(
            "replay_log_entries",
            "Used proofs and challenges that are remembered",
            self.replay_log_entries.clone(),
        );
        registry.register(
            "replay_log_epochs",
            "Times that used proofs may have been forgotten, so that clients repeat a request with a new nonce",
            self.replay_log_epochs.clone(),
        );
        registry.register_with_unit(
            "store_duration",
            "Time that an operation of the store took",
            Unit::Seconds,
            self.store_duration.clone(),
        );
        registry.register(
            "audit_events_dropped",
            "Audit events that could not be recorded",
            self.audit_events_dropped.clone(),
        );
        registry.register(
            "changes_age_seconds",
            "Time since the server last heard what others changed in the database",
            self.changes_age.clone(),
        );
        registry.register(
            "clock_ahead_milliseconds",
            "How far the clock is ahead of that of the machine with the database, if that may be another",
            self.clock_ahead.clone(),
        );
        self.store_condition.register(registry);
    }

    /// A request was answered with `status`, `took` after its head had arrived.
    pub(crate) fn request(
        &self,
        route: &Route,
        method: MethodLabel,
        status: StatusCode,
        took: Duration,
    ) {
        let status = StatusClass::of(status);
        let labels = RequestLabels { route: route.clone(), method, status };
        self.requests.get_or_create(&labels).inc();
        let RequestLabels { route, .. } = labels;
        self.request_duration.get_or_create(&RouteLabel(route)).observe(took.as_secs_f64());
    }

    /// A request was refused for `reason`.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&NamedLabel("reason", reason)).inc();
    }

    /// Sets the number of open connections.
    pub fn set_connections(&self, open: usize) {
        self.connections.set(gauge_value(open));
    }

    /// Sets the number of entries in the replay log.
    pub fn set_replay_log_entries(&self, entries: usize) {
        self.replay_log_entries.set(gauge_value(entries));
    }

    /// Sets how often the replay log has begun another epoch since the start.
    pub fn set_replay_log_epochs(&self, epochs: u64) {
        self.replay_log_epochs.inner().store(epochs, std::sync::atomic::Ordering::Relaxed);
    }

    /// Records how long an operation of the store took.
    pub fn store_operation(&self, operation: &'static str, took: Duration) {
        let label = NamedLabel("operation", operation);
        self.store_duration.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Sets the number of audit events that could not be recorded since the start.
    pub fn set_audit_events_dropped(&self, events: u64) {
        self.audit_events_dropped.inner().store(events, std::sync::atomic::Ordering::Relaxed);
    }

    /// Sets how long ago the server last heard what others changed in the store.
    pub fn set_changes_age(&self, age: Duration) {
        self.changes_age.set(gauge_bytes(age.as_secs()));
    }

    /// Sets how far the clock is ahead of that of the machine with the database, in milliseconds.
    pub fn set_clock_ahead(&self, millis: i64) {
        self.clock_ahead.set(millis);
    }

    /// Sets the condition of the store, and how long ago all of its log was folded in.
    pub fn set_store_condition(&self, condition: &StoreCondition, log_age: Option<Duration>) {
        let metrics = &self.store_condition;
        let failed = metrics.failed_writes.inner();
        failed.store(condition.failed_writes, std::sync::atomic::Ordering::Relaxed);
        metrics.free_bytes.set(gauge_bytes(condition.free_bytes.unwrap_or(0)));
        metrics.log_bytes.set(gauge_bytes(condition.log_bytes));
        metrics.log_age.set(gauge_bytes(log_age.map_or(0, |age| age.as_secs())));
        metrics.log_transactions_dropped.set(gauge_bytes(condition.dropped_transactions));
    }

    /// Everything, in the `OpenMetrics` text format, for an answer of type `CONTENT_TYPE`.
    ///
    /// # Errors
    ///
    /// When a metric cannot be written, which is a mistake in this module.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl StoreMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_failed_writes",
            "Transactions of the store that failed",
            self.failed_writes.clone(),
        );
        registry.register(
            "disk_free_bytes",
            "Bytes free where the database lies",
            self.free_bytes.clone(),
        );
        registry.register(
            "wal_bytes",
            "Size of the write-ahead log of the database",
            self.log_bytes.clone(),
        );
        registry.register(
            "wal_checkpoint_age_seconds",
            "Time since all of the write-ahead log was last in the database",
            self.log_age.clone(),
        );
        registry.register(
            "wal_dropped_transactions",
            "Transactions lost to a damaged write-ahead log at the start",
            self.log_transactions_dropped.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The pattern of a request's route; `other` if no route matches.
#[derive(Clone, Debug)]
pub(crate) struct Route(Option<MatchedPath>);

impl Route {
    /// The route of a request with these extensions.
    pub(crate) fn of(extensions: &http::Extensions) -> Self {
        Self(extensions.get().cloned())
    }

    /// The pattern, such as `/v1/keys/{thumbprint}`.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_ref().map_or("other", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// A request method; `other` for those that a client made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MethodLabel(&'static str);

impl MethodLabel {
    /// The label of `method`.
    pub(crate) fn of(method: &Method) -> Self {
        const KNOWN: [&str; 9] =
            ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
        Self(KNOWN.into_iter().find(|known| method == known).unwrap_or("other"))
    }

    /// The method's name, or `other`.
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StatusClass(&'static str);

impl StatusClass {
    fn of(status: StatusCode) -> Self {
        Self(match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RequestLabels {
    route: Route,
    method: MethodLabel,
    status: StatusClass,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let labels =
            [("route", self.route.as_str()), ("method", self.method.0), ("status", self.status.0)];
        labels.as_slice().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RouteLabel(Route);

impl EncodeLabelSet for RouteLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("route", self.0.as_str())].encode(encoder)
    }
}

/// One label, name and value, both constants of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct NamedLabel(&'static str, &'static str);

impl EncodeLabelSet for NamedLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [(self.0, self.1)].encode(encoder)
    }
}

/// From half a millisecond, which a cached answer takes, to ten seconds.
fn request_histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

/// From ten microseconds, which a lookup by key takes, to one second.
fn store_histogram() -> Histogram {
    Histogram::new([
        1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
        1.0,
    ])
}

fn gauge_bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
