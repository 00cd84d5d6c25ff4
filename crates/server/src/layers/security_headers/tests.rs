use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Html;
use axum::routing::{get, post};
use http::StatusCode;
use tower::{ServiceExt, util::MapResponseLayer};

use super::*;

fn routes() -> Router {
    Router::new()
        .route("/json", get(|| async { axum::Json(1) }))
        .route("/page", get(|| async { Html("<p>") }))
        .route("/own", get(|| async { ([(CONTENT_SECURITY_POLICY, "sandbox")], Html("<p>")) }))
        .route("/token", post(|| async { StatusCode::OK }))
}

fn with_security_headers(router: Router, https: bool) -> Router {
    router.layer(MapResponseLayer::new(move |response| add(response, https)))
}

async fn answer(app: Router, path: &str) -> Response {
    app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    for path in ["/json", "/page", "/nothing", "/token"] {
        let response = answer(with_security_headers(routes(), true), path).await;
        let headers = response.headers();
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        assert_eq!(headers.contains_key(CONTENT_SECURITY_POLICY), path == "/page");
        assert_eq!(headers.contains_key(X_FRAME_OPTIONS), path == "/page");
    }
}

#[tokio::test]
async fn without_https_there_is_no_strict_transport_security() {
    let response = answer(with_security_headers(routes(), false), "/json").await;
    assert!(!response.headers().contains_key(STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn a_page_may_load_only_what_the_server_has() {
    let app = with_security_headers(routes(), false);
    let response = answer(app.clone(), "/page").await;
    let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(policy.ends_with("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe") && !policy.contains("  "));
    let response = answer(app, "/own").await;
    assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], "sandbox");
}
