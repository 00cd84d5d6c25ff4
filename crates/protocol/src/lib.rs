#![doc = include_str!("../README.md")]

pub mod authentication;
pub mod challenges;
mod client_network;
pub mod clock_watch;
pub mod digest;
pub mod envelope;
pub mod ids;
pub mod keyring_document;
pub mod keys;
pub mod names;
pub mod ports;
pub mod principal;
pub mod problem;
pub mod proofs;
pub mod replay;
pub mod scopes;
pub mod shares;
pub mod strict;
#[cfg(test)]
mod test_support;
pub mod time;
pub mod tokens;
mod unverified;
pub mod wire;

pub use crate::authentication::{
    AuthenticationClass, AuthenticationContext, AuthenticationMethod, AuthenticationMethods,
    PasskeyStorage,
};
pub use crate::client_network::ClientNetwork;
pub use crate::ids::AccountId;
pub use crate::principal::{Actor, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey};
pub use crate::replay::{ReplayEntry, SpentReceipt, Unspent};
pub use crate::scopes::Scopes;
pub use crate::time::{CLIENT_CLOCK_AHEAD, UnixTime};
pub use crate::unverified::Unverified;
