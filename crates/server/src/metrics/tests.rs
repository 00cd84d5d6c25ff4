use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use tower::ServiceExt;

use super::*;

/// The route of a GET request for `path`, as the router's patterns name it.
async fn route_of(path: &str) -> Route {
    let nested = Router::new().route("/{name}", get(|| async {}));
    let answer = |request: Request, _next| async move {
        let mut response = http::Response::new(Body::empty());
        response.extensions_mut().insert(Route::of(request.extensions()));
        response
    };
    let router = Router::new()
        .route("/v1/keys/{thumbprint}", get(|| async {}))
        .nest("/v1/accounts", nested)
        .layer(axum::middleware::from_fn(answer));
    let request = Request::get(path).body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap().extensions().get::<Route>().unwrap().clone()
}

#[tokio::test]
async fn a_route_is_a_pattern_never_a_path() {
    assert_eq!(route_of("/v1/keys/abc?secret=1").await.as_str(), "/v1/keys/{thumbprint}");
    assert_eq!(route_of("/v1/accounts/ada").await.as_str(), "/v1/accounts/{name}");
    assert_eq!(route_of("/v1/accounts/ada/x").await.as_str(), "other");
    assert_eq!(route_of("/wp-login.php").await.as_str(), "other");
    assert_eq!(route_of("/v1/keys/abc").await, route_of("/v1/keys/def").await);
}

#[tokio::test]
async fn everything_is_counted() {
    let metrics = Metrics::new();
    let route = route_of("/v1/keys/abc").await;
    let get = MethodLabel::of(&Method::GET);
    metrics.request(&route, get, StatusCode::OK, Duration::from_millis(2));
    metrics.request(&route, get, StatusCode::CREATED, Duration::from_millis(3));
    let made_up = MethodLabel::of(&Method::from_bytes(b"BREW").unwrap());
    let unknown = route_of("/nothing").await;
    metrics.request(&unknown, made_up, StatusCode::NOT_FOUND, Duration::ZERO);
    metrics.refused("invalid_dpop_proof");
    metrics.set_connections(7);
    metrics.set_replay_log_entries(11);
    metrics.store_operation("find_account", Duration::from_micros(20));
    metrics.set_audit_events_dropped(3);

    let page = metrics.encode().unwrap();
    for line in [
        r#"countersign_http_requests_total{route="/v1/keys/{thumbprint}",method="GET",status="2xx"} 2"#,
        r#"countersign_http_requests_total{route="other",method="other",status="4xx"} 1"#,
        r#"countersign_http_request_duration_seconds_count{route="/v1/keys/{thumbprint}"} 2"#,
        r#"countersign_http_request_duration_seconds_bucket{le="0.0025",route="/v1/keys/{thumbprint}"} 1"#,
        r#"countersign_refusals_total{reason="invalid_dpop_proof"} 1"#,
        "countersign_connections 7",
        "countersign_replay_log_entries 11",
        r#"countersign_store_duration_seconds_count{operation="find_account"} 1"#,
        "countersign_audit_events_dropped_total 3",
    ] {
        assert!(page.lines().any(|written| written == line), "{line} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn methods_have_a_closed_set_of_labels() {
    assert_eq!(MethodLabel::of(&Method::DELETE).as_str(), "DELETE");
    for made_up in ["get", "GETX", "PROPFIND"] {
        let method = Method::from_bytes(made_up.as_bytes()).unwrap();
        assert_eq!(MethodLabel::of(&method).as_str(), "other");
    }
}
