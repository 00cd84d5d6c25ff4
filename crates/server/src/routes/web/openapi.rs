//! The description of the HTTP surface, generated from the handlers.

use axum::{Router, body::Bytes, extract::State, http::header, response::IntoResponse};
use countersign_protocol::wire;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, PathItem, Ref, RefOr, ResponseBuilder, Schema,
        path::{Operation, OperationBuilder},
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{oauth_error::OAuthErrorBody, problem::ProblemBody};

/// The document without the paths, which the routers add.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "Log in with keys you own. Every token is bound to a key, and every request proves possession of it.\n\nWhat is wrong before an operation is reached has the same answer everywhere, which the operations do not repeat: 400 without exactly one valid `Host`, 404 for another path, 405 with `Allow` for another method, 421 under a name that is not this server's, 431 for a head that is too large.",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "accounts", description = "Registration"),
        (name = "oauth", description = "Tokens"),
        (name = "passkeys", description = "Passkeys of people in browsers"),
        (name = "keyring", description = "The sealed keyring of an account"),
        (name = "account", description = "Protected resources of one's own account"),
        (name = "metadata", description = "What clients and resource servers must know"),
        (name = "operations", description = "For those who run the server"),
    ),
    components(schemas(OAuthErrorBody, ProblemBody)),
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

/// Adds to every operation the refusals of the layers around it, which no handler makes itself, and
/// gives the operations of one handler different ids.
pub(crate) fn add_common_refusals(api: &mut utoipa::openapi::OpenApi) {
    for item in api.paths.paths.values_mut() {
        name_by_method(item);
        let PathItem { get, put, post, patch, delete, .. } = item;
        for operation in [put, post, patch, delete].into_iter().flatten() {
            add_refusals(operation, &OF_BODIES);
        }
        if let Some(operation) = get {
            add_refusals(operation, &[]);
        }
    }
}

/// Adds the pages for people that have the path of an operation: `Allow` names their method too.
pub(crate) fn add_pages<'a>(
    api: &mut utoipa::openapi::OpenApi,
    pages: impl Iterator<Item = &'a str>,
) {
    for path in pages {
        if let Some(item) = api.paths.paths.get_mut(path) {
            item.get.get_or_insert_with(|| page_operation(path));
        }
    }
}

fn page_operation(path: &str) -> Operation {
    let html = Content::new(None::<RefOr<Schema>>);
    let page = ResponseBuilder::new().description("A page").content("text/html", html);
    OperationBuilder::new()
        .tag("metadata")
        .operation_id(Some(format!("page{}", path.replace('/', "_"))))
        .summary(Some("The page of the account app, for people."))
        .response("200", page)
        .build()
}

/// Gives every refusal its body, which is of one kind for OAuth endpoints and of another for all else.
fn add_refusal_bodies(api: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let (media_type, schema) = if path.starts_with(wire::path::OAUTH) {
            ("application/json", "OAuthErrorBody")
        } else {
            ("application/problem+json", "ProblemBody")
        };
        let PathItem { get, put, post, patch, delete, head, options, trace, .. } = item;
        let operations = [get, put, post, patch, delete, head, options, trace];
        for operation in operations.into_iter().flatten() {
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.as_str() >= "400", response) {
                    let body = || Content::new(Some(Ref::from_schema_name(schema))).into();
                    response.content.entry(media_type.to_owned()).or_insert_with(body);
                }
            }
        }
    }
}

/// An `operationId` names one operation (OpenAPI 3.1 §4.8.10), also where several methods have the
/// same handler.
fn name_by_method(item: &mut PathItem) {
    let PathItem { get, put, post, patch, delete, head, options, trace, .. } = item;
    let methods = [
        ("get", get),
        ("head", head),
        ("put", put),
        ("post", post),
        ("patch", patch),
        ("delete", delete),
        ("options", options),
        ("trace", trace),
    ];
    let mut named: Vec<String> = Vec::new();
    for (method, operation) in methods {
        let Some(id) = operation.as_mut().and_then(|operation| operation.operation_id.as_mut())
        else {
            continue;
        };
        let own = id.clone();
        if named.contains(&own) {
            *id = format!("{method}_{own}");
        }
        named.push(own);
    }
}

/// The refusals of an operation whose method may have a body, whether it reads the body or not.
const OF_BODIES: [(&str, &str); 3] = [
    ("403", "A browser says that a web page of another origin sends this"),
    ("408", "The body took too long to arrive"),
    ("413", "The body is too large"),
];

fn add_refusals(operation: &mut Operation, of_bodies: &[(&'static str, &str)]) {
    let mut refusals = vec![
        ("429", "Too many requests; Retry-After says when to come back"),
        ("500", "The server failed"),
        ("503", "The server is busy or cannot do this now; Retry-After says when to come back"),
    ];
    refusals.extend(of_bodies);
    if operation.request_body.is_some() {
        refusals.push(("415", "The body has another media type or a Content-Encoding"));
    }
    if operation.security.is_some() {
        refusals.push(("400", "The Authorization header is malformed"));
        refusals.push(("401", "WWW-Authenticate says what is missing or wrong"));
    }
    for (status, description) in refusals {
        let response = ResponseBuilder::new().description(description);
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
    }
}

/// The text of the description.
#[derive(Clone)]
pub(crate) struct Document(Bytes);

/// Serves the description, which also describes its own endpoint.
pub(crate) fn router(mut api: utoipa::openapi::OpenApi) -> Router {
    let (router, itself) = OpenApiRouter::new().routes(routes!(document)).split_for_parts();
    api.merge(itself);
    add_refusal_bodies(&mut api);
    router.with_state(Document(api.to_json().unwrap_or_default().into()))
}

/// This description.
#[utoipa::path(
    get,
    path = wire::path::OPENAPI,
    tag = "metadata",
    responses((status = 200, description = "OpenAPI", content_type = "application/json"))
)]
pub(crate) async fn document(State(Document(text)): State<Document>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, text)
}
