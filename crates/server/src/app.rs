//! The whole application: routes, guard, limits, logs, put together in one place.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use countersign_authority::{Authority, policy::Policy};
use countersign_guard::{
    Guard, GuardLayer, GuardPolicy, GuardPorts, Proofs, SelfSignedPolicy, SelfSignedProofs,
};
use countersign_protocol::proofs::target_uri::TargetUri;
use http::{HeaderName, HeaderValue, header::CACHE_CONTROL};
use ipnet::IpNet;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    access_log::{AccessLog, with_access_log},
    address::{ClientAddress, TrustedProxies, limit_key},
    dialects::{self, Dialects, self_signed},
    guard_ports::AuthorityPorts,
    limits::{Gate, RequestLimits, with_limits},
    metrics::Metrics,
    oauth_errors::with_oauth_errors,
    problem::{Problem, ProblemType},
    protected_origins::ProtectedOrigins,
    refused,
    routes::{self, openapi::ApiDoc},
    security_headers::{CorsOrigins, with_cors, with_security_headers},
};

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// Decides.
    pub authority: Arc<Authority>,
    /// Guards the protected resources.
    pub guard: Guard,
    /// What stands behind proxies that ask this server who may pass.
    pub(crate) protected: ProtectedOrigins,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The transport's settings.
    pub settings: Arc<Settings>,
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
            clock: Arc::clone(&authority.ports().clock),
            issuer_keys: Arc::clone(&ports) as _,
            replay_log: Arc::clone(&ports) as _,
            standing: ports,
        };
        let guard_of = |origin: &TargetUri, proofs: Proofs| {
            let policy = guard_policy(authority.policy(), origin);
            Guard::accepting(proofs, policy, ports.clone(), authority.resource_nonces())
        };
        let protect = |origin: &TargetUri| guard_of(origin, of_others(proofs.clone()));
        Self {
            protected: ProtectedOrigins::new(&settings.protected_origins, protect),
            guard: guard_of(&authority.policy().origin, proofs.clone()),
            metrics: Arc::new(Metrics::new()),
            settings: Arc::new(settings),
            authority,
        }
    }

    /// Lets every guard forget which tokens verified: the signing keys have changed.
    pub fn forget_verified_tokens(&self) {
        self.guard.forget_verified_tokens();
        self.protected.guards().for_each(Guard::forget_verified_tokens);
    }

    /// Everything that is served.
    pub fn router(self) -> Router {
        let settings = Arc::clone(&self.settings);
        let https = self.authority.policy().issuer().starts_with("https://");
        let log = AccessLog {
            clock: Arc::clone(&self.authority.ports().clock),
            random: Arc::clone(&self.authority.ports().random),
            metrics: Arc::clone(&self.metrics),
            proxies: Arc::clone(&settings.proxies),
        };
        let gate = Gate::new(&settings.limits);
        let (limited, mut api) = self.clone().limited_routes();
        let (asked_by_proxies, questions) = self.clone().routes_for_proxies();
        let (unlimited, operations) = routes::unlimited().with_state(self).split_for_parts();
        api.merge(operations);
        api.merge(questions);
        let router = with_limits(limited, &gate)
            .merge(unlimited)
            .merge(routes::openapi::router(api))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed);
        let router = with_security_headers(with_cors(router, &settings.cors), https)
            .merge(with_limits(asked_by_proxies, &gate));
        with_oauth_errors(with_access_log(router, log))
    }

    /// What proxies ask. Its answers are for proxies, which take them for answers to their clients'
    /// requests: so no layer for browsers stands before it. Above all, nothing but the guard may
    /// answer a preflight.
    fn routes_for_proxies(self) -> (Router, utoipa::openapi::OpenApi) {
        let record = middleware::from_fn_with_state(self.clone(), refused::record);
        let mut routes = OpenApiRouter::new();
        if !self.protected.is_empty() {
            routes = routes.merge(routes::for_proxies().route_layer(record));
        }
        let (router, mut api) = routes.with_state(self.clone()).split_for_parts();
        routes::openapi::add_common_refusals(&mut api);
        (router.layer(middleware::from_fn_with_state(self, admit)), api)
    }

    fn limited_routes(self) -> (Router, utoipa::openapi::OpenApi) {
        let protected = routes::protected()
            .route_layer(GuardLayer::new(self.guard.clone()))
            .route_layer(middleware::from_fn_with_state(self.clone(), refused::record));
        let token = routes::with_token_endpoint_nonce()
            .route_layer(middleware::from_fn_with_state(self.clone(), add_nonce));
        let routes = OpenApiRouter::with_openapi(ApiDoc::openapi())
            .merge(protected)
            .merge(token)
            .merge(routes::public())
            .merge(dialects::routes(self.settings.dialects))
            .with_state(self.clone());
        let (router, mut api) = routes.split_for_parts();
        dialects::describe(&mut api, self.settings.dialects);
        routes::openapi::add_common_refusals(&mut api);
        (router.layer(middleware::from_fn_with_state(self, admit)), api)
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

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Counts the request against its client's allowance.
async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().map(|client| limit_key(client.0));
    let Some(address) = address else { return next.run(request).await };
    match app.authority.admit_request(address).await {
        Ok(()) => next.run(request).await,
        Err(limited) => {
            Problem::new(ProblemType::RateLimited).retry_after(limited.retry_after).into_response()
        }
    }
}

/// Every answer of the endpoints where proofs are made without a token carries the nonce for the
/// next proof, and is not kept by caches (RFC 9449 §8.2).
async fn add_nonce(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Ok(nonce) = HeaderValue::try_from(app.authority.fresh_nonce()) {
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
