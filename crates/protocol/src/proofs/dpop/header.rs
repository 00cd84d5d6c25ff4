//! The header of a proof. A client sends the same header with each of its proofs.

use std::sync::Arc;

use super::error::DpopError;
use crate::{keys::PresentedJwk, tokens::jws::Header};

/// The `typ` of a proof (RFC 9449 §4.2).
pub const TYPE: &str = "dpop+jwt";

/// The header of a proof, read.
#[derive(Debug)]
pub(in crate::proofs) struct ProofHeader {
    text: Box<str>,
    pub(super) jws: Arc<Header>,
    pub(super) jwk: PresentedJwk,
}

impl ProofHeader {
    /// Reads the first segment of a proof (RFC 9449 §4.3, checks 4, 5 and 7).
    pub(in crate::proofs) fn parse(segment: &str) -> Result<Self, DpopError> {
        let mut jws = Header::parse(segment)?;
        if !jws.typ().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
            return Err(DpopError::Type);
        }
        let jwk = jws.take("jwk").ok_or(DpopError::NoKey)?;
        let jwk = PresentedJwk::read(jwk.as_object().ok_or(DpopError::NoKey)?)?;
        Ok(Self { text: segment.into(), jws: Arc::new(jws), jwk })
    }

    /// Its text, by which it may be known again.
    pub(in crate::proofs) fn text(&self) -> &str {
        &self.text
    }
}
