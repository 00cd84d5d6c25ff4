//! Protected resources that take large bodies. A client proves who it is before a place for such a body
//! is taken, and before any byte of it is read.

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use countersign_authority::accounts::large_body::BodySender;
use countersign_guard::{GuardLayer, Refused};
use countersign_protocol::{ClientNetwork, Principal, wire};
use tower::Layer;

use crate::{
    http::{
        address::{ClientAddress, NOBODY},
        problem::Problem,
    },
    layers::{
        admission::{Admission, network_of},
        around::{Around, Handler, Surrounded},
        limits::{BodySize, Signer, Uploader},
        verdicts::record_accepted,
    },
};

/// The layer: what [`Admission`] and [`GuardLayer`] do elsewhere, and between them the reception of the
/// large bodies.
#[derive(Clone)]
pub(crate) struct LargeBodies {
    admission: Admission,
    guard: GuardLayer,
}

impl LargeBodies {
    /// Behind the gate of `admission`, for the principals of `guard`.
    pub(crate) fn new(admission: &Admission, guard: GuardLayer) -> Self {
        Self { admission: admission.of_large_bodies(), guard }
    }

    /// `request`, which is proven, with its body. Before a large one is taken in, everything about the
    /// principal is judged that can be. It can take minutes to arrive, so afterwards the principal must
    /// still be in good standing: no key that was revoked meanwhile changes anything.
    async fn receive(
        &self,
        network: ClientNetwork,
        request: Request,
    ) -> Result<Request, NotReceived> {
        let gate = self.admission.gate();
        if gate.size_of(request.body())? == BodySize::Usual {
            return Ok(request);
        }
        let principal = request.extensions().get::<Principal>().cloned();
        let unproven = || Problem::internal("a request without a principal was let in");
        let principal = principal.ok_or_else(unproven)?;
        let withdrawals = self.admission.authority().core.signing_keys().withdrawals();
        let has_answer = request.headers().contains_key(wire::header::PASSKEY_ASSERTION);
        let address = request.extensions().get().copied().unwrap_or(ClientAddress(NOBODY)).0;
        let accounts = &self.admission.authority().accounts;
        let sender = accounts.sender_of_large_body(&principal, has_answer, address).await;
        let uploader = self.uploader(&principal, sender.map_err(Problem::from)?, network);
        let request = gate.receive_large(request, uploader).await?;
        let stands = self.admission.authority().tokens.still_stands(&principal, withdrawals).await;
        let stands = stands.map_err(Problem::from)?;
        stands.then_some(request).ok_or_else(|| Refused::shut_out(&principal).into())
    }

    /// Whose places count: those of the account, apart for its keys and for others that act for it, which
    /// may be allowed nothing; and, where anybody could have made the account, those of the network.
    fn uploader(
        &self,
        principal: &Principal,
        sender: BodySender,
        network: ClientNetwork,
    ) -> Uploader {
        let account = principal.account_id;
        let signer = match sender {
            BodySender::Key => Signer::OwnKey,
            BodySender::WithPasskey => Signer::OtherKey,
        };
        let is_young = self.admission.authority().core.is_young(account);
        Uploader { account, signer, network: is_young.then_some(network) }
    }
}

/// Why a request with a large body has no answer.
enum NotReceived {
    Problem(Problem),
    ShutOut(Box<Refused>),
}

impl From<Problem> for NotReceived {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refused> for NotReceived {
    fn from(refused: Refused) -> Self {
        Self::ShutOut(Box::new(refused))
    }
}

impl Around for LargeBodies {
    /// `inner` answers once the request is proven and its body is there.
    async fn answer(&self, inner: impl Handler, request: Request) -> Result<Response, Problem> {
        let client = request.extensions().get().copied();
        let request = self.admission.let_in(client, request).await?;
        let (gate, network) = (self.admission.gate(), network_of(client));
        // The work on a request has a limit of time, so it pauses while a body arrives.
        let verifying = async { Ok(self.guard.let_in(request).await) };
        let (request, let_in) = match gate.admit(network, verifying).await? {
            Ok(let_in) => let_in,
            Err(refused) => return Ok(self.guard.refuse(refused)),
        };
        if let Some(principal) = request.extensions().get::<Principal>() {
            record_accepted(self.admission.authority(), request.extensions(), principal);
        }
        let answered = match self.receive(network, request).await {
            Ok(request) => gate.answer(inner, network, request).await,
            Err(NotReceived::Problem(problem)) => Err(problem),
            Err(NotReceived::ShutOut(refused)) => return Ok(self.guard.refuse(*refused)),
        };
        let mut response = answered.into_response();
        self.guard.complete(let_in, &mut response);
        Ok(response)
    }
}

impl<S> Layer<S> for LargeBodies {
    type Service = Surrounded<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}
