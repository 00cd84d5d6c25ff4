use std::collections::HashSet;

use countersign_authority::ports::{RoomKept, StoreError};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;

use super::*;
use crate::http::{
    oauth_error::OAuthError,
    refusal::{Cause, RefusalReason},
};

pub(crate) async fn json_body(response: Response) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_problem_says_what_it_is() {
    let response = Problem::new(ProblemType::RateLimited)
        .detail("10 requests in one second")
        .retry_after(Duration::from_millis(1200))
        .with("limit", 10)
        .with("type", "about:blank")
        .into_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    assert_eq!(response.extensions().get(), Some(&RefusalReason("rate-limited")));
    let expected = json!({
        "type": "https://github.com/countersign/countersign/problems/rate-limited",
        "title": "Too many requests; wait a while.",
        "status": 429,
        "detail": "10 requests in one second",
        "limit": 10,
    });
    assert_eq!(json_body(response).await, expected);
}

#[tokio::test]
async fn the_cause_of_a_failure_is_only_in_the_extension() {
    for (response, status) in [
        (Problem::internal("disk on fire").into_response(), 500),
        (Problem::unavailable("disk on fire").into_response(), 503),
        (OAuthError::internal("disk on fire").into_response(), 500),
    ] {
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.extensions().get(), Some(&Cause("disk on fire".to_owned())));
        assert!(!format!("{:?}", response.headers()).contains("fire"));
        assert!(!json_body(response).await.to_string().contains("fire"));
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_for_its_operator() {
    let kept = RoomKept { free: 1, reserve: 2 };
    let response = Problem::from(StoreError::Unavailable(Box::new(kept))).into_response();
    assert_eq!(response.headers()[RETRY_AFTER], "300");
    let body = json_body(response).await;
    assert_eq!(body["lack"], "disk-space");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("must make room (limits.disk_reserve_bytes)"), "{detail}");
}

#[test]
fn every_kind_has_its_own_name_and_an_error_status() {
    let names: Vec<_> = ProblemType::ALL.iter().map(|kind| kind.name()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    for kind in ProblemType::ALL.iter().copied() {
        assert!(kind.status().is_client_error() || kind.status().is_server_error());
        assert!(kind.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        assert!(kind.title().ends_with('.'));
    }
}
