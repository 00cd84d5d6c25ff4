use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, Request, StatusCode};
use tower::{ServiceExt, util::option_layer};

use super::*;

async fn from_origin(origins: &CorsOrigins, method: Method, origin: &str) -> HeaderMap {
    let request = Request::builder()
        .method(method)
        .uri("/token")
        .header(ORIGIN, origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "dpop,content-type")
        .body(Body::empty())
        .unwrap();
    let app = Router::new()
        .route("/token", post(|| async { StatusCode::OK }))
        .layer(option_layer(cors(origins)));
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
    assert!(allowed.split(',').any(|name| name == "dpop"), "{allowed}");

    let headers = from_origin(&origins, Method::POST, "http://localhost:3000").await;
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
    let exposed = headers[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
    assert!(exposed.split(',').any(|name| name == "dpop-nonce"), "{exposed}");
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
