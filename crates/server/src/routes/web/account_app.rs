//! The account app: its pages and its files.
//!
//! Neither is protected: nobody's data is in them. What a page shows of an account it asks for
//! itself, as every other client does.

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::header::HeaderName;

use crate::{
    http::{
        entity_tag,
        problem::{Problem, ProblemType},
        response,
    },
    state::App,
    web_app::{Document, Encoded, ServedFile, Site, accepts_gzip, preferred},
};

/// A file that is opened by itself, such as an icon, loads nothing.
const FILE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The policy of a worker is the one that its own script comes with.
const WORKER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
/// No script runs whose hash the page does not know (Subresource Integrity §3.8).
const INTEGRITY_POLICY: HeaderValue = HeaderValue::from_static("blocked-destinations=(script)");
/// What a page may use of the device: passkeys, and nothing else.
const PERMISSIONS_POLICY: HeaderValue = HeaderValue::from_static(
    "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), \
     microphone=(), geolocation=(), usb=()",
);
/// What the answer for a page depends on.
const VARY: &str = "accept-language, accept-encoding, user-agent";
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

const INTEGRITY_POLICY_NAME: HeaderName = HeaderName::from_static("integrity-policy");
const PERMISSIONS_POLICY_NAME: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY_NAME: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY_NAME: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The routes of the app, but for `/`. None where it is switched off.
pub(crate) fn routes(app: &App) -> Router<App> {
    if app.site.is_none() {
        return Router::new();
    }
    let router =
        Router::new().route("/web/{hash}/{*file}", get(file)).route("/favicon.ico", get(icon));
    paths(app).fold(router, |router, path| router.route(path, get(page)))
}

/// The paths of the pages, but for `/`.
pub(crate) fn paths(app: &App) -> impl Iterator<Item = &str> {
    app.site.iter().flat_map(Site::paths).filter(|path| *path != "/")
}

/// The page at `path` in the language that the browser likes best.
pub(super) fn document(app: &App, path: &str, headers: &HeaderMap) -> Option<Response> {
    let documents = app.site.as_ref()?.page(path)?;
    let languages = documents.iter().map(|document| document.language.to_str().unwrap_or_default());
    let document = documents.get(preferred(headers, &languages.collect::<Vec<_>>()))?;
    let mut response = if entity_tag::is_known(headers, document.tag.to_str().unwrap_or_default()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        encoded(&document.body, HeaderValue::from_static("text/html; charset=utf-8"), headers)
    };
    describe(document, response.headers_mut());
    if knows_integrity_of_imports(headers) {
        response.headers_mut().insert(INTEGRITY_POLICY_NAME, INTEGRITY_POLICY);
    }
    Some(response)
}

/// Whether the browser gives a module that is imported the hash of its `modulepreload`. Safari's
/// engine does not, and would run no page under an integrity policy (tried with its version 2.50).
fn knows_integrity_of_imports(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default();
    !agent.contains("AppleWebKit/") || agent.contains("Chrome/") || agent.contains("Chromium/")
}

fn describe(document: &Document, headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, document.tag.clone());
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    headers.insert(header::CONTENT_LANGUAGE, document.language.clone());
    headers.insert(header::CONTENT_SECURITY_POLICY, document.policy.clone());
    headers.insert(PERMISSIONS_POLICY_NAME, PERMISSIONS_POLICY);
    headers.insert(OPENER_POLICY_NAME, SAME_ORIGIN);
    headers.insert(RESOURCE_POLICY_NAME, SAME_ORIGIN);
}

async fn page(State(app): State<App>, request: Request) -> Response {
    document(&app, request.uri().path(), request.headers()).unwrap_or_else(no_such_file)
}

async fn file(
    State(app): State<App>,
    Path((hash, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = app.site.as_ref().and_then(|site| site.file(&hash, &name));
    found.map_or_else(no_such_file, |file| {
        let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
        serve(file, for_ever, &headers)
    })
}

/// The icon that browsers ask for where no page names one.
async fn icon(State(app): State<App>, headers: HeaderMap) -> Response {
    let found = app.site.as_ref().and_then(|site| site.current_file("icons/icon-32.png"));
    found.map_or_else(no_such_file, |file| {
        serve(file, HeaderValue::from_static("public, max-age=86400"), &headers)
    })
}

fn serve(file: &ServedFile, caching: HeaderValue, wanted: &HeaderMap) -> Response {
    let mut response = encoded(&file.body, file.media_type.clone(), wanted);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let policy = if file.is_worker { WORKER_POLICY } else { FILE_POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(RESOURCE_POLICY_NAME, SAME_ORIGIN);
    response
}

/// An answer with `body` in a coding that the client takes.
fn encoded(body: &Encoded, media_type: HeaderValue, wanted: &HeaderMap) -> Response {
    let Some(gzip) = body.gzip().filter(|_| accepts_gzip(wanted)) else {
        return response::with_body(media_type, body.identity().clone());
    };
    let mut response = response::with_body(media_type, gzip.clone());
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn no_such_file() -> Response {
    let detail = "there is no such file; after an update of the server, load the page again";
    Problem::new(ProblemType::NotFound).detail(detail).into_response()
}
