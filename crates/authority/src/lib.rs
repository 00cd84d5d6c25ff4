//! What an authentication server decides: accounts, credentials, enrolment, tokens, signing keys,
//! audit and policy; and the ports that it needs to do so.
//!
//! This crate knows neither SQL nor HTTP. Every operation of [`Authority`] reads the clock once,
//! decides, and asks its [`ports`] to make the decision true in one atomic step.

pub mod accounts;
mod authority;
pub mod core;
pub mod dialects;
pub mod health;
pub mod keys;
pub mod login;
mod maintenance;
pub mod model;
pub mod online_keyring;
pub mod passkeys;
pub mod ports;
pub mod tokens;
pub mod trouble;

pub use crate::authority::{Authority, StartError};
pub use crate::maintenance::Maintenance;
