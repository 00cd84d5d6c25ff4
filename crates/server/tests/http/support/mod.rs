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
mod passkeys;
mod story;

pub(crate) use answer::Answer;
pub(crate) use app::{ISSUER, MASTER_KEY, Setup, TestApp};
pub(crate) use call::{Call, many_at_once};
pub(crate) use capture::captured_log;
pub(crate) use faults::{CAUSE, Fault, Faults};
pub(crate) use jwt::Jwt;
pub(crate) use key::TestKey;
pub(crate) use passkeys::synced;
pub(crate) use story::JWT_BEARER;
