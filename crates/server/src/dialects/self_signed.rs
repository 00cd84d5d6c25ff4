//! *self-signed*: JWTs that the client signs itself, as bearer tokens at every protected resource.
//!
//! There is no endpoint: the guard verifies them. This is what the server demands of them, and how
//! its description speaks of them. The requests of *gradecoin* are of this kind too, with the hash
//! of their body in `tha`.

use std::sync::Arc;

use countersign_guard::{AcrossRestarts, SelfSignedPolicy, SelfSignedProofs};
use countersign_protocol::proofs::body_hash::BodyHashes;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::switches::Dialects;
use crate::guard_ports::InProcessGuardPorts;

/// The name of the security scheme in the description of the API.
pub(super) const SCHEME: &str = "self-signed";

/// What verifies self-signed JWTs, if any dialect that is spoken has them.
pub(super) fn proofs(
    dialects: Dialects,
    policy: SelfSignedPolicy,
    ports: &Arc<InProcessGuardPorts>,
) -> Option<SelfSignedProofs> {
    if !dialects.self_signed && !dialects.gradecoin {
        return None;
    }
    let authority = &ports.0;
    let policy = SelfSignedPolicy {
        // Without the dialect of its own, what counts is the form that gradecoin has.
        require_body_hash: policy.require_body_hash || !dialects.self_signed,
        body_hashes: if dialects.gradecoin { policy.body_hashes } else { BodyHashes::Sha256 },
        other_names: dialects.gradecoin,
        ..policy
    };
    let across_restarts = authority.core.replay_log().is_volatile().then(|| AcrossRestarts {
        not_before: authority.core.last_event_before_start(),
        durable: Some(authority.core.durable_replay_log()),
        others: authority.core.has_neighbours(),
    });
    Some(SelfSignedProofs { policy, keys: Arc::clone(ports) as _, across_restarts })
}

/// How the description of the API speaks of them.
pub(super) fn scheme() -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.bearer_format = Some("JWT".to_owned());
    http.description = Some(
        "A JWT that the client signed itself with a key of the account: `sub` (or `accountId`), \
         `exp`, `iat` (it ends five minutes after, at the latest), and where wanted `aud` (this server alone), and \
         `tha`, the lower-case hexadecimal SHA-256 of the body. Each works once."
            .to_owned(),
    );
    SecurityScheme::Http(http)
}
