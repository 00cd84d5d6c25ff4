//! Builds the answers of handlers.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use serde::Serialize;

use crate::http::problem::Problem;

/// The number of header fields that handler and layers together give an answer. A map that has to
/// grow is built twice.
const FIELDS: usize = 12;
/// Most bodies are shorter, in bytes.
const BODY_LEN: usize = 512;

/// An answer with this body, and room for the header fields that the layers add.
pub(crate) fn with_body(content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut headers = HeaderMap::with_capacity(FIELDS);
    headers.insert(CONTENT_TYPE, content_type);
    let mut response = Response::new(body.into());
    *response.headers_mut() = headers;
    response
}

/// An answer in JSON that no cache may keep. A value that cannot be written as JSON, because of a
/// mistake in its type, becomes the constant 500.
pub(crate) fn uncached_json(body: &impl Serialize) -> Response {
    let mut text = Vec::with_capacity(BODY_LEN);
    if let Err(error) = serde_json::to_writer(&mut text, body) {
        return Problem::internal(error).into_response();
    }
    let mut response = with_body(HeaderValue::from_static("application/json"), text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The bytes of a body whose size is known: those are in memory, in one piece.
pub(crate) fn in_memory(body: &mut Body) -> Option<Bytes> {
    body.size_hint().exact()?;
    let mut now = Context::from_waker(Waker::noop());
    match pin!(body.frame()).poll(&mut now) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}
