//! Reading the bodies of dialects, which have few members and no nesting.

use countersign_protocol::strict::json;
use serde_json::{Map, Value};

use crate::problem::{Problem, ProblemType};

/// The object that a body is, without duplicate members.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    json::parse_object(body).map_err(Problem::from)
}

/// The member `name`, which must be a string.
pub(super) fn text<'a>(
    body: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, Problem> {
    let missing = || {
        Problem::new(ProblemType::InvalidRequest)
            .detail(format!("{name} must be there and be a string"))
    };
    body.get(name).and_then(Value::as_str).ok_or_else(missing)
}
