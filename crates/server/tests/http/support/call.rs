//! One request to the application.

use std::{
    cell::RefCell,
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
};
use countersign_server::PeerAddress;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use hyper::body::{Frame, SizeHint};
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt;

use super::Answer;

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Call {
    router: Router,
    method: String,
    uri: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    form: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    peer: SocketAddr,
}

impl Call {
    pub(crate) fn new(router: Router, method: &str, uri: &str) -> Self {
        Self {
            router,
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            form: Vec::new(),
            body: None,
            peer: SocketAddr::from(([192, 0, 2, 1], 4711)),
        }
    }

    /// Sends it from that address instead of 192.0.2.1.
    pub(crate) fn peer(mut self, address: &str) -> Self {
        self.peer = SocketAddr::new(address.parse().unwrap(), 4711);
        self
    }

    /// Adds a header field.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.headers.push((name.parse().unwrap(), value));
        self
    }

    /// Takes every field of that name away.
    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }

    /// Adds a `DPoP` header.
    pub(crate) fn dpop(self, proof: &str) -> Self {
        self.header("dpop", proof)
    }

    /// Adds a parameter to the form that is the body.
    pub(crate) fn param(mut self, name: &str, value: &str) -> Self {
        self.form.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes every parameter of that name away.
    pub(crate) fn without_param(mut self, name: &str) -> Self {
        self.form.retain(|(own, _)| own != name);
        self
    }

    /// Sends `value` as the body.
    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// Sends these bytes as the body, instead of what was to be sent.
    pub(crate) fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.without_header("content-type").header("content-type", media_type)
    }

    pub(crate) async fn send(self) -> Answer {
        let sent = format!(
            "{} {:?} {:?}",
            self.uri,
            self.headers,
            self.body.as_deref().map(String::from_utf8_lossy)
        );
        let (router, request) = self.build();
        let answer = Answer::of(router.oneshot(request).await.unwrap()).await;
        WIRE.with_borrow_mut(|wire| {
            if let Some(wire) = wire {
                wire.push_str(&sent);
                let _ = write!(wire, "{:?} {}", answer.headers, answer.body);
            }
        });
        answer
    }

    /// Sends its head, as a client that says that `bytes` follow and sends none of them.
    pub(crate) fn stall(self, bytes: u64) -> Stalled {
        self.send_later(bytes, Vec::new())
    }

    /// Sends its head, and its body when [`Stalled::resume`] is called.
    pub(crate) fn pause(mut self) -> Stalled {
        let body = self.body.take().unwrap();
        self.send_later(body.len() as u64, body)
    }

    fn send_later(self, bytes: u64, rest: Vec<u8>) -> Stalled {
        let (reads, (resume, resumed)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let body =
            StalledBody { bytes, rest: Some(rest.into()), resumed, reads: Arc::clone(&reads) };
        let (router, request) = self.build();
        let request = request.map(|_| Body::new(body));
        let sending = async { Answer::of(router.oneshot(request).await.unwrap()).await };
        Stalled { answer: tokio::spawn(sending), reads, resume }
    }

    fn build(mut self) -> (Router, Request<Body>) {
        if self.body.is_none() && !self.form.is_empty() {
            let mut form = form_urlencoded::Serializer::new(String::new());
            let form = form.extend_pairs(&self.form).finish();
            self = self.body("application/x-www-form-urlencoded", form);
        }
        let mut request = Request::new(self.body.map_or_else(Body::empty, Body::from));
        *request.method_mut() = self.method.parse().unwrap();
        *request.uri_mut() = self.uri.parse::<Uri>().unwrap();
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        let elsewhere = HeaderValue::from_static("elsewhere.example");
        request.headers_mut().entry(header::HOST).or_insert(elsewhere);
        request.extensions_mut().insert(PeerAddress(self.peer));
        (self.router, request)
    }
}

/// A request whose body does not arrive.
pub(crate) struct Stalled {
    /// What it gets all the same.
    pub(crate) answer: JoinHandle<Answer>,
    /// Notified when the server begins to read the body.
    pub(crate) reads: Arc<Notify>,
    resume: mpsc::UnboundedSender<()>,
}

impl Stalled {
    /// Sends the body.
    pub(crate) fn resume(&self) {
        self.resume.send(()).unwrap();
    }
}

struct StalledBody {
    bytes: u64,
    /// `None` once it was sent.
    rest: Option<Bytes>,
    resumed: mpsc::UnboundedReceiver<()>,
    reads: Arc<Notify>,
}

impl HttpBody for StalledBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.reads.notify_one();
        if self.rest.is_none() {
            return Poll::Ready(None);
        }
        match self.resumed.poll_recv(context) {
            Poll::Ready(Some(())) => Poll::Ready(self.rest.take().map(Frame::data).map(Ok)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

thread_local! {
    /// What was sent and answered on this thread, once somebody listens.
    static WIRE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Listens to what this thread sends and receives from now on.
pub(crate) fn listen_on_the_wire() {
    WIRE.set(Some(String::new()));
}

/// What was heard.
pub(crate) fn wire_log() -> String {
    WIRE.take().unwrap_or_default()
}

/// Sends all calls at once, each in a task of its own.
pub(crate) async fn many_at_once(calls: impl IntoIterator<Item = Call>) -> Vec<Answer> {
    let tasks: JoinSet<Answer> = calls.into_iter().map(Call::send).collect();
    tasks.join_all().await
}
