//! The server's own keys: the vault that everything secret follows from, and the signing keys.

pub(crate) mod published;
pub(crate) mod signing;
pub mod vault;
