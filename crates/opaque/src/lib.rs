//! OPAQUE (RFC 9807): a password opens something that a server keeps, and the server never learns the
//! password, nor anything that it could be guessed from without the server's own secret.
//!
//! Both sides are here, so that they cannot disagree: [`server`] for the authority, [`client`] for the
//! command line. Web pages have a third implementation, made from the same library
//! (`@serenity-kit/opaque`), which decides the suite: OPRF and key exchange (3DH) over Ristretto255,
//! SHA-512, Argon2id with a salt of zeros over the OPRF's output. Messages are opaque bytes of a fixed
//! length.
//!
//! The server's name is part of what both sides sign over ([`ServerName`]): an exchange with one server
//! is of no use at another.

pub mod client;
mod random;
pub mod server;
mod suite;

use thiserror::Error;

/// The name of the server, its issuer identifier. Client and server must give the same one.
#[derive(Clone, Copy, Debug)]
pub struct ServerName<'a>(pub &'a str);

impl<'a> ServerName<'a> {
    fn identifiers(self) -> opaque_ke::Identifiers<'a> {
        opaque_ke::Identifiers { client: None, server: Some(self.0.as_bytes()) }
    }
}

/// The bytes are no message of this kind: another length, or no point of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("these bytes are no OPAQUE {0}")]
pub struct Malformed(&'static str);

#[cfg(test)]
mod tests;
