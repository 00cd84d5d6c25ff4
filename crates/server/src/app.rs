//! The whole application: routes, guard, limits, logs, put together in one place.

use std::{ops::Deref, sync::Arc};

use axum::{Router, extract::Request, handler::Handler as _, response::Response};
use countersign_authority::{Authority, policy::Policy};
use countersign_guard::{
    Guard, GuardLayer, GuardPolicy, GuardPorts, Proofs, SelfSignedPolicy, SelfSignedProofs,
};
use countersign_protocol::{ports::DrawnAhead, proofs::target_uri::TargetUri, wire};
use http::{HeaderName, HeaderValue, header::CACHE_CONTROL};
use ipnet::IpNet;
use tower::util::{MapResponseLayer, option_layer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    access_log::{AccessLog, Entry},
    address::{ClientAddress, TrustedProxies},
    admission::Admission,
    around::around,
    dialects::{self, Dialects, self_signed},
    guard_ports::AuthorityPorts,
    limits::{Gate, RequestLimits},
    metrics::Metrics,
    oauth_errors,
    panics::AnswerPanics,
    problem::{Problem, ProblemType},
    protected_origins::ProtectedOrigins,
    refused,
    routes::{self, JwksAnswer, openapi::ApiDoc},
    security_headers::{self, CorsOrigins},
    share::ShareRoute,
    web_pages::WebPages,
};

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] consists of.
pub struct Shared {
    /// Decides.
    pub authority: Arc<Authority>,
    /// Guards the protected resources.
    pub guard: Guard,
    /// What stands behind proxies that ask this server who may pass.
    pub(crate) protected: ProtectedOrigins,
    /// Counts.
    pub metrics: Arc<Metrics>,
    pub(crate) jwks: JwksAnswer,
    /// The transport's settings.
    pub settings: Settings,
}

/// The settings of the transport, which the authority knows nothing of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What one request may cost.
    pub limits: RequestLimits,
    /// Who may name the client's address.
    pub proxies: Arc<TrustedProxies>,
    /// From where `/metrics` may be read.
    pub metrics_readers: Vec<IpNet>,
    /// Which web pages may call.
    pub cors: CorsOrigins,
    /// Which dialects are spoken.
    pub dialects: Dialects,
    /// The origins that proxies protect by asking this server (`/forward-auth`). Only
    /// [`Self::proxies`] may ask.
    pub protected_origins: Vec<TargetUri>,
    /// What is demanded of self-signed JWTs. Other names and MD5 count with *gradecoin* only.
    pub self_signed: SelfSignedPolicy,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// The application over `authority`.
    pub fn new(authority: Arc<Authority>, settings: Settings) -> Self {
        let ports = Arc::new(AuthorityPorts(Arc::clone(&authority)));
        let proofs = Proofs {
            dpop: true,
            self_signed: self_signed::proofs(settings.dialects, settings.self_signed, &ports),
            signed_messages: settings.dialects.signjwt.then(|| Arc::clone(&ports) as _),
            bearer: false,
        };
        let ports = GuardPorts {
            clock: Arc::clone(&authority.core.ports().clock),
            issuer_keys: Arc::clone(&ports) as _,
            replay_log: Arc::clone(&authority.core.ports().state.replay_log),
            standing: ports,
        };
        let guard_of = |origin: &TargetUri, proofs: Proofs| {
            let policy = guard_policy(authority.core.policy(), origin);
            Guard::accepting(proofs, policy, ports.clone(), authority.core.resource_nonces())
        };
        let protect = |origin: &TargetUri| guard_of(origin, of_others(proofs.clone()));
        Self(Arc::new(Shared {
            protected: ProtectedOrigins::new(&settings.protected_origins, protect),
            guard: guard_of(&authority.core.policy().origin, proofs.clone()),
            metrics: Arc::new(Metrics::new()),
            jwks: JwksAnswer::default(),
            settings,
            authority,
        }))
    }

    /// Everything that is served.
    ///
    /// Each route has one layer, a tuple with the outermost first: every level of the router costs a
    /// request several allocations.
    pub fn router(self) -> Router {
        let log = self.access_log();
        let log_requests = around(move |request: &mut Request| log_request(&log, request));
        let around_answer = (log_requests, AnswerPanics);
        let https = self.authority.core.policy().issuer().starts_with("https://");
        let add_headers =
            MapResponseLayer::new(move |response| security_headers::add(response, https));
        let cors = option_layer(security_headers::cors(&self.settings.cors));
        let around_all = (around_answer.clone(), add_headers, cors);
        let pages = WebPages::new(&self.authority.core.policy().origin, &self.settings.cors);
        let gate = Gate::new(&self.settings.limits);
        let admit = Admission::new(gate, Arc::clone(&self.authority), pages);
        let app = self.clone();
        let record = around(move |request: &mut Request| app.record_verdict(request));
        let guard = (record.clone(), GuardLayer::new(self.guard.clone()), ShareRoute);
        let app = self.clone();
        let add_nonce = MapResponseLayer::new(move |response| add_nonce(&app, response));

        let Groups { protected, token, public, upkeep, unlimited, questions } = self.groups();
        let admitted = (around_all.clone(), admit.clone());
        let (of_upkeep, of_questions) = (admit.of_upkeep(), admit.of_questions());
        // Answers to proxies are taken for answers to their clients' requests: so no layer for
        // browsers stands before them. Above all, nothing but the guard may answer a preflight.
        let around_questions = (around_answer, of_questions, record, ShareRoute);
        protected
            .route_layer((admitted.clone(), guard))
            .merge(token.route_layer((admitted.clone(), add_nonce, ShareRoute)))
            .merge(public.route_layer((admitted, ShareRoute)))
            .merge(upkeep.route_layer((around_all.clone(), of_upkeep, ShareRoute)))
            .merge(unlimited.route_layer(around_all.clone()))
            .fallback(not_found.layer(around_all.clone()))
            .method_not_allowed_fallback(method_not_allowed.layer(around_all))
            .merge(questions.map(|router| router.route_layer(around_questions)).unwrap_or_default())
    }

    /// All routes without their layers, with the description of them all among them.
    fn groups(&self) -> Groups {
        let mut api = ApiDoc::openapi();
        let described = |api: &mut utoipa::openapi::OpenApi, routes: OpenApiRouter<Self>| {
            let (router, description) = routes.with_state(self.clone()).split_for_parts();
            api.merge(description);
            router
        };
        let dialects = self.settings.dialects;
        let protected = described(&mut api, routes::protected());
        let token = described(&mut api, routes::with_token_endpoint_nonce());
        let public = described(&mut api, routes::public().merge(dialects::routes(dialects)));
        let upkeep = described(&mut api, routes::upkeep());
        dialects::describe(&mut api, dialects);
        let behind_proxies = !self.protected.is_empty();
        let questions = behind_proxies.then(|| described(&mut api, routes::for_proxies()));
        routes::openapi::add_common_refusals(&mut api);
        let unlimited = described(&mut api, routes::unlimited());
        let unlimited = unlimited.merge(routes::openapi::router(api));
        Groups { protected, token, public, upkeep, unlimited, questions }
    }

    /// A log of requests, which counts in [`Shared::metrics`].
    pub fn access_log(&self) -> Arc<AccessLog> {
        Arc::new(AccessLog {
            clock: Arc::clone(&self.authority.core.ports().clock),
            ids: DrawnAhead::new(Arc::clone(&self.authority.core.ports().random)),
            metrics: Arc::clone(&self.metrics),
            proxies: Arc::clone(&self.settings.proxies),
        })
    }

    /// Records what a guard decides about a request.
    fn record_verdict(&self, request: &Request) -> impl FnOnce(Response) -> Response + use<> {
        let client = request.extensions().get::<ClientAddress>().copied();
        let app = self.clone();
        move |response| refused::record(&app, client, response)
    }
}

/// Routes by what stands around them.
struct Groups {
    protected: Router,
    token: Router,
    public: Router,
    /// What guards elsewhere fetch.
    upkeep: Router,
    unlimited: Router,
    /// What proxies ask, if there is anything behind some.
    questions: Option<Router>,
}

/// Writes down a request and its answer, and puts refusals into the words of OAuth where those are
/// spoken.
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

/// The proofs that count at APIs of others. A self-signed JWT must name the API: without an `aud`,
/// whoever received it could be the first to use it elsewhere.
fn of_others(proofs: Proofs) -> Proofs {
    let self_signed = proofs.self_signed.map(|proofs| SelfSignedProofs {
        policy: SelfSignedPolicy { require_audience: true, ..proofs.policy },
        ..proofs
    });
    Proofs { self_signed, ..proofs }
}

fn guard_policy(policy: &Policy, origin: &TargetUri) -> GuardPolicy {
    GuardPolicy {
        skew: policy.skew,
        proof_window: policy.proof_window,
        keys: policy.keys.clone(),
        ..GuardPolicy::new(policy.issuer(), origin.origin(), origin.clone())
    }
}

const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);

/// Every answer of the endpoints where proofs are made without a token carries the nonce for the
/// next proof, and is not kept by caches (RFC 9449 §8.2).
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
