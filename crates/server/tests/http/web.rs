//! What introduces the server.

mod openapi;
mod page;
