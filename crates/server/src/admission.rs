//! Lets a request in to its handler: within the limits of the server and of its client.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::HttpBody as _,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use countersign_authority::Authority;
use tower::{Layer, Service};

use crate::{address::ClientAddress, limits::Gate, problem::Problem};

/// The layer. All that stands behind one of its clones shares the gate.
#[derive(Clone)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    authority: Arc<Authority>,
}

impl Admission {
    /// Admission through `gate`, with every request counted against its client's allowance.
    pub(crate) fn new(gate: Gate, authority: Arc<Authority>) -> Self {
        Self { gate: Arc::new(gate), authority }
    }

    /// Counts a request against its client's allowance.
    async fn count(&self, client: Option<ClientAddress>) -> Result<(), Problem> {
        let Some(ClientAddress(address)) = client else { return Ok(()) };
        Ok(self.authority.admit_request(address).await?)
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, admission: self.clone() }
    }
}

/// A service behind [`Admission`].
#[derive(Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    admission: Admission,
}

impl<S> Service<Request> for Admitted<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone takes the place of the service that was polled ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let admission = self.admission.clone();
        Box::pin(async move {
            let client = request.extensions().get().copied();
            let whole = if request.body().is_end_stream() {
                Ok(request)
            } else {
                // In a box of its own: most requests have no body, and all would carry its room.
                Box::pin(admission.gate.receive(request)).await
            };
            let answered = match whole {
                Ok(request) => {
                    let work = async {
                        admission.count(client).await?;
                        inner.call(request).await.map_err(|never| match never {})
                    };
                    admission.gate.admit(work).await
                }
                Err(refused) => Err(refused),
            };
            Ok(answered.into_response())
        })
    }
}
