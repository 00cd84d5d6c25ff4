//! Reading the bodies of dialects, which have few members and no nesting.

use countersign_protocol::strict::{
    base64,
    json::{self, Member, Object},
};
use serde_json::{Map, Value};

use crate::http::problem::{Problem, ProblemType};

/// The object that a body is, without duplicate members.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    json::parse_object(body).map_err(Problem::from)
}

/// The member `name`, which must be a string.
pub(super) fn text<'a>(
    body: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, Problem> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| missing(name))
}

/// The same for a body that is read in place.
pub(super) fn text_in<'a>(body: &'a Object, name: &'static str) -> Result<&'a str, Problem> {
    body.get(name).and_then(Member::as_str).ok_or_else(|| missing(name))
}

/// The bytes of the member `name`, whose `text` is base64 with padding. Command line tools and MIME
/// writers break lines, so white space does not count.
///
/// # Errors
/// What the client did instead, in words. The message depends on the client's own text alone.
pub(super) fn bytes(name: &str, text: &str) -> Result<Vec<u8>, String> {
    base64::decode_wrapped(text).map_err(|_| {
        let what = if text.contains(['-', '_']) { "base64url, and not" } else { "not" };
        format!("{name} is {what} base64 with padding (RFC 4648 \u{a7}4); line breaks do no harm")
    })
}

fn missing(name: &str) -> Problem {
    Problem::new(ProblemType::InvalidRequest)
        .detail(format!("{name} must be there and be a string"))
}
