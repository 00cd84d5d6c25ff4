//! What the application answered.

use axum::{body::Body, response::Response};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;

use super::readable::check_headers;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The body, which need not be text.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        check_headers(&parts.headers);
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            bytes: bytes.to_vec(),
        }
    }

    /// The one value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name} must be there once: {self:?}");
        values[0].to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn has_no(&self, name: &str) {
        assert!(!self.headers.contains_key(name), "{name} must not be there: {self:?}");
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The JSON of a body that says it is JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let media_type = self.header("content-type");
        assert!(media_type.ends_with("json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// A member of the JSON that is a string.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| missing(member, self)).to_owned()
    }

    /// This is a problem document (RFC 9457) of that kind, and no cache may keep it.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], countersign_protocol::problem::type_uri(kind), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        assert!(body["title"].is_string(), "{self:?}");
        self
    }

    /// This is an OAuth error (RFC 6749 §5.2) of that code, and no cache may keep it.
    #[track_caller]
    pub(crate) fn is_oauth_error(&self, status: u16, code: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let body = self.json();
        assert_eq!(body["error"], code, "{self:?}");
        for member in body.as_object().unwrap().keys() {
            assert!(
                ["error", "error_description", "reason"].contains(&member.as_str()),
                "{self:?}"
            );
        }
        self
    }

    /// This is the guard's refusal: a challenge (RFC 9449 §7.1) with that error code, and the same
    /// in words.
    #[track_caller]
    pub(crate) fn is_refusal(&self, status: u16, error: &str) -> &Self {
        self.is(status);
        let challenge = self.header("www-authenticate");
        let code =
            format!("DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\", error=\"{error}\", ");
        assert!(challenge.starts_with(&code), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], status, "{self:?}");
        let described = body["detail"].as_str().unwrap().replace(['"', '\\'], "");
        assert!(challenge.contains(&format!("error_description=\"{described}\"")), "{self:?}");
        self
    }
}

#[track_caller]
fn missing(member: &str, answer: &Answer) -> ! {
    unreachable!("no text {member} in {answer:?}")
}
