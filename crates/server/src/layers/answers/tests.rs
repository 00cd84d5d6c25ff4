use std::convert::Infallible;

use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tower::{ServiceExt, service_fn};

use super::*;

/// An answer of this size, to a request of the network of this number.
async fn answer(answers: &Answers, network: u8, version: Version, size: usize) -> Response {
    let make =
        move |_| std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(vec![7; size]))));
    let mut request = Request::new(Body::empty());
    *request.version_mut() = version;
    let address = std::net::IpAddr::from([192, 0, 2, network]);
    request.extensions_mut().insert(crate::http::address::ClientAddress(address));
    answers.layer(service_fn(make)).oneshot(request).await.unwrap()
}

/// Room for ten places, six of them for each client.
fn answers() -> Answers {
    let (answer_bytes, answer_bytes_each) = (10 * PLACE, 6 * PLACE);
    Answers::new(&RequestLimits { answer_bytes, answer_bytes_each, ..RequestLimits::default() })
}

fn places(answers: &Answers) -> usize {
    answers.0.shares.taken()
}

#[tokio::test]
async fn an_answer_holds_its_places_until_its_bytes_have_left() {
    let answers = answers();
    let waiting = answer(&answers, 1, Version::HTTP_2, 2 * PLACE + 1).await;
    assert_eq!(places(&answers), 3);
    let bytes = waiting.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((bytes.len(), places(&answers)), (2 * PLACE + 1, 3));
    let half = bytes.slice(PLACE..);
    drop(bytes);
    assert_eq!(places(&answers), 3, "a part of them keeps all");
    drop(half);
    assert_eq!(places(&answers), 0);
}

#[tokio::test]
async fn a_client_that_fetches_nothing_is_refused_and_others_are_served() {
    let answers = answers();
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(answer(&answers, 1, Version::HTTP_2, 1).await);
    }
    let beyond = answer(&answers, 1, Version::HTTP_2, 1).await;
    assert_eq!(beyond.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(beyond.headers().contains_key("retry-after"));
    waiting.push(answer(&answers, 2, Version::HTTP_2, 4 * PLACE).await);
    let none = answer(&answers, 3, Version::HTTP_2, 1).await;
    assert_eq!(none.status(), StatusCode::SERVICE_UNAVAILABLE);
    waiting.clear();
    assert_eq!(answer(&answers, 1, Version::HTTP_2, 1).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_without_room_for_all_of_it_says_so_and_holds_nothing() {
    let answers = answers();
    let large = answer(&answers, 1, Version::HTTP_2, 7 * PLACE).await;
    assert_eq!(large.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(places(&answers), 0);
}

#[tokio::test]
async fn over_http_1_only_what_a_connection_has_no_room_for_takes_places() {
    let answers = answers();
    let size = usize::try_from(ROOM_OF_A_CONNECTION).unwrap();
    let small = answer(&answers, 1, Version::HTTP_11, size).await;
    assert_eq!(places(&answers), 0);
    let large = answer(&answers, 1, Version::HTTP_11, size + 1).await;
    assert_eq!(places(&answers), 5);
    drop((small, large));
    assert_eq!(places(&answers), 0);
}

#[tokio::test]
async fn what_is_in_memory_anyway_takes_no_place() {
    let answers = answers();
    let file = Bytes::from(vec![7; 8 * PLACE]);
    let expected = answers.expect(&Request::new(Body::empty())).unwrap();
    let served = expected.hold(Response::new(Body::from(file.clone())));
    assert_eq!((served.status(), places(&answers)), (StatusCode::OK, 0));
    assert_eq!(served.into_body().collect().await.unwrap().to_bytes(), file);
}
