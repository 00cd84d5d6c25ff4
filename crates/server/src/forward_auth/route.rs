//! Answers the question of proxies before they let a request pass: is it proven, and by whom?
//!
//! The guard for the described resource answers about the described request. `forwarded.rs` reads
//! the description.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use countersign_guard::{
    self as guard, Accepted, Guard, LoginRequirements, Refused, Requirements, add_session_nonce,
};
use countersign_protocol::{Actor, Principal, Scopes, wire};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, header::WWW_AUTHENTICATE, request::Parts,
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    forward_auth::forwarded::{ForwardedError, ForwardedRequest, Shown},
    http::{
        address::PeerAddress,
        problem::{Problem, ProblemType},
        refusal::RefusalReason,
    },
    layers::verdicts::record_accepted,
    state::App,
};

#[derive(OpenApi)]
#[openapi(
    paths(forward_auth),
    tags((name = "resources", description = "For those who protect other services"))
)]
struct Description;

/// The endpoint, for every method: Envoy asks with the client's.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .route(wire::path::FORWARD_AUTH, any(forward_auth))
        .route(wire::path::FORWARD_AUTH_SLASH, any(envoy))
        .route(wire::path::FORWARD_AUTH_BELOW, any(envoy))
}

/// Decide whether a request that a proxy describes is proven.
///
/// For the proxies in `trusted_proxies` only, and for the origins in `forward_auth.origins`. The
/// proxy passes on `Authorization`, `DPoP` and `Signed-Message`, and describes the original request
/// by `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`, or by `X-Original-Method` and
/// `X-Original-URL`. Any method will do. A proxy that cannot set headers asks with the client's own
/// method and authority, at this path followed by the client's.
#[utoipa::path(
    method(get, head, post, put, patch, delete, options, trace),
    path = wire::path::FORWARD_AUTH,
    tag = "resources",
    params(
        ("scope" = Option<String>, Query, description = "A scope that the principal must have. A query that has anything else than these three parameters must be that of the client's request, and means nothing"),
        ("acr" = Option<String>, Query, description = "The class that the login must have: `phr`"),
        ("max_age" = Option<u64>, Query, description = "How long ago the login may be, in seconds"),
    ),
    responses(
        (status = 200, description = "It is, by whom Remote-User, -Account, -Key, -Scopes and -Proof say, and after which login -Acr and -Amr; what does not exist is empty"),
        (status = 401, description = "It is not, or not by such a login: WWW-Authenticate says what is missing or wrong, and DPoP-Nonce has the nonce for the next proof"),
        (status = 403, description = "The scope is missing; or whoever asks is no trusted proxy, or does not describe the request in exactly one way"),
    )
)]
pub(crate) async fn forward_auth(
    State(app): State<App>,
    Extension(peer): Extension<PeerAddress>,
    request: Request,
) -> Response {
    let (asked, _) = request.into_parts();
    let question = || {
        let original = ForwardedRequest::from_headers(&asked.headers)?;
        let required = requirements(asked.uri.query(), original.path.query())?;
        Ok((original, required))
    };
    answer(&app, &asked, question, peer).await
}

/// The same for Envoy, which cannot require anything: the query is the client's.
async fn envoy(
    State(app): State<App>,
    Extension(peer): Extension<PeerAddress>,
    request: Request,
) -> Response {
    let (asked, _) = request.into_parts();
    let question = || {
        let original = ForwardedRequest::from_request(&asked, wire::path::FORWARD_AUTH)?;
        Ok((original, Requirements::none()))
    };
    answer(&app, &asked, question, peer).await
}

/// The request that is asked about, and what is required of it.
type Question = (ForwardedRequest, Requirements);

/// Only proxies that are trusted to overwrite these headers are believed. The address of the
/// connection counts, not the client's address, which is itself read from a header.
fn check_peer(app: &App, PeerAddress(peer): PeerAddress) -> Result<(), ForwardedError> {
    let is_trusted = app.settings.proxies.contains(peer.ip());
    is_trusted.then_some(()).ok_or(ForwardedError::UntrustedPeer)
}

/// What the proxy requires, by `asked`, the query of its question.
///
/// Some proxies send the query of the client's request, `sent`, along where their configuration
/// says none (Caddy's `forward_auth` with `uri /forward-auth`), so a query that both have is the
/// client's. A query that requires something is always the proxy's: otherwise a client could repeat
/// the proxy's query in its own request and nothing would be required of it.
fn requirements(asked: Option<&str>, sent: Option<&str>) -> Result<Requirements, ForwardedError> {
    let query = asked.unwrap_or_default();
    if let Some(required) = read_requirements(query) {
        return Ok(required);
    }
    if asked == sent && !seems_to_require(query) {
        return Ok(Requirements::none());
    }
    Err(ForwardedError::Query(Shown::new(query.as_bytes())))
}

/// What `query` requires: one scope, a class of logins and the age of a login, each at most once.
/// None if it has anything else.
fn read_requirements(query: &str) -> Option<Requirements> {
    let (mut scope, mut login) = (None, LoginRequirements::NONE);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "scope" if scope.is_none() => scope = Some(one_scope(&value)?),
            "acr" if login.acr.is_none() => login.acr = Some(value.parse().ok()?),
            "max_age" if login.max_age.is_none() => login.max_age = Some(seconds(&value)?),
            _ => return None,
        }
    }
    Some(Requirements { scopes: scope.unwrap_or_default(), login })
}

fn one_scope(text: &str) -> Option<Scopes> {
    text.parse::<Scopes>().ok().filter(|scopes| scopes.iter().count() == 1)
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok().map(Duration::from_secs)).flatten()
}

/// Whether a parameter of the query is called like a requirement, or something that is easily meant
/// as one.
fn seems_to_require(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| {
        let name = name.to_ascii_lowercase().replace(['_', '-'], "");
        name.contains("scope")
            || name.contains("maxage")
            || name.contains("acrvalue")
            || name.ends_with("acr")
    })
}

async fn answer(
    app: &App,
    asked: &Parts,
    question: impl FnOnce() -> Result<Question, ForwardedError>,
    peer: PeerAddress,
) -> Response {
    let understood = check_peer(app, peer).and_then(|()| {
        let (original, required) = question()?;
        Ok((app.protected.guard_of(&original.place)?, original, required))
    });
    match understood {
        Ok((guard, original, required)) => {
            let request = guard::Request {
                method: &original.method,
                path: original.path.path(),
                required: &required,
                // Proxies ask without the body, so a proof that covers it cannot be verified.
                ..guard::Request::from(asked)
            };
            decide(app, asked, (guard, request)).await
        }
        Err(error) => not_understood(&error, peer),
    }
}

async fn decide(
    app: &App,
    asked: &Parts,
    (guard, request): (&Guard, guard::Request<'_>),
) -> Response {
    let mut response = match guard.verify_request(request).await {
        Ok(verdict) => {
            record_accepted(&app.authority, &asked.extensions, &verdict.principal);
            accepted(app, verdict).await.unwrap_or_else(Problem::into_response)
        }
        Err(refused) => refusal(guard, refused),
    };
    guard.add_nonce(response.headers_mut());
    response
}

async fn accepted(app: &App, accepted: Accepted) -> Result<Response, Problem> {
    let username = app.authority.accounts.username(&accepted.principal).await?;
    let mut response = StatusCode::OK.into_response();
    add_identity(response.headers_mut(), &accepted.principal, username.as_str());
    add_session_nonce(response.headers_mut(), accepted.session_nonce);
    response.extensions_mut().insert(Actor::from(&accepted.principal));
    Ok(response)
}

/// Names the principal. Missing values are empty headers, so that a proxy that copies these headers
/// onto the client's request overwrites the client's own.
fn add_identity(headers: &mut HeaderMap, principal: &Principal, username: &str) {
    let key = principal.key.map(|key| key.thumbprint.to_string());
    let class = principal.authentication.and_then(|login| login.class);
    let methods =
        principal.authentication.map(|login| login.methods.names().collect::<Vec<_>>().join(" "));
    let identity = [
        ("remote-user", username.to_owned()),
        ("remote-account", principal.account_id.to_string()),
        ("remote-key", key.unwrap_or_default()),
        ("remote-scopes", principal.scopes.to_string()),
        ("remote-proof", principal.proof.name().to_owned()),
        ("remote-acr", class.map(|class| class.to_string()).unwrap_or_default()),
        ("remote-amr", methods.unwrap_or_default()),
    ];
    for (name, value) in identity {
        let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The guard's answer in a form that proxies pass on. nginx makes 500 of a refusal that is neither
/// 401 nor 403, and passes on one `WWW-Authenticate` field, so all challenges stand in one (RFC 9110
/// §11.6.1).
fn refusal(guard: &Guard, refused: Refused) -> Response {
    let status = match refused.refusal.challenge().status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => StatusCode::UNAUTHORIZED,
        status => status,
    };
    let mut response: Response = guard.answer_as(&refused, status).map(Body::from);
    join_challenges(response.headers_mut());
    response.extensions_mut().insert(refused);
    response
}

fn join_challenges(headers: &mut HeaderMap) {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
    let joined = challenges.collect::<Vec<_>>().join(&b", "[..]);
    if !joined.is_empty()
        && let Ok(joined) = HeaderValue::try_from(joined)
    {
        headers.insert(WWW_AUTHENTICATE, joined);
    }
}

/// The question is unclear, or the asker is not trusted. The log tells the administrator what is
/// wrong with the proxy, which may not show the answer.
fn not_understood(error: &ForwardedError, PeerAddress(peer): PeerAddress) -> Response {
    let peer = peer.ip().to_canonical();
    tracing::warn!(%peer, reason = %error, "a question of a proxy was refused");
    let problem = Problem::new(ProblemType::Forbidden).detail(format!("{error} (asked by {peer})"));
    let mut response = problem.into_response();
    response.extensions_mut().insert(RefusalReason(error.reason()));
    response
}
