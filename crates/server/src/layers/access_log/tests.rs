use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use countersign_protocol::{AccountId, UnixTime, ports::Random};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::{
    http::problem::{Problem, ProblemType},
    layers::{on_exchange::on_exchange, panics::AnswerPanics},
};

/// A clock on which every reading is 5 ms after the one before it.
#[derive(Default)]
struct SteppingClock(AtomicU64);

impl Clock for SteppingClock {
    fn now(&self) -> UnixTime {
        UnixTime::EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(5 * self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Constant;

impl Random for Constant {
    fn fill(&self, bytes: &mut [u8]) {
        for (at, byte) in (0x01..=0x08).cycle().zip(bytes) {
            *byte = at * 0x11;
        }
    }
}

/// The log lines of this thread, as JSON.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn capture() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log that counts in `metrics`.
pub(crate) fn log_with(metrics: &Arc<Metrics>) -> Arc<AccessLog> {
    Arc::new(AccessLog {
        clock: Arc::new(SteppingClock::default()),
        ids: DrawnAhead::new(Arc::new(Constant)),
        metrics: Arc::clone(metrics),
        proxies: Arc::new(TrustedProxies::parse(&["10.0.0.1"]).unwrap()),
    })
}

fn app(metrics: &Arc<Metrics>) -> Router {
    let whoami = |request: Request| async move {
        let ClientAddress(client) = *request.extensions().get().unwrap();
        client.to_string()
    };
    let router = Router::new()
        .route("/v1/keys/{thumbprint}", get(whoami))
        .route("/broken", get(|| async { Problem::internal("disk on fire") }))
        .route("/busy", get(|| async { Problem::new(ProblemType::Overloaded) }))
        .route("/panic", post(|| async { panic!("it is {}", "over") as StatusCode }))
        .route("/slow", get(pending::<StatusCode>));
    let log = log_with(metrics);
    let record = on_exchange(move |request: &mut Request| {
        let entry = Entry::begin(Arc::clone(&log), request);
        |response| entry.finish(response)
    });
    router.layer((record, AnswerPanics))
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_is_one_line_without_query_headers_or_body() {
    let (lines, _guard) = Lines::capture();
    let request = Request::get("/v1/keys/SECRET1?token=SECRET2")
        .header("authorization", "DPoP SECRET3")
        .header("x-forwarded-for", "198.51.100.7")
        .extension(PeerAddress("10.0.0.1:4711".parse().unwrap()))
        .body(Body::from("SECRET4"))
        .unwrap();
    let metrics = Arc::new(Metrics::new());
    let response = app(&metrics).oneshot(request).await.unwrap();
    assert_eq!(response.headers()[X_REQUEST_ID], "1122334455667788");
    assert_eq!(text(response).await, "198.51.100.7");

    let expected = json!({
        "level": "INFO",
        "message": "request",
        "method": "GET",
        "path": "/v1/keys/{thumbprint}",
        "status": 200,
        "latency_us": 5000,
        "client": "198.51.100.7",
        "request_id": "1122334455667788",
    });
    assert_eq!(lines.values(), [expected]);
    assert!(!lines.text().contains("SECRET"));
    let page = metrics.encode().unwrap();
    let counted = r#"requests_total{route="/v1/keys/{thumbprint}",method="GET",status="2xx"} 1"#;
    assert!(page.contains(counted), "{page}");
    assert!(!page.contains("SECRET"));
}

#[tokio::test]
async fn the_cause_of_a_failure_is_logged_once_and_goes_no_further() {
    let (lines, _guard) = Lines::capture();
    let metrics = Arc::new(Metrics::new());
    let request = Request::get("/broken").body(Body::empty()).unwrap();
    let response = app(&metrics).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.extensions().get::<Cause>(), None);
    assert!(!text(response).await.contains("fire"));

    let [line] = &lines.values()[..] else { panic!("{}", lines.text()) };
    assert_eq!((&line["level"], &line["cause"]), (&json!("ERROR"), &json!("disk on fire")));
    assert_eq!(line["client"], "0.0.0.0");
    assert!(metrics.encode().unwrap().contains(r#"refusals_total{reason="internal"} 1"#));
}

#[tokio::test]
async fn a_panic_is_the_constant_500() {
    let (lines, _guard) = Lines::capture();
    let metrics = Arc::new(Metrics::new());
    let app = app(&metrics);
    let request = Request::post("/panic").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key(X_REQUEST_ID));
    let constant = text(Problem::internal("").into_response()).await;
    assert_eq!(text(response).await, constant);

    let [line] = &lines.values()[..] else { panic!("{}", lines.text()) };
    assert_eq!(line["cause"], "panic: it is over");
}

#[tokio::test]
async fn refusals_and_unknown_routes_are_lines_too() {
    let (lines, _guard) = Lines::capture();
    let metrics = Arc::new(Metrics::new());
    for (method, path) in [("GET", "/busy"), ("BREW", "/coffee/SECRET"), ("PUT", "/busy")] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        app(&metrics).oneshot(request).await.unwrap();
    }
    let lines = lines.values();
    let facts: Vec<_> = lines
        .iter()
        .map(|line| (&line["level"], &line["method"], &line["path"], &line["status"]))
        .map(|(level, method, path, status)| format!("{level} {method} {path} {status}"))
        .collect();
    let expected = [
        r#""WARN" "GET" "/busy" 503"#,
        r#""INFO" "other" "other" 404"#,
        r#""INFO" "PUT" "/busy" 405"#,
    ];
    assert_eq!(facts, expected);
    assert!(metrics.encode().unwrap().contains(r#"refusals_total{reason="overloaded"} 1"#));
}

#[tokio::test]
async fn a_client_that_leaves_is_a_line_too() {
    let (lines, _guard) = Lines::capture();
    let metrics = Arc::new(Metrics::new());
    let request = Request::get("/slow").body(Body::empty()).unwrap();
    let mut answer = Box::pin(app(&metrics).oneshot(request));
    assert!(poll_once(&mut answer).await.is_none());
    drop(answer);

    let [line] = &lines.values()[..] else { panic!("{}", lines.text()) };
    assert_eq!((&line["path"], &line["status"]), (&json!("/slow"), &json!(CLIENT_LEFT)));
}

/// A change goes on when its client leaves. Whose it is becomes known after that, perhaps.
#[tokio::test]
async fn the_line_of_a_client_that_left_waits_for_what_becomes_known() {
    let (lines, _guard) = Lines::capture();
    let metrics = Arc::new(Metrics::new());
    let (mut request, account_id) = (Request::new(Body::empty()), AccountId::from_bytes([7; 16]));
    let entry = Entry::begin(log_with(&metrics), &mut request);
    let work: Line = request.extensions().get().cloned().unwrap();
    drop((entry, request));
    assert_eq!(lines.text(), "");
    work.proven_by(&Actor { account_id, username: None, key: None, proof: None });
    work.learn(&Problem::internal("disk on fire").into_response());
    drop(work);

    let [line] = &lines.values()[..] else { panic!("{}", lines.text()) };
    assert_eq!((&line["status"], &line["level"]), (&json!(CLIENT_LEFT), &json!("ERROR")));
    assert_eq!(line["account"], account_id.to_string());
    assert_eq!(line["cause"], "disk on fire");
    assert!(metrics.encode().unwrap().contains(r#"refusals_total{reason="internal"} 1"#));
}

/// Polls once; the result if it is there already.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
