//! Answers of the handlers that are asked most.

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Serialize;

use crate::problem::Problem;

/// Handler and layers together give an answer so many header fields. A map that grows is built
/// twice.
const FIELDS: usize = 12;
/// Most bodies are shorter, in bytes.
const BODY_LEN: usize = 512;

/// An answer with this body, and room for what the layers add to its head.
pub(crate) fn with_body(content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut headers = HeaderMap::with_capacity(FIELDS);
    headers.insert(CONTENT_TYPE, content_type);
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}

/// An answer in JSON that no cache may keep.
///
/// # Errors
/// When `body` is not JSON, which is a mistake in its type.
pub(crate) fn uncached_json(body: &impl Serialize) -> Result<Response, Problem> {
    let mut text = Vec::with_capacity(BODY_LEN);
    serde_json::to_writer(&mut text, body).map_err(Problem::internal)?;
    let mut response = with_body(HeaderValue::from_static("application/json"), text);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}
