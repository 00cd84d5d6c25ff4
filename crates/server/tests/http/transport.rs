//! What holds for every path: methods, bodies, odd paths, and the headers of every answer.

use std::collections::BTreeSet;

use countersign_server::{CorsOrigins, Dialects};
use serde_json::{Value, json};

use crate::support::{Call, ISSUER, TestApp, TestKey, listed_for_pages};

const ENDPOINTS: [(&str, &str); 14] = [
    ("/", "GET,HEAD"),
    ("/.well-known/jwks.json", "GET,HEAD"),
    ("/.well-known/oauth-authorization-server", "GET,HEAD"),
    ("/healthz", "GET,HEAD"),
    ("/metrics", "GET,HEAD"),
    ("/openapi.json", "GET,HEAD"),
    ("/readyz", "GET,HEAD"),
    ("/v1/accounts", "POST"),
    ("/v1/accounts/alice/jwks.json", "GET,HEAD"),
    ("/v1/events", "GET,HEAD"),
    ("/v1/keys", "GET,HEAD,POST"),
    ("/v1/keys/x", "DELETE,PATCH"),
    ("/v1/whoami", "DELETE,GET,HEAD,PATCH,POST,PUT"),
    ("/oauth/token", "POST"),
];

#[tokio::test]
async fn a_wrong_method_is_405_with_the_right_ones() {
    let app = TestApp::start().await;
    for (path, allowed) in ENDPOINTS {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "TRACE", "BREW", "get"] {
            if allowed.split(',').any(|own| own == method) {
                continue;
            }
            let answer = app.call(method, path).send().await;
            let mut named: Vec<&str> = answer.header("allow").split(',').collect();
            named.sort_unstable();
            assert_eq!(named.join(","), allowed, "{method} {path}");
            if path.starts_with("/oauth/") {
                answer.is_oauth_error(405, "invalid_request");
            } else {
                answer.is_problem(405, "method-not-allowed");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let app = TestApp::start().await;
    for path in [
        "/v1",
        "/v1/",
        "/V1/whoami",
        "/v1/whoami/",
        "//v1/whoami",
        "/v1//whoami",
        "/v1/./whoami",
        "/v1/x/../whoami",
        "/v1/%77hoami%2f",
        "/oauth/",
        "/oauth/tokens",
        "/oauth/token/",
        "/.well-known/",
        "/.well-known/openid-configuration",
        "/.git/config",
        "/index.html",
        "/v1/keys/",
        "/v1/accounts/a/b/jwks.json",
        "/%00",
        "/%FF%FE",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/whoami%3Fx",
        "*",
        "http://evil.example/nowhere",
    ] {
        for method in ["GET", "POST"] {
            let answer = app.call(method, path).send().await;
            assert_eq!(answer.status, 404, "{method} {path}");
            answer.is_problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn a_request_in_absolute_form_is_for_this_server_whatever_it_names() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let proof = || app.resource_proof(&key, &token, "GET", "/v1/whoami");
    let url = "http://evil.example/v1/whoami";
    let own = app.presenting(&token, &proof().sign(), "GET", url);
    own.send().await.is(200);
    let evil = proof().claim("htu", url).sign();
    let evil = app.presenting(&token, &evil, "GET", url);
    evil.send().await.is_refusal(401, "invalid_dpop_proof");
}

/// The endpoints that read JSON, each with a good request.
fn json_calls(app: &TestApp, key: &TestKey, token: &str) -> [Call; 2] {
    [
        app.registration("bob", &TestKey::number(7)),
        app.key_addition(key, token, &TestKey::number(8)),
    ]
}

#[tokio::test]
async fn json_must_be_declared_as_such() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for media_type in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/problem+json",
        "application/jsonx",
        "",
        "\u{e9}",
    ] {
        for call in json_calls(&app, &key, &token) {
            let answer = call.body(media_type, "{}").send().await;
            answer.is_problem(415, "unsupported-media-type");
        }
    }
    let [registration, addition] = json_calls(&app, &key, &token);
    for call in [registration.clone(), addition] {
        let answer = call.without_header("content-type").send().await;
        answer.is_problem(415, "unsupported-media-type");
    }
    let body = json!({ "username": "bob", "public_key": TestKey::number(7).jwk() });
    let registration = registration.body("Application/JSON; charset=utf-8", body.to_string());
    registration.send().await.is(201);
}

#[tokio::test]
async fn json_must_be_strict() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    let bodies: [&[u8]; 22] = [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"\"x\"",
        b"{}{}",
        b"{} x",
        b"{'username':'bob'}",
        b"{\"username\":\"bob\",}",
        b"{\"username\":\"bob\",\"username\":\"bob\"}",
        b"{\"username\":\"bob\",\"user\\u006eame\":\"bob\"}",
        b"{\"public_key\":{\"kty\":\"OKP\",\"kty\":\"EC\"}}",
        b"{\"unheard_of\":1}",
        b"{\"username\":7}",
        b"{\"username\":null}",
        b"{\"username\":[\"bob\"]}",
        b"{\"username\":\"bo\xff\"}",
        b"{\"username\":\"\\ud800\"}",
        b"{\"username\":\"a\\u0000b\"}",
        b"\xef\xbb\xbf{}",
        deep.as_bytes(),
    ];
    for body in bodies {
        for call in json_calls(&app, &key, &token) {
            let answer = call.body("application/json", body).send().await;
            answer.is_problem(400, "invalid-json");
        }
    }
    let good = json!({ "username": "bob", "public_key": TestKey::number(7).jwk() }).to_string();
    let with = |extra: &str| {
        let body = format!("{},{extra}}}", good.strip_suffix('}').unwrap());
        app.registration("bob", &TestKey::number(7)).body("application/json", body)
    };
    with("\"admin\":true").send().await.is_problem(400, "invalid-json");
    with("\"username\":\"eve\"").send().await.is_problem(400, "invalid-json");
    with("\"label\":null").send().await.is(201);
}

#[tokio::test]
async fn a_body_has_64_kib_at_most() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let big = "x".repeat(64 * 1024 + 1);
    for call in json_calls(&app, &key, &token) {
        let answer = call.body("application/json", big.clone()).send().await;
        answer.is_problem(413, "payload-too-large");
    }
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        let call = app.call("POST", path).body("application/x-www-form-urlencoded", big.clone());
        call.send().await.is_oauth_error(413, "invalid_request");
    }
    let whoami = app.resource_request(&key, &token, "PUT", "/v1/whoami");
    whoami.clone().body("text/plain", big).send().await.is_problem(413, "payload-too-large");
    whoami.body("text/plain", "x".repeat(64 * 1024)).send().await.is(200);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_an_id() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for (method, path) in
        [("GET", "/"), ("GET", "/nowhere"), ("GET", "/v1/whoami"), ("GET", "/oauth/token")]
    {
        let answer = app.call(method, path).send().await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
        answer.has_no("access-control-allow-origin");
        answer.has_no("server");
        answer.has_no("set-cookie");
        ids.push(answer.header("x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_listed_web_page_may_use_dpop() {
    let app = TestApp::start_with(|setup| {
        setup.settings.cors = CorsOrigins::parse(&["https://app.example"]).unwrap();
    })
    .await;
    let preflight = |origin| {
        app.call("OPTIONS", "/v1/whoami")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization,dpop")
    };
    let allowed = preflight("https://app.example").send().await;
    assert_eq!(allowed.is(200).header("access-control-allow-origin"), "https://app.example");
    let headers = allowed.header("access-control-allow-headers").to_ascii_lowercase();
    assert!(headers.contains("dpop") && headers.contains("authorization"), "{headers}");
    allowed.has_no("access-control-allow-credentials");
    preflight("https://evil.example").send().await.has_no("access-control-allow-origin");

    let refused = app.call("GET", "/v1/whoami").header("origin", "https://app.example");
    let refused = refused.send().await;
    let exposed = refused.is(401).header("access-control-expose-headers").to_ascii_lowercase();
    assert!(exposed.contains("dpop-nonce") && exposed.contains("www-authenticate"), "{exposed}");
}

#[tokio::test]
async fn a_listed_web_page_may_send_and_read_the_headers_that_the_documents_list() {
    let app = TestApp::start_with(|setup| {
        setup.settings.cors = CorsOrigins::parse(&["https://app.example"]).unwrap();
    })
    .await;
    let from_page = |method| app.call(method, "/v1/whoami").header("origin", "https://app.example");
    let names = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect();
    let preflight = from_page("OPTIONS").header("access-control-request-method", "GET");
    let allowed = preflight.send().await;
    let allowed: BTreeSet<String> = names(allowed.header("access-control-allow-headers"));
    assert_eq!(allowed, listed_for_pages("may be sent"));
    let answer = from_page("GET").send().await;
    let exposed: BTreeSet<String> = names(answer.header("access-control-expose-headers"));
    assert_eq!(exposed, listed_for_pages("may be read"));
}

/// What browsers say of requests that a page of another origin makes them send.
const FOREIGN_PAGES: [&[(&str, &str)]; 7] = [
    &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
    &[("origin", "https://evil.example")],
    &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    &[("origin", "https://auth.example"), ("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
];

const WRITERS: [(&str, &str); 13] = [
    ("POST", "/auth"),
    ("POST", "/authenticate/alice"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/oauth/revoke"),
    ("POST", "/oauth/token"),
    ("POST", "/protected"),
    ("POST", "/register"),
    ("POST", "/v1/accounts"),
    ("POST", "/v1/accounts/alice/recover"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/x"),
    ("PUT", "/v1/whoami"),
];

#[tokio::test]
async fn a_web_page_of_others_writes_nothing_whatever_the_type_of_the_body() {
    let app = TestApp::start_with(|setup| setup.settings.dialects = Dialects::default()).await;
    for (method, path) in WRITERS {
        for headers in FOREIGN_PAGES {
            for media_type in
                ["text/plain", "application/x-www-form-urlencoded", "application/json"]
            {
                let call = app.call(method, path).body(media_type, "{}");
                let call =
                    headers.iter().fold(call, |call, (name, value)| call.header(name, value));
                let answer = call.send().await;
                assert_eq!(answer.status, 403, "{method} {path} {headers:?}: {answer:?}");
                assert!(answer.body.contains("cors.origins"), "{answer:?}");
            }
        }
        for headers in [
            &[][..],
            &[("origin", ISSUER), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            let call = app.call(method, path).body("text/plain", "{}");
            let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
            let answer = call.send().await;
            assert!(!answer.body.contains("cors.origins"), "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_listed_web_page_may_write_and_no_other() {
    let app = TestApp::start_with(|setup| {
        setup.settings.cors = CorsOrigins::parse(&["https://app.example"]).unwrap();
    })
    .await;
    let from = |origin| {
        let call = app.call("POST", "/v1/accounts").body("text/plain", "{}");
        call.header("origin", origin).header("sec-fetch-site", "cross-site")
    };
    from("https://app.example").send().await.is_problem(415, "unsupported-media-type");
    from("https://evil.example").send().await.is_problem(403, "forbidden");
    from("null").send().await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn json_answers_are_json_objects() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for path in ["/v1/whoami", "/v1/keys", "/v1/events"] {
        let answer = app.resource_request(&key, &token, "GET", path).send().await;
        assert!(matches!(answer.is(200).json(), Value::Object(_)));
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_body_with_a_transfer_coding_that_is_not_undone_is_refused() {
    let app = TestApp::start().await;
    let send = |coding| {
        let call = app.call("POST", "/v1/accounts").header("transfer-encoding", coding);
        call.body("text/plain", "{}")
    };
    for coding in ["gzip, chunked", "chunked, chunked", "identity", "chunked;q=1"] {
        send(coding).send().await.is_problem(501, "unknown-transfer-coding");
    }
    send("Chunked").send().await.is_problem(415, "unsupported-media-type");
}
