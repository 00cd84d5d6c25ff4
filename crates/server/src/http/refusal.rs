//! What all refusals have, in whichever form they are written.
//!
//! None tells the client the cause of a 5xx. The cause travels in the response extension [`Cause`] to
//! the one line that the access log writes about the request.

use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;
use serde::Serialize;

/// Why the server failed, for the log alone: a response extension that never leaves the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause(pub(crate) String);

/// Which kind of refusal a response is, for the metrics: a response extension. Its values are
/// constants of the code, so there are few of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusalReason(pub(crate) &'static str);

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Tells the layers outside what kind of refusal `response` is, and why the server failed if it did.
pub(crate) fn annotate(response: &mut Response, reason: &'static str, cause: Option<String>) {
    response.extensions_mut().insert(RefusalReason(reason));
    if let Some(cause) = cause {
        response.extensions_mut().insert(Cause(cause));
    }
}

/// The body of a refusal. Its types have nothing that JSON cannot say.
pub(crate) fn json_text(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// The value of a `Retry-After`, at least one.
pub(crate) fn whole_seconds(duration: Duration) -> HeaderValue {
    let rounded_up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    HeaderValue::from(rounded_up.max(1))
}

/// What RFC 6749 §5.2 allows in an `error_description`: %x20-21 / %x23-5B / %x5D-7E. Quotation marks are
/// single ones there.
pub(crate) fn description_char(character: char) -> char {
    match character {
        ' '..='!' | '#'..='[' | ']'..='~' => character,
        '"' => '\'',
        _ => '?',
    }
}
