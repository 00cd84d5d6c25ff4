//! The id by which a request is found in the log.

use std::fmt;

use countersign_protocol::wire;
use http::HeaderName;

/// The response header with the request's id.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static(wire::header::REQUEST_ID);

/// The id of one request: 16 hexadecimal digits. A field of the log line and the response header
/// `X-Request-Id`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
        Self(std::array::from_fn(|at| digit(bytes[at / 2] >> (4 * (1 - at % 2)))))
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
