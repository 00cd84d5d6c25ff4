//! The accept loop: connections in, requests to the router, and an end in bounded time.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Once};
use std::time::Duration;

use axum::Router;
use countersign_protocol::ClientNetwork;
use countersign_protocol::shares::{NoPlace, Place, Shares};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    connection::{Server, http},
    limits::ConnectionLimits,
    listeners::{Accept, Listeners},
    not_http::Explained,
};
use crate::{http::address::TrustedProxies, layers::access_log::AccessLog};

#[cfg(test)]
mod tests;

/// Why serving did not end well.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// Requests were still under way when the time to finish them was over.
    #[error("connections that did not finish in {waited:?} were cut: {connections}")]
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
/// Every request gets the extension [`PeerAddress`](crate::PeerAddress). When an accept fails, for want of file
/// descriptors for example, the loop waits a little and goes on. After `shutdown` the sockets are
/// closed at once, idle connections are closed, and requests under way may finish within
/// [`ConnectionLimits::drain`].
///
/// # Errors
///
/// [`ServeError::Cut`] when they did not.
pub async fn serve(
    listeners: impl Into<Listeners>,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: &ConnectionLimits,
    log: &Arc<AccessLog>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let listeners = listeners.into();
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
            (stream, peer) = next(&listeners), if connections.len() < limits.connections => {
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
    drop(listeners);
    stop.send_replace(true);
    let drained = drain(connections, limits.drain).await;
    metrics.set_connections(0);
    drained
}

/// A place for a connection of `peer`. A proxy, whose connections serve many clients, has no share:
/// its requests are counted by the clients' addresses.
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
