//! One connection: its handshake, its requests, its end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    activity::{Activity, UnderWay, until_fetched},
    host_field,
    hosts::KnownHosts,
    limits::ConnectionLimits,
    not_http::{Explained, FirstBytes, Foreign},
    unread::{Unread, Wire},
};
use crate::{
    forward_auth::forwarded,
    http::{
        address::PeerAddress,
        problem::{Problem, ProblemType},
    },
    layers::access_log::AccessLog,
};

/// What all connections share.
pub(super) struct Server {
    pub(super) app: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) http: auto::Builder<TokioExecutor>,
    pub(super) limits: ConnectionLimits,
    pub(super) log: Arc<AccessLog>,
    /// Whether the log has explained yet why a foreign host is refused.
    pub(super) foreign_host: Once,
    pub(super) not_http: Explained,
    pub(super) stopping: watch::Receiver<bool>,
}

/// How long a connection that is being closed has to send the rest of its last answer.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// The answer to a client with too many connections, if there is no TLS in between.
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Length: 0\r\n\r\n";

impl Server {
    /// Tells a client that it has too many connections, if that is possible without waiting.
    pub(super) fn turn_away(&self, stream: &TcpStream, peer: SocketAddr) {
        if self.tls.is_none() {
            let _: io::Result<_> = stream.try_write(TOO_MANY.as_bytes());
        }
        let each = self.limits.connections_each;
        tracing::debug!(%peer, each, "a client has as many connections as one may");
    }

    /// Serves a connection to its end.
    pub(super) async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
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
            let has_streams = request.version() > Version::HTTP_11;
            let answer = self.answer(request, unread.clone(), peer);
            let activity = Arc::clone(&activity);
            async move {
                let answer = answer.await?;
                drop(under_way);
                Ok::<_, Infallible>(if has_streams {
                    until_fetched(&activity, answer)
                } else {
                    answer
                })
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
        let ended = async {
            while timeout(LINGER, connection.as_mut()).await.is_err() && activity.is_busy() {}
        };
        // A client that is told to stop may go on, and always have a request under way.
        if timeout(self.limits.idle_time, ended).await.is_err() {
            tracing::debug!(%peer, "a connection that was to end is cut off");
        }
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

    /// The answer to a request for somebody else's name that points to this server. Trusted proxies
    /// may send any name. So may a request that only trusted proxies get answered: the answer
    /// depends on the peer, and is of no use to a web page.
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

/// Logs a hint for the administrator: a proxy is not trusted, or a name is missing in the
/// configuration.
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

/// Small windows and buffers: bodies are small here, and many streams must not cost much memory.
pub(super) fn http(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    const LEAST_HEAD: u32 = 8192;
    const WINDOW: u32 = 64 * 1024;
    let head = limits.head_bytes.max(LEAST_HEAD);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Connections watch their own time, over both versions: see `Activity`.
        .header_read_timeout(None)
        // A client that has sent its whole request may close its side of the connection (RFC 9112
        // §9.6).
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
