//! The accept loop: connections in, requests to the router, and an end in bounded time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use countersign_protocol::ClientNetwork;
use countersign_protocol::shares::{NoPlace, Place, Shares};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::{
    forward_auth::forwarded,
    http::{
        address::{PeerAddress, TrustedProxies},
        problem::{Problem, ProblemType},
    },
    layers::access_log::AccessLog,
    transport::{
        host_field,
        hosts::KnownHosts,
        not_http::{Explained, FirstBytes, Foreign},
        unread::{Unread, Wire},
    },
};

#[cfg(test)]
mod tests;

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
    /// closed. That includes the time that a client takes to fetch an answer.
    pub idle_time: Duration,
    /// How many requests may be under way at once in one HTTP/2 connection.
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
            streams: 100,
            drain: Duration::from_secs(10),
        }
    }
}

/// Why serving did not end well.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// Requests were still under way when the time to finish them was over.
    #[error("{connections} connections were cut because they did not finish in {waited:?}")]
    Cut {
        /// How many connections were cut.
        connections: usize,
        /// How long they had.
        waited: Duration,
    },
}

/// Serves `app` over HTTP/1.1 and HTTP/2 until `shutdown` is ready, with TLS if `tls` is given.
///
/// What is answered before `app` sees it is written down in `log`, which counts connections too.
/// Every request gets the extension [`PeerAddress`]. When an accept fails, for want of file
/// descriptors for example, the loop waits a little and goes on. After `shutdown` the socket is
/// closed at once, idle connections are closed, and requests under way may finish within
/// [`ConnectionLimits::drain`].
///
/// # Errors
///
/// [`ServeError::Cut`] when they did not.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: &ConnectionLimits,
    log: &Arc<AccessLog>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stop, stopping) = watch::channel(false);
    let metrics = &log.metrics;
    let server = Arc::new(Server {
        app,
        tls,
        http: http(limits),
        limits: limits.clone(),
        log: Arc::clone(log),
        foreign_host: Once::new(),
        not_http: Explained::nothing(),
        stopping,
    });
    let mut connections = JoinSet::new();
    let shares = Arc::new(Shares::new(usize::MAX, limits.connections_each));
    let mut shutdown = pin!(shutdown);
    loop {
        metrics.set_connections(connections.len());
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => report_panic(ended),
            (stream, peer) = next(&listener), if connections.len() < limits.connections => {
                if let Ok(place) = place(&shares, peer, &limits.proxies) {
                    let connection = Arc::clone(&server).connection(stream, peer);
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                } else {
                    metrics.refused("connections");
                    server.turn_away(&stream, peer);
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = drain(connections, limits.drain).await;
    metrics.set_connections(0);
    drained
}

/// A place for a connection of `peer`. What many clients share, because it comes through a proxy, has
/// no share: their requests are told apart by their addresses.
fn place(
    shares: &Arc<Shares<ClientNetwork>>,
    peer: SocketAddr,
    proxies: &TrustedProxies,
) -> Result<Option<Place<ClientNetwork>>, NoPlace> {
    if proxies.contains(peer.ip()) {
        return Ok(None);
    }
    shares.take(peer.ip().into()).map(Some)
}

/// Where connections come from. The tests have a source that fails.
trait Accept {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)>;
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// How long to wait after a failure that may last. A connection that ends cuts the wait short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The next connection, however many attempts fail before it.
async fn next(source: &impl Accept) -> (TcpStream, SocketAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match source.accept().await {
            Ok(accepted) => return accepted,
            // The client left while it waited in the queue; that says nothing about the next.
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionRefused | ConnectionReset
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the connections to end, and ends those that do not.
async fn drain(mut connections: JoinSet<()>, limit: Duration) -> Result<(), ServeError> {
    let all_end = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    if timeout(limit, all_end).await.is_ok() {
        return Ok(());
    }
    let cut = connections.len();
    connections.shutdown().await;
    Err(ServeError::Cut { connections: cut, waited: limit })
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Small windows and buffers: bodies are small here, and many streams must not cost much memory.
fn http(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    const LEAST_HEAD: u32 = 8192;
    const WINDOW: u32 = 64 * 1024;
    let head = limits.head_bytes.max(LEAST_HEAD);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Connections watch their own time, over both versions: see `Activity`.
        .header_read_timeout(None)
        // A client that has sent its whole request may close its side (RFC 9112 §9.6).
        .half_close(true)
        .max_buf_size(usize::try_from(head).unwrap_or(usize::MAX));
    builder
        .http2()
        .max_header_list_size(head)
        .max_concurrent_streams(limits.streams)
        // Streams that the client resets before they are served, and that break the protocol:
        // beyond these numbers the connection is closed (CVE-2023-44487, CVE-2025-8671).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buf_size(64 * 1024);
    builder
}

struct Server {
    app: Router,
    tls: Option<TlsAcceptor>,
    http: auto::Builder<TokioExecutor>,
    limits: ConnectionLimits,
    log: Arc<AccessLog>,
    /// Whether the log has explained yet why a foreign host is refused.
    foreign_host: Once,
    not_http: Explained,
    stopping: watch::Receiver<bool>,
}

/// How long a connection that is being closed has to send the rest of its last answer.
const LINGER: Duration = Duration::from_secs(5);

/// What a client is told whose connections are too many, where no TLS is in between.
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Length: 0\r\n\r\n";

impl Server {
    /// Tells a client that it has too many connections, as far as that takes no waiting.
    fn turn_away(&self, stream: &TcpStream, peer: SocketAddr) {
        if self.tls.is_none() {
            let _: io::Result<_> = stream.try_write(TOO_MANY.as_bytes());
        }
        let each = self.limits.connections_each;
        tracing::debug!(%peer, each, "a client has as many connections as one may");
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
        }
        let Some(tls) = &self.tls else {
            return self.http_connection(stream, peer).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake_time, tls.accept(stream)) => handshake,
            () = self.stops() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.http_connection(stream, peer).await,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "TLS handshake failed");
                self.explain(Foreign::of_handshake(&error), peer);
            }
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn http_connection<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let (first, unread) = (FirstBytes::default(), Unread::default());
        let stream = Wire::new(stream, first.clone(), unread.clone());
        let service = service_fn(|request| {
            let under_way = UnderWay::begin(&activity);
            let answer = self.answer(request, unread.clone(), peer);
            async move {
                let answer = answer.await;
                drop(under_way);
                answer
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection failed");
                    self.explain(Foreign::of_plain(&first), peer);
                }
                return;
            }
            () = activity.expires(&self.limits) => {}
            () = self.stops() => {}
        }
        connection.as_mut().graceful_shutdown();
        while timeout(LINGER, connection.as_mut()).await.is_err() && activity.is_busy() {}
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        unread: Unread,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let early = host_field::answer_early(&request).or_else(|| self.misdirected(&request, peer));
        let mut request = unread.watch(request);
        request.extensions_mut().insert(PeerAddress(peer));
        let early = early.map(|answer| self.log.answered_early(&mut request, answer));
        let app = match early {
            Some(answer) => Err(answer),
            None => Ok(self.app.clone()),
        };
        async move {
            let answer = match app {
                Ok(app) => app.oneshot(request).await?,
                Err(early) => early,
            };
            Ok(unread.last_if_unread(answer))
        }
    }

    fn explain(&self, foreign: Option<Foreign>, peer: SocketAddr) {
        if let Some(foreign) = foreign {
            self.not_http.note(foreign, peer, &self.log.metrics);
        }
    }

    /// The answer to a request that is not meant for this server, but for a name of somebody else's
    /// that points here. Proxies may send any name, and so may whoever asks what only a trusted proxy
    /// is told: that answer depends on the peer, and is of no use to a web page.
    fn misdirected(&self, request: &Request<Incoming>, peer: SocketAddr) -> Option<Response> {
        let ConnectionLimits { hosts, proxies, .. } = &self.limits;
        let hosts = hosts.as_ref()?;
        let host = hosts.foreign_name(request)?;
        if proxies.contains(peer.ip()) || forwarded::is_asked_at(request.uri().path()) {
            return None;
        }
        self.foreign_host.call_once(|| warn_of(host, hosts, peer));
        Some(misdirected().into_response())
    }

    async fn stops(&self) {
        // The sender lives as long as the loop that this connection belongs to.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

fn misdirected() -> Problem {
    Problem::new(ProblemType::MisdirectedRequest).detail(
        "this server listens on a loopback address, and is called by the host of its issuer, by \
         localhost or by a loopback address, and by what allowed_hosts lists",
    )
}

/// Tells the administrator of a proxy that is not trusted, or of a name that was forgotten.
fn warn_of(host: &str, known: &KnownHosts, peer: SocketAddr) {
    /// The longest name in the DNS, and a port.
    const LONGEST: usize = 260;
    let host: String = host.chars().take(LONGEST).collect();
    tracing::warn!(
        host, known = ?known.names(), peer = %peer.ip(),
        "refused with 421: a server that listens on a loopback address is called by localhost, by \
         loopback addresses and by the names in `known` only. If `host` is a name of this server, \
         add it to allowed_hosts; if `peer` is a proxy, to trusted_proxies. Further requests like \
         this one are counted, not explained"
    );
}

/// What happens in a connection, as far as its time limits are concerned.
///
/// The HTTP library has a timer for the heads of HTTP/1 requests, and none for the choice between
/// the versions, for HTTP/2 or for a client that does not fetch its answer. This covers all of
/// them, and costs a request two increments instead of a timer.
#[derive(Default)]
struct Activity {
    under_way: AtomicUsize,
    /// Counts beginnings and ends of requests.
    changes: AtomicU64,
}

impl Activity {
    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Ready when the connection has had no request for too long.
    async fn expires(&self, limits: &ConnectionLimits) {
        sleep(limits.head_time).await;
        let mut seen = 0;
        loop {
            let changes = self.changes.load(Ordering::Acquire);
            if changes == seen && !self.is_busy() {
                return;
            }
            seen = changes;
            sleep(limits.idle_time).await;
        }
    }
}

/// One request under way.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        activity.changes.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
