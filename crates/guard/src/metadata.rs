//! The metadata of a protected resource (RFC 9728).

use countersign_protocol::{ProofKind, keys::Algorithm, proofs::target_uri::TargetUri, wire};
use serde_json::{Value, json};

use crate::{policy::GuardPolicy, proofs::Proofs};

/// The path of the metadata of a resource without a path (RFC 9728 §3).
pub const METADATA_PATH: &str = wire::path::PROTECTED_RESOURCE;

/// The path of the metadata of the resource `audience` at `origin`: the well-known path, followed
/// by the path of the resource. None for an audience elsewhere: metadata at `origin` must not
/// describe it, and clients must not use them (RFC 9728 §3.1, §3.3).
pub fn metadata_path(origin: &TargetUri, audience: &str) -> Option<String> {
    let path = audience.strip_prefix(origin.origin())?;
    let is_path = path.is_empty() || path.starts_with('/') && !path.contains(['?', '#']);
    is_path.then(|| [METADATA_PATH, if path == "/" { "" } else { path }].concat())
}

/// The protected resource metadata (RFC 9728 §2) of a resource with this `policy` and `proofs`:
/// which issuer's tokens it accepts, and how they are presented.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_where_the_audience_says_or_nowhere() {
        let origin = TargetUri::parse("https://api.example").unwrap();
        let path = |audience: &str| metadata_path(&origin, audience);
        assert_eq!(path("https://api.example").as_deref(), Some(METADATA_PATH));
        assert_eq!(path("https://api.example/").as_deref(), Some(METADATA_PATH));
        let below = "/.well-known/oauth-protected-resource/v1";
        assert_eq!(path("https://api.example/v1").as_deref(), Some(below));
        for elsewhere in [
            "https://other.example/v1",
            "https://api.example.com",
            "https://api.example:8443",
            "http://api.example",
            "https://api.example/v1?x",
            "urn:my:api",
        ] {
            assert_eq!(path(elsewhere), None, "{elsewhere}");
        }
    }
}
