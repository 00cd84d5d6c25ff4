//! Lets a request in to its handler, unless it comes from another site's web page or exceeds a
//! limit of the server or the client.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::{IntoResponse as _, Response},
};
use countersign_authority::Authority;
use countersign_protocol::ClientNetwork;
use tower::{Layer, Service};

use crate::{
    http::{
        address::{ClientAddress, NOBODY},
        problem::Problem,
    },
    layers::{limits::Gate, web_pages::WebPages},
};

/// The layer. All services behind its clones share the gate.
#[derive(Clone)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    authority: Arc<Authority>,
    /// `None` for the questions of proxies, which are about requests to others: those decide about
    /// web pages themselves.
    pages: Option<WebPages>,
    allowance: Allowance,
    bodies: Bodies,
}

/// How the body of a request is treated.
#[derive(Clone, Copy)]
enum Bodies {
    /// It is not read. The connection serves no other request then: see `unread.rs`.
    LeftUnread,
    Read,
}

/// The allowance of the client that requests count against.
#[derive(Clone, Copy)]
enum Allowance {
    Requests,
    Upkeep,
}

impl Admission {
    /// Admission through `gate`, with every request counted against its client's allowance.
    pub(crate) fn new(gate: Gate, authority: Arc<Authority>, pages: WebPages) -> Self {
        Self {
            gate: Arc::new(gate),
            authority,
            pages: Some(pages),
            allowance: Allowance::Requests,
            bodies: Bodies::Read,
        }
    }

    /// The same gate for what guards elsewhere fetch, which has an allowance of its own.
    pub(crate) fn of_upkeep(&self) -> Self {
        Self { allowance: Allowance::Upkeep, ..self.clone() }
    }

    /// The same gate for the questions of proxies. They are about requests with bodies, and many proxies
    /// say how long such a body is, or that they expect to send one, and send none.
    pub(crate) fn of_proxies(&self) -> Self {
        Self { bodies: Bodies::LeftUnread, pages: None, ..self.clone() }
    }

    /// Refuses a request of another site's web page before it is counted. Then counts the request
    /// against its client's allowance, and only after that takes room for its body.
    async fn let_in(
        &self,
        client: Option<ClientAddress>,
        network: ClientNetwork,
        request: Request,
    ) -> Result<Request, Problem> {
        if let Some(pages) = &self.pages {
            pages.check(&request)?;
        }
        self.count(client).await?;
        if request.body().is_end_stream() {
            return Ok(request);
        }
        match self.bodies {
            Bodies::LeftUnread => Ok(request.map(|_| Body::empty())),
            // Boxed, because most requests have no body, and otherwise all of them would reserve
            // room for it.
            Bodies::Read => Box::pin(self.gate.receive(request, network)).await,
        }
    }

    async fn count(&self, client: Option<ClientAddress>) -> Result<(), Problem> {
        let Some(ClientAddress(address)) = client else { return Ok(()) };
        let admitted = match self.allowance {
            Allowance::Requests => self.authority.core.admit_request(address).await,
            Allowance::Upkeep => self.authority.core.admit_upkeep(address).await,
        };
        admitted.map_err(Problem::from)
    }
}

/// All clients with an unknown address share one share.
fn network_of(client: Option<ClientAddress>) -> ClientNetwork {
    client.unwrap_or(ClientAddress(NOBODY)).network()
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
        // The service that was polled ready is used; the clone takes its place.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let admission = self.admission.clone();
        Box::pin(async move {
            let client = request.extensions().get().copied();
            let network = network_of(client);
            let answered = match admission.let_in(client, network, request).await {
                Ok(request) => {
                    let work = async { inner.call(request).await.map_err(|never| match never {}) };
                    admission.gate.admit(network, work).await
                }
                Err(refused) => Err(refused),
            };
            Ok(answered.into_response())
        })
    }
}
