//! Layers that wait: for a body, a place, an allowance, or the service that they stand around.
//!
//! Layers that need not wait are of [`on_exchange`](super::on_exchange), which allocates nothing.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use tower::Service;

use crate::http::problem::Problem;

/// A service that answers requests.
pub(crate) trait Handler:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Send + 'static
{
}

impl<S> Handler for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>
        + Send
        + 'static
{
}

/// What a layer does around a service.
pub(crate) trait Around: Clone + Send + 'static {
    /// The answer to `request`, which `inner` may make.
    fn answer(
        &self,
        inner: impl Handler,
        request: Request,
    ) -> impl Future<Output = Result<Response, Problem>> + Send;
}

/// A service with a layer around it.
#[derive(Clone)]
pub(crate) struct Surrounded<S, L> {
    inner: S,
    layer: L,
}

impl<S, L> Surrounded<S, L> {
    /// `inner` with `layer` around it.
    pub(crate) const fn new(inner: S, layer: L) -> Self {
        Self { inner, layer }
    }
}

impl<S, L> Service<Request> for Surrounded<S, L>
where
    S: Handler + Clone + 'static,
    L: Around + Sync,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is used; the clone takes its place.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move { Ok(layer.answer(inner, request).await.into_response()) })
    }
}
