//! The kinds of proof. Each file says of one how it is presented, verified and asked for.

pub(crate) mod bearer;
pub(crate) mod dpop;
pub(crate) mod self_signed;
pub(crate) mod signed_message;

use countersign_protocol::ProofKind;

/// All kinds, the strongest first.
pub(crate) const KINDS: [ProofKind; 4] =
    [ProofKind::Dpop, ProofKind::SignedMessage, ProofKind::SelfSigned, ProofKind::Bearer];

/// The challenge for a kind, without an error (RFC 9110 §11.3).
pub(crate) fn challenge(kind: ProofKind) -> String {
    match kind {
        ProofKind::Dpop => dpop::challenge(),
        ProofKind::SignedMessage => signed_message::challenge(),
        ProofKind::SelfSigned => self_signed::challenge(),
        ProofKind::Bearer => bearer::challenge(),
    }
}
