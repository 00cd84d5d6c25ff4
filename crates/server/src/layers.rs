//! What stands around the handlers: every request passes it on its way in, every answer on its way out.

pub(crate) mod access_log;
pub(crate) mod admission;
pub(crate) mod answers;
pub(crate) mod around;
pub(crate) mod cors;
pub(crate) mod large_bodies;
pub(crate) mod limits;
pub(crate) mod oauth_errors;
pub(crate) mod on_exchange;
pub(crate) mod panics;
pub(crate) mod security_headers;
pub(crate) mod shared_route;
pub(crate) mod verdicts;
pub(crate) mod web_pages;
