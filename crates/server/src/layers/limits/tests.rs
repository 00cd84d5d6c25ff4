use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::RETRY_AFTER;
use hyper::body::Frame;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use super::*;
use crate::http::refusal::RefusalReason;

const LIMITS: RequestLimits = RequestLimits {
    body_bytes: 16,
    large_body_bytes: 64,
    large_uploads: 2,
    large_uploads_each: 1,
    body_grace: Duration::from_secs(5),
    body_bytes_per_second: 1,
    time: Duration::from_secs(30),
    uploads: 2,
    uploads_each: 1,
    concurrency: 2,
    concurrency_each: 1,
    answer_bytes: 64 * 1024,
    answer_bytes_each: 32 * 1024,
    retry_after: Duration::from_secs(3),
};

fn app() -> Router {
    let router = Router::new()
        .route("/echo", post(|body: String| async { body }))
        .route("/ping", get(|| async { "pong" }))
        .route("/never", get(pending::<StatusCode>));
    let gate = Arc::new(Gate::new(&LIMITS));
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let gate = Arc::clone(&gate);
        async move {
            let client = network(&request);
            let request = if request.body().is_end_stream() {
                request
            } else {
                gate.receive(request, client).await?
            };
            gate.admit(client, async { Ok(next.run(request).await) }).await
        }
    }))
}

/// The network that a request says it is of.
fn network(request: &Request) -> ClientNetwork {
    let number = request.headers().get("network").map_or(1, |number| number.as_bytes()[0]);
    std::net::IpAddr::from([192, 0, 2, number]).into()
}

/// `request` from another network.
fn elsewhere(mut request: Request, number: u8) -> Request {
    request
        .headers_mut()
        .insert("network", http::HeaderValue::from_bytes(&[b'a' + number]).unwrap());
    request
}

fn upload(body: impl Into<Body>) -> Request {
    Request::post("/echo").body(body.into()).unwrap()
}

fn get_request(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

/// A body of unknown length, which is sent through the other end.
fn open_body() -> (mpsc::UnboundedSender<io::Result<Bytes>>, Body) {
    struct Chunks(mpsc::UnboundedReceiver<io::Result<Bytes>>);
    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0.poll_recv(cx).map_ok(Frame::data)
        }
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::new(Chunks(receiver)))
}

fn refusal(response: &Response) -> (u16, &'static str) {
    (response.status().as_u16(), response.extensions().get::<RefusalReason>().unwrap().0)
}

/// Lets `future` run until it waits for something, which it must.
async fn run_until_it_waits(future: Pin<&mut impl Future>) {
    tokio::select! {
        biased;
        _ = future => panic!("it does not wait"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_body_within_the_limit_arrives_whole() {
    let response = app().oneshot(upload("sixteen bytes !!")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "sixteen bytes !!");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let response = app().oneshot(upload("seventeen bytes !")).await.unwrap();
    assert_eq!(refusal(&response), (413, "payload-too-large"));

    let (sender, body) = open_body();
    sender.send(Ok("seventeen ".into())).unwrap();
    sender.send(Ok("bytes !".into())).unwrap();
    let response = app().oneshot(upload(body)).await.unwrap();
    assert_eq!(refusal(&response), (413, "payload-too-large"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let (sender, body) = open_body();
    sender.send(Ok("half".into())).unwrap();
    sender.send(Err(io::ErrorKind::UnexpectedEof.into())).unwrap();
    let response = app().oneshot(upload(body)).await.unwrap();
    assert_eq!(refusal(&response), (400, "invalid-request"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_408() {
    let (sender, body) = open_body();
    sender.send(Ok("half".into())).unwrap();
    let response = app().oneshot(upload(body)).await.unwrap();
    assert_eq!(refusal(&response), (408, "request-timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_arrive_slowly_but_not_too_slowly() {
    let slow = async |pause: Duration| {
        let (sender, body) = open_body();
        let sending = async move {
            for byte in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                let _: Result<_, _> = sender.send(Ok(byte.into()));
                tokio::time::sleep(pause).await;
            }
        };
        tokio::join!(app().oneshot(upload(body)), sending).0.unwrap()
    };
    let eight_seconds = slow(Duration::from_millis(999)).await;
    assert_eq!(eight_seconds.status(), StatusCode::OK);
    assert_eq!(refusal(&slow(Duration::from_secs(3)).await), (408, "request-timeout"));
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_too_long_is_503() {
    let response = app().oneshot(get_request("/never")).await.unwrap();
    assert_eq!(refusal(&response), (503, "timeout"));
    assert_eq!(response.headers()[RETRY_AFTER], "3");
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_concurrency_is_shed_at_once() {
    let app = app();
    let mut first = pin!(app.clone().oneshot(get_request("/never")));
    run_until_it_waits(first.as_mut()).await;
    let own = app.clone().oneshot(get_request("/ping")).await.unwrap();
    assert_eq!(refusal(&own), (429, "rate-limited"));
    assert_eq!(own.headers()[RETRY_AFTER], "3");
    let honest = app.clone().oneshot(elsewhere(get_request("/ping"), 1)).await.unwrap();
    assert_eq!(honest.status(), StatusCode::OK);

    let mut second = pin!(app.clone().oneshot(elsewhere(get_request("/never"), 2)));
    run_until_it_waits(second.as_mut()).await;
    let response = app.clone().oneshot(elsewhere(get_request("/ping"), 1)).await.unwrap();
    assert_eq!(refusal(&response), (503, "overloaded"));
    assert_eq!(response.headers()[RETRY_AFTER], "3");

    assert_eq!(refusal(&first.await.unwrap()), (503, "timeout"));
    let response = app.oneshot(get_request("/ping")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_slow_body_keeps_only_other_bodies_out() {
    let app = app();
    let (sender, body) = open_body();
    let mut slow = pin!(app.clone().oneshot(upload(body)));
    run_until_it_waits(slow.as_mut()).await;
    let own = app.clone().oneshot(upload("quick")).await.unwrap();
    assert_eq!(refusal(&own), (429, "rate-limited"));
    let honest = app.clone().oneshot(elsewhere(upload("quick"), 1)).await.unwrap();
    assert_eq!(honest.status(), StatusCode::OK);
    let without_body = app.clone().oneshot(get_request("/ping")).await.unwrap();
    assert_eq!(without_body.status(), StatusCode::OK);

    sender.send(Ok("slow".into())).unwrap();
    drop(sender);
    assert_eq!(slow.await.unwrap().status(), StatusCode::OK);
    let other = app.oneshot(upload("quick")).await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_dropped_request_gives_its_place_back() {
    let app = app();
    let mut first = Box::pin(app.clone().oneshot(get_request("/never")));
    run_until_it_waits(first.as_mut()).await;
    drop(first);
    let response = app.oneshot(get_request("/ping")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// Work that says when it has begun, and ends when it may.
async fn work(begun: Arc<Notify>, may_end: Arc<Notify>, done: Arc<Notify>) -> Result<(), Problem> {
    begun.notify_one();
    may_end.notified().await;
    done.notify_one();
    Ok(())
}

#[tokio::test]
async fn a_change_whose_client_leaves_is_done_to_its_end_and_keeps_its_place_until_then() {
    let gate = Gate::new(&LIMITS);
    let client = network(&get_request("/"));
    let [begun, may_end, done] = [(); 3].map(|()| Arc::new(Notify::new()));
    let of_work = work(Arc::clone(&begun), Arc::clone(&may_end), Arc::clone(&done));
    let mut change = Box::pin(gate.admit_to_the_end(client, of_work));
    tokio::select! {
        _ = &mut change => panic!("it does not wait"),
        () = begun.notified() => {}
    }
    drop(change);
    let next = async { Ok(()) };
    assert_eq!(gate.admit(client, next).await.unwrap_err().kind(), ProblemType::RateLimited);
    may_end.notify_one();
    done.notified().await;
    tokio::task::yield_now().await;
    gate.admit(client, async { Ok(()) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_that_takes_too_long_is_503_and_done_to_its_end() {
    let gate = Gate::new(&LIMITS);
    let client = network(&get_request("/"));
    let [begun, may_end, done] = [(); 3].map(|()| Arc::new(Notify::new()));
    let of_work = work(begun, Arc::clone(&may_end), Arc::clone(&done));
    let refused = gate.admit_to_the_end(client, of_work).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemType::Timeout);
    may_end.notify_one();
    done.notified().await;
}

#[tokio::test]
#[should_panic(expected = "a fault")]
async fn a_change_that_panics_is_a_panic_of_its_request() {
    let gate = Gate::new(&LIMITS);
    let client = network(&get_request("/"));
    let _: Result<(), Problem> = gate.admit_to_the_end(client, async { panic!("a fault") }).await;
}
