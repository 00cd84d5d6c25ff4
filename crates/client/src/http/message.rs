//! Requests and answers as they are.

use countersign_protocol::wire;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

pub(super) const DPOP: HeaderName = HeaderName::from_static(wire::header::DPOP);

/// A request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL.
    pub url: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without header fields and body.
    pub fn new(method: Method, url: &str) -> Self {
        Self { method, url: url.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
    }
}

/// A request without its address, which has been checked.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// A GET without header fields.
    pub(super) fn get() -> Self {
        Self { method: Method::GET, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// A JSON object of the members that have a value.
    pub(super) fn json<const N: usize>(method: Method, members: [(&str, Value); N]) -> Self {
        let members = members.into_iter().filter(|(_, value)| !value.is_null());
        let object: Map<_, _> = members.map(|(name, value)| (name.to_owned(), value)).collect();
        let body = Value::Object(object).to_string().into_bytes();
        Self::with_content(method, "application/json", body)
    }

    pub(super) fn with_content(method: Method, media_type: &'static str, body: Vec<u8>) -> Self {
        let content_type = (CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self { method, headers: HeaderMap::from_iter([content_type]), body }
    }
}

/// The value of a header that must not show up in logs, nor in compression tables (RFC 7541 §7.1).
#[expect(clippy::expect_used, reason = "tokens and JWTs are visible ASCII by construction")]
pub(super) fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("visible ASCII is a header value");
    value.set_sensitive(true);
    value
}

/// An answer, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}
