//! The SDK of Countersign: log in with a key, sign requests, and keep keys in an encrypted file.
//!
//! A [`Keyring`] keeps the key and the token between two runs.
//!
//! This crate never prompts and never prints, and it writes a private key only encrypted. The clock
//! and randomness come in through the ports of `countersign-protocol`.
//!
//! [`Keyring`]: keyring::Keyring

pub mod keyring;
pub mod proof;
mod token;

#[cfg(test)]
mod testing;

pub use crate::token::{AccessToken, AccessTokenError, SavedToken};
