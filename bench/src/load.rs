//! The load generator: requests that were made and signed before, sent over connections that are
//! kept, by one thread that does nothing else.

mod connection;
mod generator;
mod http;
mod latencies;

pub(crate) use self::{
    connection::exchange,
    generator::{Generator, Pace},
    http::{Response, request},
    latencies::median,
};
