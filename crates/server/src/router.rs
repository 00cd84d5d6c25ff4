//! Puts the router together: which routes there are, and what stands around each of them.

use std::sync::Arc;

use axum::{Router, extract::Request, handler::Handler as _, response::Response};
use countersign_authority::Authority;
use countersign_guard::GuardLayer;
use countersign_protocol::{Principal, wire};
use http::{HeaderName, HeaderValue, header::CACHE_CONTROL};
use tower::util::{MapResponseLayer, option_layer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    dialects, forward_auth,
    http::{
        address::ClientAddress,
        problem::{Problem, ProblemType},
    },
    layers::{
        access_log::{AccessLog, Entry},
        admission::Admission,
        answers::Answers,
        cors,
        large_bodies::LargeBodies,
        limits::Gate,
        oauth_errors,
        on_exchange::on_exchange,
        panics::AnswerPanics,
        security_headers,
        shared_route::ShareRoute,
        verdicts,
        web_pages::WebPages,
    },
    routes::{
        self,
        web::{
            account_app,
            openapi::{self, ApiDoc},
        },
    },
    state::App,
};

/// Everything that is served.
///
/// Each route has one layer, a tuple with the outermost first: every level of the router costs a
/// request several allocations.
pub fn router(app: &App) -> Router {
    let log = AccessLog::of(&app.authority, &app.metrics, &app.settings.proxies);
    let log_requests = on_exchange(move |request: &mut Request| log_request(&log, request));
    let around_answer = (log_requests, AnswerPanics);
    let https = app.authority.core.policy().issuer().starts_with("https://");
    let add_headers = MapResponseLayer::new(move |response| security_headers::add(response, https));
    let cors = option_layer(cors::cors(&app.settings.cors));
    let around_all = (around_answer.clone(), add_headers, cors);
    let pages = WebPages::new(&app.authority.core.policy().origin, &app.settings.cors);
    let answers = Answers::new(&app.settings.limits);
    let gate = Gate::new(&app.settings.limits);
    let admit = Admission::new(gate, Arc::clone(&app.authority), pages);
    let recording = app.clone();
    let record = on_exchange(move |request: &mut Request| record_refusal(&recording, request));
    let guard = GuardLayer::new(app.guard.clone());
    let large_bodies = LargeBodies::new(&admit, guard.clone());
    let authority = Arc::clone(&app.authority);
    let note = on_exchange(move |request: &mut Request| note_accepted(&authority, request));
    let guard = (record.clone(), guard, note, ShareRoute);
    let nonces = app.clone();
    let add_nonce = MapResponseLayer::new(move |response| add_nonce(&nonces, response));

    let Groups { protected, keyrings, token, public, upkeep, unlimited, for_proxies } = groups(app);
    let admitted = (around_all.clone(), answers.clone(), admit.clone());
    let (of_upkeep, of_proxies) = (admit.of_upkeep(), admit.of_proxies());
    let with_large_bodies =
        (around_all.clone(), answers.clone(), record.clone(), large_bodies, ShareRoute);
    // Proxies take our answers for decisions about their clients' requests, so no layer for
    // browsers stands before them. Above all, only the guard may answer a preflight.
    let around_proxies = (around_answer, answers.clone(), of_proxies, record, ShareRoute);
    protected
        .route_layer((admitted.clone(), guard))
        .merge(keyrings.route_layer(with_large_bodies))
        .merge(token.route_layer((admitted.clone(), add_nonce, ShareRoute)))
        .merge(public.route_layer((admitted, ShareRoute)))
        .merge(upkeep.route_layer((around_all.clone(), answers, of_upkeep, ShareRoute)))
        .merge(unlimited.route_layer(around_all.clone()))
        .fallback(not_found.layer(around_all.clone()))
        .method_not_allowed_fallback(method_not_allowed.layer(around_all))
        .merge(for_proxies.map(|router| router.route_layer(around_proxies)).unwrap_or_default())
}

/// All routes without their layers, with the description of them all among them.
fn groups(app: &App) -> Groups {
    let mut api = ApiDoc::openapi();
    let described = |api: &mut utoipa::openapi::OpenApi, routes: OpenApiRouter<App>| {
        let (router, description) = routes.with_state(app.clone()).split_for_parts();
        api.merge(description);
        router
    };
    let dialects = app.settings.dialects;
    let protected = described(&mut api, routes::protected());
    let keyrings = described(&mut api, routes::keyrings());
    let token = described(&mut api, routes::with_token_endpoint_nonce());
    let public = described(&mut api, routes::public().merge(dialects::routes(dialects)));
    let public = public.merge(account_app::routes(app).with_state(app.clone()));
    let upkeep = described(&mut api, routes::upkeep());
    dialects::describe(&mut api, dialects);
    let behind_proxies = !app.protected.is_empty();
    let for_proxies = behind_proxies.then(|| described(&mut api, forward_auth::route::routes()));
    openapi::add_pages(&mut api, account_app::paths(app));
    openapi::add_common_refusals(&mut api);
    let unlimited = described(&mut api, routes::unlimited());
    let unlimited = unlimited.merge(openapi::router(api));
    Groups { protected, keyrings, token, public, upkeep, unlimited, for_proxies }
}

/// Records that a guard has let a request in.
fn note_accepted(
    authority: &Authority,
    request: &Request,
) -> impl FnOnce(Response) -> Response + use<> {
    if let Some(principal) = request.extensions().get::<Principal>() {
        verdicts::record_accepted(authority, request.extensions(), principal);
    }
    |response| response
}

/// Records that a guard refuses a request.
fn record_refusal(app: &App, request: &Request) -> impl FnOnce(Response) -> Response + use<> {
    let client = request.extensions().get::<ClientAddress>().copied();
    let app = app.clone();
    move |response| verdicts::record_refused(&app, client, response)
}

/// Routes by the layers around them.
struct Groups {
    protected: Router,
    /// Protected resources that take large bodies.
    keyrings: Router,
    token: Router,
    public: Router,
    /// What guards elsewhere fetch.
    upkeep: Router,
    unlimited: Router,
    /// What proxies ask, if there is anything behind some.
    for_proxies: Option<Router>,
}

/// Logs a request and its answer, and translates refusals into OAuth errors at OAuth endpoints.
fn log_request(
    log: &Arc<AccessLog>,
    request: &mut Request,
) -> impl FnOnce(Response) -> Response + use<> {
    let entry = Entry::begin(Arc::clone(log), request);
    let is_oauth = oauth_errors::concern(request);
    move |response| {
        let response = entry.finish(response);
        if is_oauth { oauth_errors::translate(response) } else { response }
    }
}

const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);

/// Every answer of the endpoints where proofs are made without a token, or are prepared, carries the
/// nonce for the next proof, and is not kept by caches (RFC 9449 §8.2).
fn add_nonce(app: &App, mut response: Response) -> Response {
    if let Ok(nonce) = HeaderValue::try_from(app.authority.core.fresh_nonce()) {
        let no_store = HeaderValue::from_static("no-store");
        let headers = response.headers_mut();
        headers.insert(DPOP_NONCE, nonce);
        headers.entry(CACHE_CONTROL).or_insert(no_store);
    }
    response
}

async fn not_found() -> Problem {
    Problem::new(ProblemType::NotFound).detail("no such resource; GET / says what there is")
}

async fn method_not_allowed() -> Problem {
    Problem::new(ProblemType::MethodNotAllowed)
}
