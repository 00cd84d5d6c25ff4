//! Connections: accepted, encrypted, limited, and ended.

mod activity;
mod connection;
mod host_field;
pub(crate) mod hosts;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod listeners;
mod not_http;
pub(crate) mod tls;
mod unread;
