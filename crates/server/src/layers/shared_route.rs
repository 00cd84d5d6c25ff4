//! One route for all clones of the layers above it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum::{extract::Request, routing::Route};
use tower::{Layer, Service};

/// The innermost layer of a route. Layers are cloned several times for each request. Cloning a
/// route allocates; cloning this layer does not.
#[derive(Clone, Copy)]
pub(crate) struct ShareRoute;

impl Layer<Route> for ShareRoute {
    type Service = SharedRoute;

    fn layer(&self, route: Route) -> SharedRoute {
        SharedRoute(Arc::new(route))
    }
}

/// A route below [`ShareRoute`].
#[derive(Clone)]
pub(crate) struct SharedRoute(Arc<Route>);

impl Service<Request> for SharedRoute {
    type Response = <Route as Service<Request>>::Response;
    type Error = <Route as Service<Request>>::Error;
    type Future = <Route as Service<Request>>::Future;

    /// A route is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Route::clone(&self.0).call(request)
    }
}
