//! Turns every panic into the constant 500.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use tower::{Layer, Service};

use crate::http::problem::Problem;

/// A layer that answers with the constant 500 when what is below it panics. What the panic said
/// goes to the log.
#[derive(Clone, Copy)]
pub(crate) struct AnswerPanics;

impl<S> Layer<S> for AnswerPanics {
    type Service = PanicsAnswered<S>;

    fn layer(&self, inner: S) -> PanicsAnswered<S> {
        PanicsAnswered(inner)
    }
}

/// A service, or its answer, below [`AnswerPanics`].
#[derive(Clone)]
pub(crate) struct PanicsAnswered<A>(A);

impl<S: Service<Request, Response = Response, Future: Unpin>> Service<Request>
    for PanicsAnswered<S>
{
    type Response = Response;
    type Error = S::Error;
    type Future = PanicsAnswered<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        PanicsAnswered(self.0.call(request))
    }
}

impl<A, E> Future for PanicsAnswered<A>
where
    A: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A future that has panicked is not polled again, and it shares no data that a panic could
        // leave half changed.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Ok(answer(&*panic))))
    }
}

fn answer(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format_args!("panic: {}", message.unwrap_or("no message"))).into_response()
}
