//! Lets a request in to its handler: from no web page of others, and within the limits of the server and of its client.

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

/// The layer. All that stands behind one of its clones shares the gate.
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

/// What becomes of the body of a request.
#[derive(Clone, Copy)]
enum Bodies {
    /// Nobody waits for it. Its connection serves no other request then: see `unread.rs`.
    LeftUnread,
    Read,
}

/// Which of a client's allowances requests count against.
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

    /// Refuses what the web page of somebody else sends, before it counts for anything. Then counts the
    /// request against its client's allowance, and only then takes the room for its body.
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
            // In a box of its own: most requests have no body, and all would carry its room.
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

/// All whose address nobody found out share one share.
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
        // The clone takes the place of the service that was polled ready.
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
