//! Talking to a server: reading its metadata, logging in, and sending requests with a token and its
//! proof.
//!
//! No redirect is followed, every answer has a size limit, and plain `http` goes to loopback
//! addresses only, past every proxy.

mod by_key;
mod challenge;
mod client;
pub(crate) mod dialects;
mod error;
mod keys;
mod login;
mod message;
mod metadata;
mod nonces;
mod online_keyring;
mod recovery;
mod refusal;
mod registration;
mod renewal;
mod target;
#[cfg(test)]
mod tests;
mod transport;

pub use self::by_key::LoginRequest;
pub use self::client::Client;
pub use self::error::ClientError;
pub use self::keys::KeyInfo;
pub use self::login::{Login, WhoAmI};
pub use self::message::{Request, Response};
pub use self::metadata::Metadata;
pub use self::online_keyring::{
    OnlineKeyringError, OnlineKeyringInfo, RevisionInfo, SlotInfo, Unlock,
};
pub use self::recovery::{Recovered, Recovery};
pub use self::refusal::Refusal;
pub use self::registration::{NewAccount, Registration};
pub use self::renewal::Renewal;
pub use self::target::check_address;
pub use self::transport::{Carried, Carrier, Transport, TransportOptions};
