//! Lets a request in to its handler, unless it comes from another site's web page or exceeds a
//! limit of the server or the client.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::Response,
};
use countersign_authority::Authority;
use countersign_protocol::ClientNetwork;
use tower::Layer;

use crate::{
    http::{
        address::{ClientAddress, NOBODY},
        problem::Problem,
    },
    layers::{
        around::{Around, Handler, Surrounded},
        limits::{BodySize, Gate},
        web_pages::WebPages,
    },
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
    /// It is read.
    Read,
    /// It is read unless it is large; then a later layer reads it.
    ReadUnlessLarge,
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

    /// The same gate for resources that take large bodies, which it leaves unread.
    pub(crate) fn of_large_bodies(&self) -> Self {
        Self { bodies: Bodies::ReadUnlessLarge, ..self.clone() }
    }

    /// The gate.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Where principals come from.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same gate for the questions of proxies. They are about requests with bodies, and many proxies
    /// say how long such a body is, or that they expect to send one, and send none.
    pub(crate) fn of_proxies(&self) -> Self {
        Self { bodies: Bodies::LeftUnread, pages: None, ..self.clone() }
    }

    /// Refuses a request of another site's web page before it is counted. Then counts the request
    /// against its client's allowance, and only after that takes room for its body.
    pub(crate) async fn let_in(
        &self,
        client: Option<ClientAddress>,
        request: Request,
    ) -> Result<Request, Problem> {
        if let Some(pages) = &self.pages {
            pages.check(&request)?;
        }
        self.count(client).await?;
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let is_read = match self.bodies {
            Bodies::LeftUnread => return Ok(request.map(|_| Body::empty())),
            Bodies::Read => true,
            Bodies::ReadUnlessLarge => self.gate.size_of(request.body())? == BodySize::Usual,
        };
        if !is_read {
            return Ok(request);
        }
        // Boxed, because most requests have no body, and otherwise all of them would reserve room
        // for it.
        Box::pin(self.gate.receive(request, network_of(client))).await
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
pub(crate) fn network_of(client: Option<ClientAddress>) -> ClientNetwork {
    client.unwrap_or(ClientAddress(NOBODY)).network()
}

impl Around for Admission {
    async fn answer(&self, inner: impl Handler, request: Request) -> Result<Response, Problem> {
        let client = request.extensions().get().copied();
        let request = self.let_in(client, request).await?;
        self.gate.answer(inner, network_of(client), request).await
    }
}

impl<S> Layer<S> for Admission {
    type Service = Surrounded<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}
