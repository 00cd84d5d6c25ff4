//! Envelopes: data that only the holder of a key can read or make.

pub mod aes_cbc_oaep;
pub mod aes_gcm;
