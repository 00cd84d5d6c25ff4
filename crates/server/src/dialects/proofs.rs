//! Which proofs count at the server's own resources.

use std::sync::Arc;

use countersign_guard::{Proofs, SelfSignedPolicy};

use super::{self_signed, signjwt::guard_port::InProcessSessions, switches::Dialects};
use crate::guard_ports::InProcessGuardPorts;

/// DPoP, and what the spoken dialects have besides.
pub(crate) fn accepted(
    dialects: Dialects,
    self_signed: SelfSignedPolicy,
    ports: &Arc<InProcessGuardPorts>,
) -> Proofs {
    Proofs {
        dpop: true,
        self_signed: self_signed::proofs(dialects, self_signed, ports),
        signed_messages: dialects
            .signjwt
            .then(|| Arc::new(InProcessSessions(Arc::clone(&ports.0))) as _),
        bearer: false,
    }
}
