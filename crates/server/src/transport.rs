//! Connections: accepted, encrypted, limited, and ended.

mod host_field;
pub(crate) mod hosts;
pub(crate) mod listen;
mod not_http;
pub(crate) mod tls;
mod unread;
