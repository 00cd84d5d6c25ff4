//! Turns every panic into the constant 500.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// The answer of a service, or the constant 500 when that panics. What the panic said goes to the
/// log.
pub(crate) struct PanicsAnswered<A>(pub(crate) A);

impl<A, E> Future for PanicsAnswered<A>
where
    A: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // What has panicked is not polled again, and shares nothing that a panic leaves half done.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx)));
        polled.unwrap_or_else(|panic| Poll::Ready(Ok(answer(&*panic))))
    }
}

fn answer(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format_args!("panic: {}", message.unwrap_or("no message"))).into_response()
}
