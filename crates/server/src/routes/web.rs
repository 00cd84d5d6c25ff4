//! What introduces the server, to people and to programs.

pub(crate) mod openapi;
pub(super) mod page;
