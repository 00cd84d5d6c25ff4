//! The answer to a refused client, and the headers that every answer of a guarded resource carries.

use countersign_protocol::{problem, replay::ReplayShareUsedUp, wire};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    guard::Guard,
    refusal::{Refusal, Refused},
};

const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

impl Guard {
    /// The answer to a refused request. Its headers have the challenges, its body says the same in
    /// words (RFC 9457). [`Self::add_nonce`] adds the nonce that every answer carries.
    pub fn answer(&self, refused: &Refused) -> Response<String> {
        self.answer_as(refused, refused.refusal.challenge().status)
    }

    /// The same with another status, for proxies that understand only a few.
    pub fn answer_as(&self, refused: &Refused, status: StatusCode) -> Response<String> {
        let mut body = serde_json::json!({
            "type": problem::type_uri(problem_name(&refused.refusal)),
            "title": problem_title(&refused.refusal),
            "status": status.as_u16(),
            "detail": refused.refusal.to_string(),
        });
        if let Refusal::InsufficientLogin(error) = &refused.refusal {
            if let Some(acr) = error.required.acr {
                body["acr_values"] = acr.name().into();
            }
            if let Some(max_age) = error.required.max_age {
                body["max_age"] = max_age.as_secs().into();
            }
        }
        let mut response = Response::new(body.to_string());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        for value in self.challenges(refused) {
            headers.append(header::WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = retry_after(&refused.refusal) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Adds the nonce for the client's next proof to an answer, and therefore `Cache-Control:
    /// no-store`, unless the answer has a `Cache-Control` (RFC 9449 §8.2, §9).
    pub fn add_nonce(&self, headers: &mut HeaderMap) {
        if let Some(nonce) = self.nonce_of_this_second() {
            headers.insert(DPOP_NONCE, nonce);
            headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        }
    }
}

/// After how many seconds the same request may get another answer.
fn retry_after(refusal: &Refusal) -> Option<u64> {
    if let Refusal::MadeAhead { seconds } | Refusal::StartedLately { seconds } = refusal {
        return Some(*seconds);
    }
    match refusal.challenge().status {
        StatusCode::SERVICE_UNAVAILABLE => Some(1),
        StatusCode::TOO_MANY_REQUESTS => Some(ReplayShareUsedUp::RETRY_AFTER_SECS),
        _ => None,
    }
}

/// What the problem type means, in words.
fn problem_title(refusal: &Refusal) -> &'static str {
    match problem_name(refusal) {
        "forbidden" => "This is not allowed.",
        "insufficient-login" => "This needs another login.",
        "invalid-request" => "The request is not valid.",
        "rate-limited" => "There are too many requests.",
        "unavailable" => "The server cannot do this now.",
        _ => "The request must prove who makes it.",
    }
}

fn problem_name(refusal: &Refusal) -> &'static str {
    match refusal.challenge().error {
        Some("insufficient_scope") => "forbidden",
        Some("insufficient_user_authentication") => "insufficient-login",
        Some("invalid_request") => "invalid-request",
        _ if refusal.challenge().status == StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ if matches!(refusal, Refusal::ShareUsedUp(_)) => "rate-limited",
        _ if matches!(refusal, Refusal::Body(_)) => "payload-too-large",
        _ => "unauthenticated",
    }
}
