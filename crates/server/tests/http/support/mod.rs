//! The whole application in this process, and the clients that talk to it: without sockets, with a
//! clock that stands still, randomness that repeats itself, and the real store, replay log and rate
//! limiter.

mod answer;
mod app;
mod call;
mod capture;
mod faults;
mod jwt;
mod key;
mod keyrings;
mod passkeys;
mod readable;
mod story;

pub(crate) use answer::Answer;
pub(crate) use app::{ISSUER, MASTER_KEY, Setup, TestApp};
pub(crate) use call::{Call, listen_on_the_wire, many_at_once, wire_log};
pub(crate) use capture::captured_log;
pub(crate) use faults::{CAUSE, Fault, Faults};
pub(crate) use jwt::Jwt;
pub(crate) use key::TestKey;
pub(crate) use keyrings::{CONTENT_KEY, PASSWORD, content, document, new_content, prf_slot};
pub(crate) use passkeys::synced;
pub(crate) use readable::listed_for_pages;
pub(crate) use story::JWT_BEARER;
