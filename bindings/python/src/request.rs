//! Requests as a server of Python has them, in the guard's form.

use std::sync::Arc;

use countersign_remote::{guard::Refusal, protocol::proofs::dpop::DpopError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::PathAndQuery};
use pyo3::{prelude::*, pybacked::PyBackedBytes};

/// Names and values of header fields, in their order.
type Fields = Vec<(PyBackedBytes, PyBackedBytes)>;

/// A request that came in.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Incoming {
    /// Or why the guard has nothing to compare a proof with: such a request is refused.
    pub(crate) head: Result<Arc<Head>, Refusal>,
}

/// All of a request but its body.
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

#[pymethods]
impl Incoming {
    /// `path` is as it was sent, without the query.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "these come out of Python's objects")]
    fn new(method: &str, path: PyBackedBytes, fields: Fields) -> Self {
        Self { head: Head::new(method, &path, &fields).map(Arc::new) }
    }
}

impl Head {
    fn new(method: &str, path: &[u8], fields: &Fields) -> Result<Self, Refusal> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| DpopError::Method)?;
        // An absolute URI in its place would be another one to the guard than to whoever routes the
        // request.
        let path = Some(path).filter(|path| path.starts_with(b"/")).ok_or(DpopError::Uri)?;
        let path = PathAndQuery::try_from(path).map_err(|_| DpopError::Uri)?;
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name).map_err(|_| Refusal::Malformed)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| Refusal::Malformed)?;
            headers.try_append(name, value).map_err(|_| Refusal::Malformed)?;
        }
        Ok(Self { method, path, headers })
    }
}
