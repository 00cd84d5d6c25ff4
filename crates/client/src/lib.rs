//! The SDK of Countersign: log in with a key, sign requests, and keep keys in an encrypted file.
//!
//! A [`Client`] knows a server; [`Client::login`] makes a [`Login`], whose requests carry the
//! access token and a proof that they come from the holder of the key that the token is bound to.
//! A [`Keyring`] keeps the key and the token between two runs.
//!
//! This crate never prompts and never prints, and it writes a private key only encrypted. The clock
//! and randomness come in through the ports of `countersign-protocol`.
//!
//! [`Keyring`]: keyring::Keyring

mod http;
mod key_file;
pub mod keyring;
pub mod online_keyring;
mod password;
pub mod proof;
mod token;

#[cfg(test)]
mod testing;

pub use crate::http::dialects::*;
pub use crate::http::{
    Carried, Carrier, Client, ClientError, KeyInfo, Login, LoginRequest, Metadata, NewAccount,
    OnlineKeyringError, OnlineKeyringInfo, Recovered, Recovery, Refusal, Registration, Renewal,
    Request, Response, RevisionInfo, SlotInfo, Transport, TransportOptions, Unlock, WhoAmI,
    check_address,
};
pub use crate::key_file::{KeyFileError, read_private_key};
pub use crate::password::{Password, PasswordError};
pub use crate::token::{AccessToken, AccessTokenError, SavedToken};
