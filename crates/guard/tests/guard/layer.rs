//! The guard in front of a service.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use countersign_guard::{GuardLayer, Refusal, Refused, Requirements};
use countersign_protocol::{Principal, proofs::dpop::DpopError};
use countersign_testkit::samples::account_id;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::world::{Client, PATH, World, request};

/// A service behind a guard, and how often a request reached it.
struct Guarded {
    layer: GuardLayer,
    reached: Arc<AtomicUsize>,
}

impl Guarded {
    fn new(layer: GuardLayer) -> Self {
        Self { layer, reached: Arc::default() }
    }

    /// Answers with who made the request, and with what it sent.
    async fn call(&self, parts: http::request::Parts) -> Response<String> {
        let reached = Arc::clone(&self.reached);
        let handler = service_fn(move |request: Request<Full<Bytes>>| {
            reached.fetch_add(1, SeqCst);
            async {
                let (parts, body) = request.into_parts();
                let principal = parts.extensions.get::<Principal>().unwrap();
                let body = body.collect().await.unwrap().to_bytes();
                let body = String::from_utf8_lossy(&body);
                let answer = format!("{}: {body}", principal.account_id);
                Ok::<_, Infallible>(Response::new(answer))
            }
        });
        let request = Request::from_parts(parts, Full::from("the body"));
        self.layer.layer(handler).oneshot(request).await.unwrap()
    }

    fn reached(&self) -> usize {
        self.reached.load(SeqCst)
    }
}

#[tokio::test]
async fn the_service_learns_who_made_the_request() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let response = guarded.call(client.request(&world)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.body(), &format!("{}: the body", account_id(1)));
    assert!(response.extensions().get::<Refused>().is_none());
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn a_principal_that_was_there_before_does_not_survive() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let mut impostor = world.accepts(&client.request(&world)).await;
    impostor.account_id = account_id(2);
    let mut request = client.request(&world);
    request.extensions.insert(impostor.clone());
    let response = guarded.call(request).await;
    assert_eq!(response.body(), &format!("{}: the body", account_id(1)));
    let mut request = crate::world::request(PATH, &[]);
    request.extensions.insert(impostor);
    assert_eq!(guarded.call(request).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(guarded.reached(), 1);
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_service() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let used = client.request(&world);
    world.accepts(&used).await;
    let bearer = format!("Bearer {}", client.token);
    let twice = [("authorization", "DPoP a"), ("authorization", "DPoP b")];
    for (parts, status) in [
        (request(PATH, &[]), 401),
        (request(PATH, &[("authorization", &bearer)]), 401),
        (request(PATH, &twice), 400),
        (client.request_with("proof"), 401),
        (client.altered_request(&world, |proof| proof.remove("nonce")), 401),
        (used, 401),
    ] {
        assert_eq!(guarded.call(parts).await.status().as_u16(), status);
    }
    world.replay_log.away.store(true, SeqCst);
    assert_eq!(guarded.call(client.request(&world)).await.status().as_u16(), 503);
    assert_eq!(guarded.reached(), 0);
}

#[tokio::test]
async fn a_refusal_says_why_in_header_body_and_extensions() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let response =
        guarded.call(client.altered_request(&world, |proof| proof.set("htm", "PUT"))).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        response.headers()[header::WWW_AUTHENTICATE],
        "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\", error=\"invalid_dpop_proof\", \
         error_description=\"htm does not match the request's method\""
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["title"], "The request must prove who makes it.");
    assert_eq!(problem["detail"], "htm does not match the request's method");
    let refused = response.extensions().get::<Refused>().unwrap();
    assert_eq!(refused.refusal, Refusal::Proof(DpopError::Method));
    assert_eq!(refused.token.as_ref().unwrap().token_id, "token 1");
}

#[tokio::test]
async fn no_refusal_repeats_what_the_request_sent() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let marker = "MARKER";
    let proofs = [
        client.altered_proof(&world, |proof| proof.set("htm", marker)),
        client.altered_proof(&world, |proof| proof.set("htu", format!("https://{marker}/"))),
        client.altered_proof(&world, |proof| proof.set("ath", marker)),
        client.altered_proof(&world, |proof| proof.set("nonce", marker)),
        marker.to_owned(),
    ];
    for proof in proofs {
        let response = guarded.call(client.request_with(&proof)).await;
        assert!(response.status().is_client_error());
        let headers = format!("{:?}", response.headers());
        for text in [response.body(), &headers] {
            assert!(!text.contains(marker), "{text}");
            assert!(!text.contains(&client.token), "{text}");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_a_nonce_that_works() {
    let (world, client) = (World::new(), Client::new());
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let first = guarded.call(request(PATH, &[])).await;
    assert_eq!(first.status(), StatusCode::UNAUTHORIZED);
    let second = guarded.call(with_nonce_of(&first, &world, &client)).await;
    assert_eq!(second.status(), StatusCode::OK);
    let third = guarded.call(with_nonce_of(&second, &world, &client)).await;
    assert_eq!(third.status(), StatusCode::OK);
    world.standing.away.store(true, SeqCst);
    let outage = guarded.call(client.request(&world)).await;
    assert_eq!(outage.headers().get_all("dpop-nonce").iter().count(), 1);
}

/// A request with the one nonce that `response` carries.
fn with_nonce_of(
    response: &Response<String>,
    world: &World,
    client: &Client,
) -> http::request::Parts {
    let mut nonces = response.headers().get_all("dpop-nonce").iter();
    let nonce = nonces.next().unwrap().to_str().unwrap();
    assert_eq!(nonces.next(), None);
    client.altered_request(world, |proof| proof.set("nonce", nonce))
}

#[tokio::test]
async fn the_services_own_nonce_gives_way() {
    let (world, client) = (World::new(), Client::new());
    let handler = service_fn(|_: Request<Full<Bytes>>| {
        let response = Response::builder().header("dpop-nonce", "stale").body(String::new());
        ready(Ok::<_, Infallible>(response.unwrap()))
    });
    let request = Request::from_parts(client.request(&world), Full::default());
    let layer = GuardLayer::new(world.guard.clone());
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    with_nonce_of(&response, &world, &client);
    assert_ne!(response.headers()["dpop-nonce"], "stale");
}

#[tokio::test]
async fn a_scope_can_be_required() {
    let (world, client) = (World::new(), Client::new());
    let layer =
        |scope: &str| GuardLayer::new(world.guard.clone()).require_scopes(scope.parse().unwrap());
    let guarded = Guarded::new(layer("write"));
    assert_eq!(guarded.call(client.request(&world)).await.status(), StatusCode::OK);

    for scope in ["admin", "writ", "Write"] {
        let guarded = Guarded::new(layer(scope));
        let response = guarded.call(client.request(&world)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let header = response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(header.contains("error=\"insufficient_scope\""), "{header}");
        assert!(header.ends_with(&format!("scope=\"{scope}\"")), "{header}");
        let refused = response.extensions().get::<Refused>().unwrap();
        assert_eq!(refused.refusal, Refusal::InsufficientScope(scope.parse().unwrap()));
        assert_eq!(refused.token.as_ref().unwrap().token_id, "token 1", "for the audit trail");
        assert_eq!(guarded.reached(), 0);
    }
}

#[tokio::test]
async fn all_of_several_scopes_are_needed() {
    let (world, client) = (World::new(), Client::new());
    for (scopes, status) in [("read write", StatusCode::OK), ("read admin", StatusCode::FORBIDDEN)]
    {
        let guarded = Guarded::new(
            GuardLayer::new(world.guard.clone()).require_scopes(scopes.parse().unwrap()),
        );
        assert_eq!(guarded.call(client.request(&world)).await.status(), status, "{scopes}");
    }
}

#[tokio::test]
async fn a_principal_may_be_asked_for_more_scopes_later() {
    let (world, client) = (World::new(), Client::new());
    let principal = world.accepts(&client.request(&world)).await;
    let scopes = |scopes: &str| Requirements::scopes(scopes.parse().unwrap());
    assert!(world.guard.permit(&principal, &scopes("read")).is_ok());
    let refused = world.guard.permit(&principal, &scopes("read admin")).unwrap_err();
    assert_eq!(refused.refusal, Refusal::InsufficientScope("read admin".parse().unwrap()));
    assert_eq!(refused.signer.unwrap().account_id, principal.account_id);
}

#[tokio::test]
async fn a_proof_is_not_used_up_where_the_scope_is_insufficient() {
    let (world, client) = (World::new(), Client::new());
    let layer = GuardLayer::new(world.guard.clone());
    let proof = client.altered_proof(&world, |_| ());
    let guarded = Guarded::new(layer.clone().require_scopes("admin".parse().unwrap()));
    let response = guarded.call(client.request_with(&proof)).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.replay_log.asked(), 0);
    let response = Guarded::new(layer).call(client.request_with(&proof)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn which_scope_is_missing_only_the_owner_of_the_token_learns() {
    let (world, client) = (World::new(), Client::new());
    let guarded =
        Guarded::new(GuardLayer::new(world.guard.clone()).require_scopes("admin".parse().unwrap()));
    let thief = Client::with_token(countersign_testkit::keys::ed25519(66), client.token.clone());
    let response = guarded.call(thief.request(&world)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!format!("{:?}", response.headers()).contains("admin"));
}

#[tokio::test]
async fn an_outage_keeps_its_cause_and_asks_for_patience() {
    let (world, client) = (World::new(), Client::new());
    world.standing.away.store(true, SeqCst);
    let guarded = Guarded::new(GuardLayer::new(world.guard.clone()));
    let response = guarded.call(client.request(&world)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
    assert!(!response.body().contains("fire"), "{}", response.body());
    let refused = response.extensions().get::<Refused>().unwrap();
    assert_eq!(
        refused.refusal,
        Refusal::Unavailable("the database has caught fire".to_owned()),
        "for the log"
    );
}

#[tokio::test]
async fn the_services_error_passes_through() {
    let (world, client) = (World::new(), Client::new());
    let handler = service_fn(|_: Request<Full<Bytes>>| {
        ready(Err::<Response<String>, _>("the service is ill"))
    });
    let layer = GuardLayer::new(world.guard.clone());
    let request = Request::from_parts(client.request(&world), Full::default());
    let result = layer.layer(handler).oneshot(request).await;
    assert_eq!(result.unwrap_err(), "the service is ill");
}

/// Is ready only after it was polled, and fails when it is called unready, as its clones are.
struct NeedsPolling {
    ready: bool,
}

impl Clone for NeedsPolling {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Full<Bytes>>> for NeedsPolling {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Ready<Result<Response<String>, &'static str>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        self.ready = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let ready_now = std::mem::take(&mut self.ready);
        ready(if ready_now { Ok(Response::default()) } else { Err("called before it was ready") })
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let (world, client) = (World::new(), Client::new());
    let mut service = GuardLayer::new(world.guard.clone()).layer(NeedsPolling { ready: false });
    for _ in 0..3 {
        let request = Request::from_parts(client.request(&world), Full::default());
        let response = service.ready().await.unwrap().call(request).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
}
