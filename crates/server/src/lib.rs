//! The HTTP surface of Countersign.

pub mod access_log;
pub mod address;
mod admission;
mod answer;
pub mod app;
mod around;
mod body;
pub mod dialects;
mod errors;
mod forwarded;
mod guard_ports;
mod host_field;
pub mod hosts;
pub mod limits;
pub mod listen;
pub mod metrics;
mod not_http;
mod oauth_errors;
mod panics;
pub mod problem;
mod protected_origins;
mod refused;
mod routes;
pub mod security_headers;
mod share;
pub mod tls;
mod unread;
