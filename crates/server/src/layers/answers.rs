//! Bounds the memory of answers that clients do not fetch.
//!
//! In HTTP/2 a client says for each of a hundred streams how much it is ready to receive, and may say
//! nothing: each answer waits in memory. A request's place among those under way is given back when the
//! answer is made, so answers have places of their own, which they hold until they have left.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    response::{IntoResponse as _, Response},
};
use countersign_protocol::{
    ClientNetwork,
    shares::{NoPlace, Place, Shares},
};
use http::Version;
use tower::{Layer, Service};

use crate::{
    http::{problem::Problem, response::in_memory},
    layers::{
        admission::network_of,
        limits::{RequestLimits, no_place},
    },
};

#[cfg(test)]
mod tests;

/// One place is for this many bytes.
const PLACE: usize = 4096;
/// Answers of HTTP/1 up to this size take no place: a connection has one at a time, and room for it.
const ROOM_OF_A_CONNECTION: u64 = 16 * 1024;

/// The layer. All services behind its clones share the places.
#[derive(Clone)]
pub(crate) struct Answers(Arc<Places>);

struct Places {
    shares: Arc<Shares<ClientNetwork>>,
    limits: RequestLimits,
}

impl Answers {
    /// Nobody waits for an answer yet.
    pub(crate) fn new(limits: &RequestLimits) -> Self {
        let RequestLimits { answer_bytes, answer_bytes_each, .. } = *limits;
        let shares = Shares::new(answer_bytes / PLACE, (answer_bytes_each / PLACE).max(1));
        Self(Arc::new(Places { shares: Arc::new(shares), limits: limits.clone() }))
    }

    /// A place for the answer to `request`, before that has changed anything.
    fn expect(&self, request: &Request) -> Result<Expected, Problem> {
        let client = network_of(request.extensions().get().copied());
        let expected = Expected { answers: self.clone(), client, first: None };
        if request.version() <= Version::HTTP_11 {
            return Ok(expected);
        }
        match self.0.shares.take(client) {
            Ok(first) => Ok(Expected { first: Some(first), ..expected }),
            Err(none) => Err(self.refusal(none, client)),
        }
    }

    fn refusal(&self, none: NoPlace, client: ClientNetwork) -> Problem {
        let Places { shares, limits } = &*self.0;
        let bytes = shares.each() * PLACE;
        let what = format!("{client} has {bytes} bytes of answers that it did not fetch");
        no_place(none, &what).retry_after(limits.retry_after)
    }
}

/// An answer that is being made.
pub(crate) struct Expected {
    answers: Answers,
    client: ClientNetwork,
    /// In HTTP/2.
    first: Option<Place<ClientNetwork>>,
}

impl Expected {
    /// `answer`, which holds its places for as long as its body is in memory. What is in memory anyway,
    /// such as a file of the account app, needs none. Where there is no room for all of it, the answer
    /// says that.
    fn hold(self, answer: Response) -> Response {
        let size = answer.body().size_hint().exact().unwrap_or_default();
        if size == 0 || (self.first.is_none() && size <= ROOM_OF_A_CONNECTION) {
            return answer;
        }
        let (head, mut body) = answer.into_parts();
        let Some(bytes) = in_memory(&mut body) else {
            return Response::from_parts(head, body);
        };
        if !bytes.is_unique() {
            return Response::from_parts(head, Body::from(bytes));
        }
        match self.held(bytes) {
            Ok(bytes) => Response::from_parts(head, Body::from(bytes)),
            Err(refusal) => refusal.into_response(),
        }
    }

    fn held(self, bytes: Bytes) -> Result<Bytes, Problem> {
        let Self { answers, client, first } = self;
        let rest = bytes.len().div_ceil(PLACE) - usize::from(first.is_some());
        let rest = answers.0.shares.take_several(client, rest);
        let rest = rest.map_err(|none| answers.refusal(none, client))?;
        Ok(Bytes::from_owner(Held { bytes, _places: (first, rest) }))
    }
}

/// The bytes of an answer, with its places.
struct Held {
    bytes: Bytes,
    _places: (Option<Place<ClientNetwork>>, Place<ClientNetwork>),
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<S> Layer<S> for Answers {
    type Service = HoldingAnswers<S>;

    fn layer(&self, inner: S) -> HoldingAnswers<S> {
        HoldingAnswers { inner, answers: self.clone() }
    }
}

/// A service whose answers hold places.
#[derive(Clone)]
pub(crate) struct HoldingAnswers<S> {
    inner: S,
    answers: Answers,
}

impl<S> Service<Request> for HoldingAnswers<S>
where
    S: Service<Request, Response = Response, Future: Unpin>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.answers.expect(&request) {
            Ok(expected) => Answering::Begun(self.inner.call(request), Some(expected)),
            Err(refusal) => Answering::Refused(Some(refusal.into_response())),
        }
    }
}

/// The answer of a [`HoldingAnswers`].
pub(crate) enum Answering<F> {
    Begun(F, Option<Expected>),
    Refused(Option<Response>),
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut *self {
            Self::Begun(answer, expected) => {
                let answer = ready!(Pin::new(answer).poll(context))?;
                match expected.take() {
                    Some(expected) => expected.hold(answer),
                    None => answer,
                }
            }
            Self::Refused(refusal) => refusal.take().unwrap_or_default(),
        };
        Poll::Ready(Ok(answer))
    }
}
