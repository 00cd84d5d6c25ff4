use serde_json::json;

use super::*;
use crate::http::{problem::tests::json_body, refusal::RefusalReason};

#[tokio::test]
async fn an_oauth_error_follows_rfc_6749() {
    let response = OAuthError::new("invalid_grant")
        .description("the \"assertion\" \\ is\nold \u{e9}")
        .into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[PRAGMA], "no-cache");
    assert!(!response.headers().contains_key(RETRY_AFTER));
    assert_eq!(response.extensions().get(), Some(&RefusalReason("invalid_grant")));
    let expected =
        json!({"error": "invalid_grant", "error_description": "the 'assertion' ? is?old ?"});
    assert_eq!(json_body(response).await, expected);
}

#[test]
fn retry_after_is_rounded_up_to_a_second_or_more() {
    for (millis, header) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
        let response = OAuthError::new("slow_down")
            .status(StatusCode::TOO_MANY_REQUESTS)
            .retry_after(Duration::from_millis(millis))
            .into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], header);
    }
}
