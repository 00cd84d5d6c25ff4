use std::collections::VecDeque;
use std::future::pending;
use std::sync::{LazyLock, Mutex};

use axum::extract::Request as AxumRequest;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    http::address::PeerAddress,
    layers::access_log::tests::{Lines, log_with},
    metrics::Metrics,
    transport::{
        connection::LINGER,
        tls::{
            ServerTls,
            tests::{Fixture, client, localhost},
        },
    },
};

mod unfetched;
mod unread_bodies;
mod who_connects;

static LIMITS: LazyLock<ConnectionLimits> = LazyLock::new(|| ConnectionLimits {
    connections: 100,
    connections_each: 100,
    proxies: Arc::default(),
    hosts: None,
    head_bytes: 8192,
    handshake_time: Duration::from_secs(10),
    head_time: Duration::from_secs(10),
    idle_time: Duration::from_mins(1),
    streams: 100,
    drain: Duration::from_secs(10),
});

const REQUEST: &str = "GET /peer HTTP/1.1\r\nhost: localhost\r\n\r\n";
const SLOW_REQUEST: &str = "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// More bytes than the socket's buffers take.
const LARGE: usize = 64 << 20;

/// A server in the background.
struct Running {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    /// Told when a request for `/slow` has arrived.
    arrived: Arc<Notify>,
    /// Lets one request for `/slow` be answered.
    release: Arc<Notify>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn start(limits: ConnectionLimits, tls: Option<TlsAcceptor>) -> Self {
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
            move || async move {
                arrived.notify_one();
                release.notified().await;
                "finished"
            }
        };
        let peer = |request: AxumRequest| async move {
            let PeerAddress(peer) = request.extensions().get().unwrap();
            format!("from {peer} over {:?}", request.version())
        };
        let app = Router::new()
            .route("/peer", get(peer))
            .route("/slow", get(slow))
            .route("/large", get(|| async { vec![0; LARGE] }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new());
        let (stop, stopped) = oneshot::channel();
        let log = log_with(&metrics);
        let ended = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            serve(listener, tls, app, &limits, &log, shutdown).await
        });
        Self { address, metrics, arrived, release, stop, ended }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// From another loopback address, which is another client network.
    async fn connect_from(&self, address: &str) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until what was read ends with `end`.
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = self.0.read_u8().await;
            text.push(byte.unwrap_or_else(|error| panic!("{error} after {text:?}")).into());
        }
        text
    }

    /// One whole exchange, which leaves the connection open.
    async fn exchange(&mut self) -> String {
        self.send(REQUEST).await;
        self.read_until("over HTTP/1.1").await
    }

    /// Reads until the server closes the connection.
    async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end too: the server did not read what was sent to it last.
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Checks that the server neither sends anything nor closes the connection for so long.
    async fn hears_nothing_for(&mut self, time: Duration) {
        timeout(time, self.0.peek(&mut [0; 1])).await.unwrap_err();
    }

    /// Checks that the server closes the connection after `least`, but within `most`.
    async fn is_closed_between(&mut self, least: Duration, most: Duration) {
        self.hears_nothing_for(least.checked_sub(A_MOMENT).unwrap()).await;
        let rest = timeout((most + A_MOMENT * 2).saturating_sub(least), self.read_to_end()).await;
        assert_eq!(rest, Ok(String::new()));
    }
}

const A_MOMENT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_connection_serves_many_requests_and_knows_its_peer() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    let expected = format!("from {} over HTTP/1.1", client.0.local_addr().unwrap());
    for _ in 0..3 {
        let response = client.exchange().await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(response.ends_with(&expected), "{response}");
    }
    assert!(server.metrics.encode().unwrap().contains("countersign_connections 1\n"));
}

#[tokio::test]
async fn http_2_works_without_tls() {
    let server = Running::start(LIMITS.clone(), None).await;
    let stream = server.connect().await.0;
    let response = over_http_2(stream, "http://localhost/peer", &[]).await;
    assert!(response.1.ends_with("over HTTP/2.0"), "{response:?}");
}

/// The answer to a GET request with these headers, over HTTP/2.
async fn over_http_2<S>(stream: S, uri: &str, headers: &[(&str, &str)]) -> (StatusCode, String)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
    let response = response.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    driver.abort();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.send(&format!("GET /peer HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9000))).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 431 "));

    let mut client = server.connect().await;
    client.send(&format!("GET /peer HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101))).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 431 "));

    let stream = server.connect().await.0;
    let large = "y".repeat(9000);
    let (status, _) = over_http_2(stream, "http://localhost/peer", &[("x", &large)]).await;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_head_is_cut() {
    let server = Running::start(LIMITS.clone(), None).await;
    for start in ["", "GET /peer HTTP/1.1\r\nhost: local", "PRI * HTTP/2.0\r\n"] {
        let mut client = server.connect().await;
        client.send(start).await;
        client.is_closed_between(LIMITS.head_time, LIMITS.head_time + LINGER).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.exchange().await;
    client.is_closed_between(LIMITS.idle_time, LIMITS.idle_time * 2 + LINGER).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_fetch_its_answer_is_cut() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    client.read_until("200 OK\r\n").await;
    let most = LIMITS.idle_time * 2 + LINGER + A_MOMENT;
    timeout(most, pending::<()>()).await.unwrap_err();
    assert!(client.read_to_end().await.len() < LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_keeps_its_connection_open() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    client.send(SLOW_REQUEST).await;
    client.hears_nothing_for(LIMITS.idle_time * 5).await;
    server.release.notify_one();
    client.read_until("finished").await;
    client.exchange().await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish_and_takes_no_new_ones() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut idle = server.connect().await;
    idle.exchange().await;
    let mut busy = server.connect().await;
    busy.send(SLOW_REQUEST).await;
    server.arrived.notified().await;

    server.stop.send(()).unwrap();
    // The idle connection is closed after the socket that accepts.
    assert_eq!(idle.read_to_end().await, "");
    let error = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    server.release.notify_one();
    let response = busy.read_to_end().await;
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nfinished"), "{response}");
    assert_eq!(server.ended.await.unwrap(), Ok(()));
    assert!(server.metrics.encode().unwrap().contains("countersign_connections 0\n"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let server = Running::start(LIMITS.clone(), None).await;
    let mut busy = server.connect().await;
    busy.send(SLOW_REQUEST).await;
    server.arrived.notified().await;
    server.stop.send(()).unwrap();
    let cut = ServeError::Cut { connections: 1, waited: LIMITS.drain };
    let ended = timeout(LIMITS.drain + A_MOMENT, server.ended).await.unwrap();
    assert_eq!(ended.unwrap(), Err(cut));
    assert_eq!(busy.read_to_end().await, "");
}

#[tokio::test(start_paused = true)]
async fn failed_accepts_do_not_end_or_spin_the_loop() {
    struct Failing(Mutex<VecDeque<io::Error>>, Listeners);
    impl Accept for Failing {
        async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
            let error = self.0.lock().unwrap().pop_front();
            match error {
                Some(error) => Err(error),
                None => Accept::accept(&self.1).await,
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let out_of_files = || io::Error::from_raw_os_error(24);
    let errors = [io::ErrorKind::ConnectionAborted.into(), out_of_files(), out_of_files()].into();
    let source = Failing(Mutex::new(errors), listener.into());
    let mut accepted = pin!(next(&source));
    let two_pauses = ACCEPT_PAUSE * 2;
    let almost = two_pauses.checked_sub(A_MOMENT).unwrap();
    timeout(almost, accepted.as_mut()).await.unwrap_err();
    let (_, peer) = timeout(A_MOMENT * 2, accepted).await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}

#[tokio::test]
async fn both_sockets_of_a_server_are_served() {
    let (one, other) =
        (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.2:0").await);
    let (one, other) = (one.unwrap(), other.unwrap());
    let addresses = [one.local_addr().unwrap(), other.local_addr().unwrap()];
    let listeners = Listeners::both(one, other);
    for address in [addresses[1], addresses[0], addresses[1]] {
        let client = TcpStream::connect(address).await.unwrap();
        let (_, peer) = timeout(A_MOMENT, next(&listeners)).await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_flood_of_reset_streams_is_answered_with_goaway() {
    const ENHANCE_YOUR_CALM: &[u8] = &[0, 0, 0, 11];
    let server = Running::start(LIMITS.clone(), None).await;
    let mut client = server.connect().await;
    // SETTINGS; then pairs of HEADERS (GET / over http, authority "x") and RST_STREAM.
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1_u32..400).step_by(2) {
        flood.extend(b"\0\0\x06\x01\x05");
        flood.extend(stream.to_be_bytes());
        flood.extend(b"\x82\x84\x86\x41\x01x");
        flood.extend(b"\0\0\x04\x03\0");
        flood.extend(stream.to_be_bytes());
        flood.extend(b"\0\0\0\x08");
    }
    client.0.write_all(&flood).await.unwrap();
    let mut answer = Vec::new();
    let _ = client.0.read_to_end(&mut answer).await;
    let mut frames = &answer[..];
    let mut goaway = None;
    while let Some((head, rest)) = frames.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (payload, rest) = rest.split_at(usize::try_from(length).unwrap());
        if head[3] == 7 {
            goaway = payload.get(4..8).map(<[u8]>::to_vec);
        }
        frames = rest;
    }
    assert_eq!(goaway.as_deref(), Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn tls_serves_both_versions() {
    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    let server = Running::start(LIMITS.clone(), Some(tls.acceptor())).await;

    let stream = server.connect().await.0;
    let stream = client(false, &["h2", "http/1.1"]).connect(localhost(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (_, body) = over_http_2(stream, "https://localhost/peer", &[]).await;
    assert!(body.ends_with("over HTTP/2.0"), "{body}");

    let stream = server.connect().await.0;
    let mut stream = client(false, &["http/1.1"]).connect(localhost(), stream).await.unwrap();
    let request = REQUEST.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.ends_with("over HTTP/1.1"), "{response}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    let server = Running::start(LIMITS.clone(), Some(tls.acceptor())).await;
    fixture.renew();
    assert!(tls.reload_if_changed().unwrap());
    let stream = server.connect().await.0;
    client(false, &["h2"]).connect(localhost(), stream).await.unwrap_err();
    let stream = server.connect().await.0;
    let stream = client(true, &["h2"]).connect(localhost(), stream).await.unwrap();
    over_http_2(stream, "https://localhost/peer", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_happen_is_cut() {
    let fixture = Fixture::new();
    let tls = ServerTls::load(fixture.files()).unwrap();
    let server = Running::start(LIMITS.clone(), Some(tls.acceptor())).await;
    let mut silent = server.connect().await;
    silent.is_closed_between(LIMITS.handshake_time, LIMITS.handshake_time).await;

    let mut plain = server.connect().await;
    plain.send(REQUEST).await;
    assert!(!plain.read_to_end().await.contains("HTTP"));

    let waiting = server.connect().await;
    server.stop.send(()).unwrap();
    let ended = timeout(A_MOMENT, server.ended).await.unwrap();
    assert_eq!(ended.unwrap(), Ok(()));
    drop(waiting);
}
