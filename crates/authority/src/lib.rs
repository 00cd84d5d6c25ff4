//! What an authentication server decides: accounts, credentials, enrolment, tokens, signing keys,
//! audit and policy; and the ports that it needs to do so.
//!
//! This crate knows neither SQL nor HTTP. Every operation reads the clock once, decides, and asks
//! its ports to make the decision true in one atomic step.

pub mod account;
pub mod audit;
pub mod credential;
pub mod invitation;
pub mod ports;
pub mod sealed_key;
