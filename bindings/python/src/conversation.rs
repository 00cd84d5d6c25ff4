//! Work of the client that goes on whenever Python brings the next answer.
//!
//! The client's own futures are polled by hand. When one wants to send a request, it puts that into its
//! mailbox and waits; Python sends it by whatever library it likes, and comes back with the answer.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use countersign_client::{Carried, Carrier, ClientError, Request, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    pybacked::PyBackedBytes,
};

use crate::locking::lock;

pyo3::create_exception!(
    countersign,
    ClientFailed,
    pyo3::exceptions::PyException,
    "A request could not be signed, or its account could not log in."
);

/// Status, header fields and body of an answer.
type Answer = (u16, Vec<(PyBackedBytes, PyBackedBytes)>, Vec<u8>);

/// What a conversation ends with: the id of a new account, or nothing.
pub(crate) type Outcome = Option<String>;

type Work = Pin<Box<dyn Future<Output = Result<Outcome, ClientError>> + Send>>;

tokio::task_local! {
    /// The mailbox of the conversation that is being polled.
    static MAILBOX: Arc<Mailbox>;
}

/// Where a conversation and Python exchange a request and its answer.
#[derive(Default)]
struct Mailbox(Mutex<Post>);

#[derive(Default)]
struct Post {
    request: Option<Request>,
    answer: Option<Response>,
}

/// Leaves the sending to Python.
pub(crate) struct ByPython;

impl Carrier for ByPython {
    fn carry(&self, request: Request) -> Carried<'_> {
        let mailbox = MAILBOX.with(Arc::clone);
        lock(&mailbox.0).request = Some(request);
        Box::pin(poll_fn(move |_| match lock(&mailbox.0).answer.take() {
            Some(answer) => Poll::Ready(Ok(answer)),
            None => Poll::Pending,
        }))
    }
}

/// A piece of work of the client, and its mailbox.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Conversation {
    /// None when it has ended.
    work: Mutex<Option<Work>>,
    mailbox: Arc<Mailbox>,
}

/// A request that is to be sent.
#[pyclass(frozen, get_all, module = "countersign._native")]
pub(crate) struct Outgoing {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether it is the caller's own request, of which only the header fields count here.
    is_callers: bool,
}

/// What comes next.
#[derive(IntoPyObject)]
pub(crate) enum Step {
    Send(Outgoing),
    End(Outcome),
}

#[pymethods]
impl Conversation {
    /// Goes on with the answer to the last request, if there was one. One that has ended stays so.
    fn step(&self, py: Python<'_>, answer: Option<Answer>) -> PyResult<Step> {
        lock(&self.mailbox.0).answer = answer.map(response).transpose()?;
        let mut work = lock(&self.work);
        let Some(mut going) = work.take() else { return Ok(Step::End(None)) };
        let polled = py.detach(|| going.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        match polled {
            Poll::Ready(Ok(outcome)) => Ok(Step::End(outcome)),
            Poll::Ready(Err(error)) => Err(ClientFailed::new_err(explained(&error))),
            Poll::Pending => {
                *work = Some(going);
                let request = lock(&self.mailbox.0).request.take();
                let request =
                    request.ok_or_else(|| PyRuntimeError::new_err("an answer is missing"))?;
                Ok(Step::Send(Outgoing::new(request)))
            }
        }
    }
}

/// The error, with what one might do about it where the server's words do not say it.
fn explained(error: &ClientError) -> String {
    match error {
        ClientError::Refused(refusal) if refusal.code.as_deref() == Some("invalid_target") => {
            format!(
                "{error}. The server must know the API: countersign serve --resource URL, with the \
                 same text: a slash at the end counts. If the API goes by another name than its origin, \
                 say which: Client(…, resource=…)"
            )
        }
        _ => error.to_string(),
    }
}

impl Conversation {
    pub(crate) fn new(
        work: impl Future<Output = Result<Outcome, ClientError>> + Send + 'static,
    ) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let work = MAILBOX.scope(Arc::clone(&mailbox), work);
        Self { work: Mutex::new(Some(Box::pin(work))), mailbox }
    }
}

impl Outgoing {
    fn new(request: Request) -> Self {
        // Only what the caller wants signed carries a token: what logs in has none yet.
        let is_callers = request.headers.contains_key(AUTHORIZATION);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = request.headers.iter();
        Self {
            method: request.method.to_string(),
            url: request.url,
            headers: fields.map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: request.body,
            is_callers,
        }
    }
}

fn response((status, fields, body): Answer) -> PyResult<Response> {
    let status = StatusCode::from_u16(status)
        .map_err(|_| PyValueError::new_err(format!("{status} is no status")))?;
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        // What is no header field says nothing that the client would look for.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&name), HeaderValue::from_bytes(&value))
        {
            headers.append(name, value);
        }
    }
    Ok(Response { status, headers, body })
}
