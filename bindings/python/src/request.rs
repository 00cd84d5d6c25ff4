//! Requests as a server of Python has them, in the guard's form.

use std::sync::Arc;

use countersign_remote::{guard::Refusal, protocol::proofs::dpop::DpopError};
use http::{HeaderName, HeaderValue, Method, Uri, request::Parts, uri::PathAndQuery};
use pyo3::{prelude::*, pybacked::PyBackedBytes};

/// Names and values of header fields, in their order.
type Fields = Vec<(PyBackedBytes, PyBackedBytes)>;

/// Method, path and header fields of a request.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Request {
    /// Or why the guard has nothing to compare a proof with: such a request is refused.
    pub(crate) parts: Result<Arc<Parts>, Refusal>,
}

#[pymethods]
impl Request {
    /// `path` is as it was sent, without the query.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "these come out of Python's objects")]
    fn new(method: &str, path: PyBackedBytes, fields: Fields) -> Self {
        Self { parts: parts(method, &path, &fields).map(Arc::new) }
    }
}

fn parts(method: &str, path: &[u8], fields: &Fields) -> Result<Parts, Refusal> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(method.as_bytes()).map_err(|_| DpopError::Method)?;
    parts.uri = uri(path).ok_or(DpopError::Uri)?;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).map_err(|_| Refusal::Malformed)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Refusal::Malformed)?;
        parts.headers.try_append(name, value).map_err(|_| Refusal::Malformed)?;
    }
    Ok(parts)
}

/// A path is a path: an absolute URI in its place would be another one to the guard than to whoever
/// routes the request.
fn uri(path: &[u8]) -> Option<Uri> {
    let path = Some(path).filter(|path| path.starts_with(b"/"))?;
    Some(PathAndQuery::try_from(path).ok()?.into())
}
