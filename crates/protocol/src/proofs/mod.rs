//! Proofs of possession: signatures over one request by the key that a token is bound to.

pub mod dpop;
pub mod target_uri;
