//! Which kinds of proof count, and what each of them needs.

use std::sync::Arc;

use countersign_protocol::ProofKind;

use crate::{
    ports::Sessions,
    schemes::{self, self_signed::SelfSignedProofs},
};

/// Which kinds of proof count.
///
/// By default only [`ProofKind::Dpop`] does, the one that is bound to the method and the URI of the
/// request. A kind counts when what verifies it is there, so none can count unverified.
#[derive(Clone)]
pub struct Proofs {
    /// Whether DPoP-bound access tokens count.
    pub dpop: bool,
    /// Whether JWTs count that accounts signed themselves.
    pub self_signed: Option<SelfSignedProofs>,
    /// Whether signatures over nonce and session count.
    pub signed_messages: Option<Arc<dyn Sessions>>,
    /// Whether tokens count that are bound to no key, so that whoever gets hold of one can use it.
    pub bearer: bool,
}

impl Default for Proofs {
    fn default() -> Self {
        Self { dpop: true, self_signed: None, signed_messages: None, bearer: false }
    }
}

impl Proofs {
    /// The kinds that count, the strongest first.
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
