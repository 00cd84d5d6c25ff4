//! What connections may cost: numbers, sizes and times.

use std::{sync::Arc, time::Duration};

use super::hosts::KnownHosts;
use crate::http::address::TrustedProxies;

/// The limits of connections. The defaults are far above what honest use needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many connections may be open at once. Those beyond wait in the kernel's queue.
    pub connections: usize,
    /// How many of them one client network may have; more are closed at once.
    pub connections_each: usize,
    /// Peers that speak for many clients, and so have no share of their own.
    pub proxies: Arc<TrustedProxies>,
    /// The names by which this server may be called by peers that are no proxies; `None` where any
    /// will do, because it listens to a network.
    pub hosts: Option<Arc<KnownHosts>>,
    /// The largest head of a request, in bytes; 431 beyond that. At least 8192.
    ///
    /// The number of header fields is limited as well: to 100 in HTTP/1, and in HTTP/2 by the
    /// 32 bytes that each counts for in the size (RFC 9113 §6.5.2).
    pub head_bytes: u32,
    /// The longest that a TLS handshake may take.
    pub handshake_time: Duration,
    /// The longest from the start of a connection to the end of its first request's head.
    pub head_time: Duration,
    /// After this time, and at most twice this time, without a request under way, a connection is
    /// closed. That includes the time that a client takes to fetch an answer, in HTTP/2 also beside
    /// other requests.
    pub idle_time: Duration,
    /// How many requests may be under way at once in one HTTP/2 connection, with those whose answer the
    /// client has not fetched: each of these holds about 3 KiB, however short the answer.
    pub streams: u32,
    /// The longest that requests under way may take to finish after the shutdown has begun.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_each: 500,
            proxies: Arc::default(),
            hosts: None,
            head_bytes: 32 * 1024,
            handshake_time: Duration::from_secs(10),
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            streams: 32,
            drain: Duration::from_secs(10),
        }
    }
}
