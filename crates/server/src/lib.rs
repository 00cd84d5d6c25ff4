//! The HTTP surface of Countersign.

pub mod access_log;
pub mod address;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod problem;
pub mod security_headers;
pub mod tls;
