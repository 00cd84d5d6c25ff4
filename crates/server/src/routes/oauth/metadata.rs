//! Authorization server metadata (RFC 8414).

use axum::{Json, extract::State, http::header, response::IntoResponse};
use countersign_protocol::{AuthenticationClass, ProofKind, keys::Algorithm, wire};
use serde_json::{Value, json};

use super::token;
use crate::state::App;

/// The metadata that clients need to use this server.
#[utoipa::path(
    get,
    path = wire::path::AUTHORIZATION_SERVER,
    tag = "metadata",
    responses((status = 200, description = "Authorization server metadata (RFC 8414)"))
)]
pub(crate) async fn metadata(State(app): State<App>) -> impl IntoResponse {
    let issuer = app.authority.core.policy().issuer();
    let mut document = document(issuer);
    let proofs: Vec<&str> = app.guard.proofs().map(ProofKind::name).collect();
    if app.authority.passkeys.origins().is_some() {
        document["grant_types_supported"] = json!([token::JWT_BEARER, token::WEBAUTHN]);
        let options = [issuer, wire::path::PASSKEY_OPTIONS].concat();
        document["countersign_passkey_options_endpoint"] = json!(options);
        document["acr_values_supported"] = json!(AuthenticationClass::ALL);
    }
    document["countersign_proofs_supported"] = json!(proofs);
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(document))
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}{}", wire::path::TOKEN),
        "jwks_uri": format!("{issuer}{}", wire::path::JWKS),
        "introspection_endpoint": format!("{issuer}{}", wire::path::INTROSPECT),
        "revocation_endpoint": format!("{issuer}{}", wire::path::REVOKE),
        "countersign_revocations_uri": format!("{issuer}{}", wire::path::REVOCATIONS),
        "response_types_supported": [],
        "grant_types_supported": [token::JWT_BEARER],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
        "revocation_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
        "dpop_signing_alg_values_supported": Algorithm::NAMES,
        "service_documentation": format!("{issuer}/"),
    })
}
