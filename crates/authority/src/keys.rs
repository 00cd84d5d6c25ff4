//! The server's own keys: the vault that everything secret follows from, and the signing keys.

mod error;
mod loaded;
pub(crate) mod published;
pub(crate) mod registration_key;
pub mod rekey;
mod rotation;
pub(crate) mod sealed_secret;
mod sealing;
pub(crate) mod signing;
pub mod vault;

pub use self::error::SigningKeyError;
pub use self::loaded::Signer;
