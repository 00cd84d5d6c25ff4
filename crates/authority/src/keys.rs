//! The server's own keys: the vault that everything secret follows from, and the signing keys.

mod error;
mod loaded;
pub mod published;
pub(crate) mod purpose_keys;
pub mod registration_key;
pub mod rekey;
mod roots;
mod rotation;
pub mod sealed_secret;
mod sealing;
pub mod signing;
mod unknown_kid;
mod upkeep;
pub mod vault;

pub use self::error::SigningKeyError;
pub use self::loaded::Signer;
