//! What introduces the server, to people and to programs.

pub(crate) mod account_app;
pub(crate) mod openapi;
pub(super) mod page;
