use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Html;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use tower::{
    ServiceExt,
    util::{MapResponseLayer, option_layer},
};

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

async fn from_origin(origins: &CorsOrigins, method: Method, origin: &str) -> HeaderMap {
    let request = Request::builder()
        .method(method)
        .uri("/token")
        .header(ORIGIN, origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "dpop,content-type")
        .body(Body::empty())
        .unwrap();
    let app = routes().layer(option_layer(cors(origins)));
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.headers().get(ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
    response.headers().clone()
}

#[tokio::test]
async fn by_default_no_other_origin_may_ask() {
    let headers = from_origin(&CorsOrigins::default(), Method::POST, "https://a.example").await;
    assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN), None);
}

#[tokio::test]
async fn a_listed_origin_may_ask_and_read_the_nonce() {
    let origins = CorsOrigins::parse(&["https://a.example", "http://localhost:3000"]).unwrap();
    let headers = from_origin(&origins, Method::OPTIONS, "https://a.example").await;
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
    assert!(headers[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("POST"));
    let allowed = headers[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
    assert_eq!(allowed, "accept,authorization,content-type,dpop,signed-message");

    let headers = from_origin(&origins, Method::POST, "http://localhost:3000").await;
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
    let exposed = headers[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
    assert_eq!(exposed, "dpop-nonce,signjwt-nonce,www-authenticate,retry-after,x-request-id");
    assert!(headers[VARY].to_str().unwrap().contains("origin"));

    let headers = from_origin(&origins, Method::POST, "https://evil.example").await;
    assert_eq!(headers.get(ACCESS_CONTROL_ALLOW_ORIGIN), None);
}

#[tokio::test]
async fn any_origin_is_allowed_without_credentials() {
    let headers = from_origin(&CorsOrigins::Any, Method::POST, "https://a.example").await;
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}

#[test]
fn configured_origins_are_what_browsers_send() {
    assert_eq!(CorsOrigins::parse::<&str>(&[]), Ok(CorsOrigins::SameOrigin));
    assert_eq!(CorsOrigins::parse(&["*"]), Ok(CorsOrigins::Any));
    let either = ["https://a.example", "*"];
    assert_eq!(CorsOrigins::parse(&either), Err(InvalidOrigin::AnyAmongOthers));
    for fine in ["https://a.example:8443", "http://[::1]:3000", "moz-extension://0a1b-2c"] {
        let listed = CorsOrigins::Listed(vec![HeaderValue::from_static(fine)]);
        assert_eq!(CorsOrigins::parse(&[fine]), Ok(listed));
    }
    for wrong in [
        "",
        "null",
        "a.example",
        "https://",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example?q",
        "https://A.example",
        "HTTPS://a.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://user@a.example",
        "https://*.a.example",
    ] {
        let malformed = InvalidOrigin::Malformed(wrong.to_owned());
        assert_eq!(CorsOrigins::parse(&[wrong]), Err(malformed));
    }
}
