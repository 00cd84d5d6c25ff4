//! Layers that see each request on its way in and its answer on its way out.
//!
//! `axum::middleware::from_fn` clones everything below it, twice for each request, so the cost of
//! several such layers grows with the square of their number. It is for layers that must wait. The
//! layers here clone and allocate nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{extract::Request, response::Response};
use tower::{Layer, Service};

/// A layer that calls `on_request` with each request, and what that returns with the answer.
///
/// When a request is dropped before it is answered, because its client left, the value that
/// `on_request` returned is dropped with it.
pub(crate) const fn on_exchange<F, G>(on_request: F) -> OnExchange<F>
where
    F: Fn(&mut Request) -> G,
    G: FnOnce(Response) -> Response,
{
    OnExchange(on_request)
}

/// See [`on_exchange`].
#[derive(Clone)]
pub(crate) struct OnExchange<F>(F);

impl<S, F: Clone> Layer<S> for OnExchange<F> {
    type Service = ExchangeService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        ExchangeService { inner, on_request: self.0.clone() }
    }
}

/// A service with an [`OnExchange`] layer.
#[derive(Clone)]
pub(crate) struct ExchangeService<S, F> {
    inner: S,
    on_request: F,
}

impl<S, F, G> Service<Request> for ExchangeService<S, F>
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

/// The answer of an [`ExchangeService`].
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
