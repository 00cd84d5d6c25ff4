//! The one path from a request to a principal.

use std::sync::Arc;

use countersign_protocol::{Principal, ProofKind, challenges::sealed::Nonces};
use http::{HeaderMap, HeaderValue, request::Parts};

use crate::{
    case::{Case, Wiring},
    memory_start::MemoryStart,
    metadata::resource_metadata,
    policy::GuardPolicy,
    ports::GuardPorts,
    presented::{self, Presented},
    proofs::Proofs,
    refusal::{Refusal, Refused},
    request::{Accepted, Request},
    requirements::Requirements,
    schemes::{bearer, dpop::Dpop, signed_message},
};

/// Decides about requests. Cheap to clone: clones share caches.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    wiring: Wiring,
    proofs: Proofs,
    dpop: Dpop,
}

impl Guard {
    /// A guard with `policy` that accepts only DPoP; `nonces` makes its nonces.
    pub fn new(policy: GuardPolicy, ports: GuardPorts, nonces: impl Nonces + 'static) -> Self {
        Self::accepting(Proofs::default(), policy, ports, nonces)
    }

    /// The same, with other accepted kinds of proof.
    pub fn accepting(
        proofs: Proofs,
        policy: GuardPolicy,
        ports: GuardPorts,
        nonces: impl Nonces + 'static,
    ) -> Self {
        let dpop = Dpop::new(nonces, &policy);
        let memory_start = MemoryStart::new(&*ports.clock);
        Self(Arc::new(Inner { wiring: Wiring { policy, ports, memory_start }, proofs, dpop }))
    }

    /// Decides about the request that `parts` describe, for a caller that answers it itself.
    ///
    /// # Errors
    /// With the first rule that does not hold.
    pub async fn verify(&self, parts: &Parts) -> Result<Principal, Refused> {
        self.verify_request(Request::from(parts)).await.map(|accepted| accepted.principal)
    }

    /// Whether [`Self::verify_request`] needs the body of a request with these headers, because the
    /// proof covers it.
    pub fn needs_body(&self, headers: &HeaderMap) -> bool {
        let Some(proofs) = &self.0.proofs.self_signed else { return false };
        let presented = presented::may_be_bearer(headers).then(|| Presented::from_headers(headers));
        matches!(presented, Some(Presented::Bearer(text)) if proofs.need_body(text))
    }

    /// The accepted kinds of proof, the strongest first.
    pub fn proofs(&self) -> impl Iterator<Item = ProofKind> {
        self.0.proofs.kinds()
    }

    /// The largest body that is worth reading for [`Self::verify_request`], in bytes.
    pub fn max_hashed_body(&self) -> usize {
        let proofs = self.0.proofs.self_signed.as_ref();
        proofs.map_or(0, |proofs| proofs.policy.max_hashed_body)
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// With the first rule that does not hold.
    pub async fn verify_request(&self, request: Request<'_>) -> Result<Accepted, Refused> {
        let Inner { wiring, proofs, dpop } = &*self.0;
        let case = Case { request, now: wiring.ports.clock.now(), wiring };
        let refused = |refusal| Err(Refused::early(refusal, ProofKind::Dpop));
        match Presented::from_headers(request.headers) {
            Presented::Malformed => refused(Refusal::Malformed),
            Presented::Dpop(text) if proofs.dpop => dpop.verify(text, &case).await,
            // These futures are boxed; otherwise every request would reserve room for the largest
            // of them.
            Presented::Bearer(text) if self.is_unbound(text) => {
                Box::pin(bearer::verify(text, &case)).await
            }
            Presented::Bearer(text) => {
                let verdict = match &proofs.self_signed {
                    Some(own) => Box::pin(own.verify(text, &case)).await,
                    None => refused(Refusal::Downgrade),
                };
                match verdict {
                    Err(refused) if refused.refusal == Refusal::Downgrade && proofs.dpop => {
                        Err(Box::pin(dpop.with_owner(refused, text, &case)).await)
                    }
                    verdict => verdict,
                }
            }
            Presented::SignedMessage(jwt) => match &proofs.signed_messages {
                Some(own) => Box::pin(signed_message::verify(&**own, jwt, &case)).await,
                None => refused(Refusal::Missing),
            },
            Presented::Dpop(_) | Presented::Nothing => refused(Refusal::Missing),
        }
    }

    /// Whether `text` is to be taken for an unbound token, which counts here.
    fn is_unbound(&self, text: &str) -> bool {
        self.0.proofs.bearer && bearer::is_of(&self.0.wiring.policy.issuer, text)
    }

    /// Decides whether `principal`, whose request was accepted, also has what is `required`, for code
    /// that learns only later what the request asks for.
    ///
    /// # Errors
    /// When it lacks something.
    pub fn permit(&self, principal: &Principal, required: &Requirements) -> Result<(), Refused> {
        let wiring = &self.0.wiring;
        let has = (&principal.scopes, principal.authentication);
        wiring
            .check_requirements(required, has, wiring.ports.clock.now())
            .map_err(|refusal| Refused::of_principal(refusal, principal))
    }

    /// The values of `WWW-Authenticate` for a refused request: a challenge for every accepted
    /// scheme, or one for the scheme that was used, with the error.
    pub fn challenges(&self, refused: &Refused) -> Vec<HeaderValue> {
        let kinds: Vec<ProofKind> = self.0.proofs.kinds().collect();
        let metadata = self.0.wiring.policy.metadata_url.as_deref();
        refused.refusal.challenges(&kinds, refused.proof, metadata)
    }

    /// The resource's metadata (RFC 9728), with the scopes that it uses.
    pub fn metadata(&self, scopes: &[&str]) -> serde_json::Value {
        resource_metadata(&self.0.wiring.policy, &self.0.proofs, scopes)
    }

    /// A fresh nonce for the client's next proof (RFC 9449 §9).
    pub fn fresh_nonce(&self) -> String {
        self.0.dpop.fresh_nonce(self.0.wiring.ports.clock.now())
    }

    /// A nonce that was fresh when this second began.
    pub(crate) fn nonce_of_this_second(&self) -> Option<HeaderValue> {
        self.0.dpop.nonce_of_second(self.0.wiring.ports.clock.now())
    }
}
