//! What introduces the server.

mod account_app;
mod openapi;
mod page;
