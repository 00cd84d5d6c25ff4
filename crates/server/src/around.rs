//! Layers that see each request on its way in and its answer on its way out.
//!
//! `axum::middleware::from_fn` is for the layers that must wait: it clones all that lies below it, twice for each request,
//! and so the cost of several of them grows with the square of their number. These clone and allocate nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{extract::Request, response::Response};
use tower::{Layer, Service};

/// A layer that calls `on_request` with each request, and what that returns with the answer.
///
/// When a request is dropped before it is answered, because its client left, so is what
/// `on_request` returned.
pub(crate) const fn around<F, G>(on_request: F) -> Around<F>
where
    F: Fn(&mut Request) -> G,
    G: FnOnce(Response) -> Response,
{
    Around(on_request)
}

/// See [`around`].
#[derive(Clone)]
pub(crate) struct Around<F>(F);

impl<S, F: Clone> Layer<S> for Around<F> {
    type Service = AroundService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService { inner, on_request: self.0.clone() }
    }
}

/// A service with an [`Around`] layer.
#[derive(Clone)]
pub(crate) struct AroundService<S, F> {
    inner: S,
    on_request: F,
}

impl<S, F, G> Service<Request> for AroundService<S, F>
where
    S: Service<Request, Response = Response, Future: Unpin>,
    F: Fn(&mut Request) -> G,
    G: FnOnce(Response) -> Response + Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future, G>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let on_answer = Some((self.on_request)(&mut request));
        Answering { answer: self.inner.call(request), on_answer }
    }
}

/// The answer of an [`AroundService`].
pub(crate) struct Answering<A, G> {
    answer: A,
    on_answer: Option<G>,
}

impl<A, G, E> Future for Answering<A, G>
where
    A: Future<Output = Result<Response, E>> + Unpin,
    G: FnOnce(Response) -> Response + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.answer).poll(cx))?;
        Poll::Ready(Ok(match self.on_answer.take() {
            Some(on_answer) => on_answer(response),
            None => response,
        }))
    }
}
