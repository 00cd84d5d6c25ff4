//! Which kinds of proof are accepted, and what each of them needs.

use std::sync::Arc;

use countersign_protocol::ProofKind;

use crate::{
    ports::Sessions,
    schemes::{self, self_signed::SelfSignedProofs},
};

/// Which kinds of proof are accepted.
///
/// By default only [`ProofKind::Dpop`], which is bound to the method and the URI of the request. A
/// kind is accepted when its verifier is given, so none can be accepted unverified.
#[derive(Clone)]
pub struct Proofs {
    /// Whether DPoP-bound access tokens are accepted.
    pub dpop: bool,
    /// Verifies JWTs that accounts signed themselves, if they are accepted.
    pub self_signed: Option<SelfSignedProofs>,
    /// Verifies signatures over nonce and session, if they are accepted.
    pub signed_messages: Option<Arc<dyn Sessions>>,
    /// Whether tokens are accepted that are bound to no key, so that anybody who gets hold of one
    /// can use it.
    pub bearer: bool,
}

impl Default for Proofs {
    fn default() -> Self {
        Self { dpop: true, self_signed: None, signed_messages: None, bearer: false }
    }
}

impl Proofs {
    /// The accepted kinds, the strongest first.
    pub fn kinds(&self) -> impl Iterator<Item = ProofKind> {
        schemes::KINDS.into_iter().filter(|kind| self.count(*kind))
    }

    /// Whether proofs of `kind` count.
    const fn count(&self, kind: ProofKind) -> bool {
        match kind {
            ProofKind::Dpop => self.dpop,
            ProofKind::SignedMessage => self.signed_messages.is_some(),
            ProofKind::SelfSigned => self.self_signed.is_some(),
            ProofKind::Bearer => self.bearer,
        }
    }
}
