//! The page that a person sees at `/`.

use std::sync::LazyLock;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{Html, IntoResponse as _, Response},
};
use countersign_protocol::{digest::sha256, strict::base64};

use super::account_app;
use crate::state::App;

const PAGE: &str = include_str!("page.html");

/// Allows the page's own style, by its hash, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = PAGE.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
    let style = style.map_or("", |(style, _)| style);
    let hash = base64::encode(&sha256(&[style.as_bytes()]));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// What this is and how to use it, for people: the first page of the account app, or a page that says
/// how to use the server without one.
#[utoipa::path(
    get,
    path = "/",
    tag = "metadata",
    responses((status = 200, description = "A page", content_type = "text/html"))
)]
pub(crate) async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    account_app::document(&app, "/", &headers).unwrap_or_else(|| {
        // An issuer consists of characters that mean nothing in HTML: it was parsed as an origin.
        let page = PAGE.replace("{issuer}", app.authority.core.policy().issuer());
        ([(header::CONTENT_SECURITY_POLICY, POLICY.as_str())], Html(page)).into_response()
    })
}
