//! What a resource says about itself (RFC 9728).

use countersign_protocol::{ProofKind, keys::Algorithm};
use serde_json::{Value, json};

use crate::{policy::GuardPolicy, proofs::Proofs};

/// Where the metadata of a resource without a path are (RFC 9728 §3).
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The protected resource metadata of what `policy` and `proofs` guard (RFC 9728 §2): whose tokens
/// it wants and how they are presented.
pub(crate) fn resource_metadata(policy: &GuardPolicy, proofs: &Proofs, scopes: &[&str]) -> Value {
    let mut document = json!({
        "resource": policy.audience,
        "authorization_servers": [policy.issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": Algorithm::NAMES,
        "dpop_bound_access_tokens_required": !proofs.bearer,
        "countersign_proofs_supported": proofs.kinds().map(ProofKind::name).collect::<Vec<_>>(),
    });
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    document
}
