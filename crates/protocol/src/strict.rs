//! Readers that accept one spelling of each value and refuse every other.
//!
//! A value with two spellings can pass a check under one and be used under the other, so nothing
//! here is lenient: no optional padding, no whitespace, no duplicate members, no trailing bytes.
//!
//! Keys are the exception: people carry them through editors, mails and environment files, and a key
//! is known by its thumbprint, not by its text. So [`pem`] and [`base64::decode_wrapped`] let white
//! space be anywhere.

pub mod base64;
pub mod base64url;
pub mod cbor;
pub mod hex;
pub mod json;
pub mod pem;
