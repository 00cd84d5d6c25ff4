//! The description of the HTTP surface, generated from the handlers.

use axum::{Router, http::header, routing::get};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

/// What the document says besides the paths, which the routers add.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "Log in with keys you own. Every token is bound to a key, and every request proves possession of it.",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "accounts", description = "Registration"),
        (name = "oauth", description = "Tokens"),
        (name = "account", description = "Protected resources of one's own account"),
        (name = "metadata", description = "What clients and resource servers must know"),
    ),
    modifiers(&DpopScheme)
)]
pub(crate) struct ApiDoc;

struct DpopScheme;

impl Modify for DpopScheme {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        // OpenAPI has no other way to describe an HTTP authentication scheme of its own.
        let scheme = ApiKey::Header(ApiKeyValue::with_description(
            "Authorization",
            "`DPoP <access token>`, and a `DPoP` header with a proof for this request (RFC 9449), \
             which carries the nonce of the last `DPoP-Nonce` header.",
        ));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("dpop", SecurityScheme::ApiKey(scheme));
    }
}

pub(crate) fn router(api: &utoipa::openapi::OpenApi) -> Router {
    let document = api.to_json().unwrap_or_default();
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], document);
    Router::new().route("/openapi.json", get(answer))
}
