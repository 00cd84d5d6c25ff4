//! `GET /.well-known/oauth-authorization-server` (RFC 8414).

use serde_json::{Value, json};

use crate::support::{ISSUER, JWT_BEARER, TestApp};

const PATH: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn the_document_says_what_clients_must_know() {
    let app = TestApp::start().await;
    let answer = app.call("GET", PATH).send().await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let algorithms = json!(["EdDSA", "Ed25519", "ES256", "ES384", "PS256", "RS256"]);
    let expected = json!({
        "issuer": ISSUER,
        "token_endpoint": format!("{ISSUER}/oauth/token"),
        "jwks_uri": format!("{ISSUER}/.well-known/jwks.json"),
        "introspection_endpoint": format!("{ISSUER}/oauth/introspect"),
        "revocation_endpoint": format!("{ISSUER}/oauth/revoke"),
        "countersign_revocations_uri": format!("{ISSUER}/v1/revocations"),
        "service_documentation": format!("{ISSUER}/"),
        "response_types_supported": [],
        "grant_types_supported": [JWT_BEARER, "urn:countersign:params:oauth:grant-type:webauthn"],
        "countersign_passkey_options_endpoint": format!("{ISSUER}/v1/passkeys/options"),
        "acr_values_supported": ["phr"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "countersign_proofs_supported": ["dpop"],
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn the_document_has_what_rfc_8414_requires() {
    let app = TestApp::start().await;
    let document = app.call("GET", PATH).send().await.json();
    assert_eq!(document["issuer"], ISSUER, "§3.3: the very issuer that it was asked for");
    assert!(document["token_endpoint"].is_string(), "a grant other than implicit is supported");
    assert!(document["response_types_supported"].is_array(), "§2: REQUIRED");
    for (name, value) in document.as_object().unwrap() {
        let auth_methods = name.strip_suffix("_auth_methods_supported");
        let with_jwt =
            value.as_array().is_some_and(|list| list.contains(&"private_key_jwt".into()));
        if let (Some(endpoint), true) = (auth_methods, with_jwt) {
            let algorithms = &document[format!("{endpoint}_auth_signing_alg_values_supported")];
            let algorithms = algorithms.as_array().unwrap();
            assert!(!algorithms.contains(&"none".into()), "§2: MUST NOT be used");
            assert!(algorithms.contains(&"RS256".into()), "§2: SHOULD be supported");
        }
    }
}

#[tokio::test]
async fn every_url_that_the_document_names_answers() {
    let app = TestApp::start().await;
    let document = app.call("GET", PATH).send().await.json();
    let urls: Vec<&str> =
        document.as_object().unwrap().values().filter_map(Value::as_str).collect();
    assert_eq!(urls.len(), 8);
    for url in urls {
        let path = url.strip_prefix(ISSUER).unwrap();
        let found = async |method| app.call(method, path).send().await.status;
        let statuses = if path.is_empty() {
            continue;
        } else if path.starts_with("/oauth/") {
            (found("POST").await, 400)
        } else if path.starts_with("/v1/passkeys/") {
            (found("POST").await, 415)
        } else {
            (found("GET").await, 200)
        };
        assert_eq!(statuses.0, statuses.1, "{url}");
    }
}
