//! The header of a proof, which a client sends with each of its proofs alike.

use std::sync::Arc;

use super::error::DpopError;
use crate::{
    keys::{PresentedJwk, Thumbprint},
    tokens::jws::Header,
};

/// The `typ` of a proof (RFC 9449 §4.2).
pub const TYPE: &str = "dpop+jwt";

/// The header of a proof, read. Reading it is most of the work before the signature, so whoever
/// keeps it knows it again by its text.
#[derive(Debug)]
pub struct ProofHeader {
    text: Box<str>,
    pub(super) jws: Arc<Header>,
    jwk: PresentedJwk,
}

impl ProofHeader {
    /// A longer header is not worth keeping: those of RSA keys of 4096 bits have about a thousand
    /// characters.
    const MAX_KEPT: usize = 2048;

    /// Reads the first segment of a proof (RFC 9449 §4.3, checks 4, 5 and 7).
    pub(super) fn parse(segment: &str) -> Result<Self, DpopError> {
        let mut jws = Header::parse(segment)?;
        if !jws.typ().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
            return Err(DpopError::Type);
        }
        let jwk = jws.take("jwk").ok_or(DpopError::NoKey)?;
        let jwk = PresentedJwk::read(jwk.as_object().ok_or(DpopError::NoKey)?)?;
        Ok(Self { text: segment.into(), jws: Arc::new(jws), jwk })
    }

    /// The key that it carries.
    pub const fn jwk(&self) -> &PresentedJwk {
        &self.jwk
    }

    /// The thumbprint of the key.
    pub const fn thumbprint(&self) -> Thumbprint {
        self.jwk.thumbprint()
    }

    /// Its text, by which it may be known again.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is short enough for a cache.
    pub fn is_worth_keeping(&self) -> bool {
        self.text.len() <= Self::MAX_KEPT
    }

    /// Whether `segment` is its text.
    pub(super) fn is(&self, segment: &str) -> bool {
        *self.text == *segment
    }
}
