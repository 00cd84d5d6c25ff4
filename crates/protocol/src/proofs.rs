//! Proofs of possession: signatures over one request by the key that a token is bound to, and over a
//! challenge by the key of an authenticator.

pub mod body_hash;
pub mod dpop;
pub mod known_keys;
pub mod nonce_pss;
pub mod self_signed;
pub mod target_uri;
pub mod webauthn;
