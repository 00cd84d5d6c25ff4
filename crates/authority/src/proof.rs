//! DPoP proofs that a client presents to the authority itself, where no access token exists yet.

use countersign_protocol::{
    UnixTime, Unspent,
    keys::{PublicKey, Thumbprint},
    proofs::{
        dpop::{DpopError, DpopExpectations, DpopProof, NonceRule, PresentedProof},
        target_uri::TargetUri,
    },
};
use thiserror::Error;

use crate::{authority::Authority, ports::ReplayError};

/// The proof of a request, nothing in it trusted.
#[derive(Clone, Copy, Debug)]
pub struct PresentedDpop<'a> {
    /// The values of all `DPoP` header fields.
    pub fields: &'a [&'a [u8]],
    /// The method of the request.
    pub method: &'a str,
    /// The URI of the request, as the client sees it.
    pub uri: &'a TargetUri,
}

impl Authority {
    /// Verifies a proof by whatever key it carries, under the rules of the token endpoint.
    pub(crate) fn verify_proof(
        &self,
        presented: &PresentedDpop<'_>,
        nonce: NonceRule<'_>,
        now: UnixTime,
    ) -> Result<(Unspent<DpopProof>, PublicKey), DpopError> {
        let proof = PresentedProof::from_fields(presented.fields.iter().copied(), None)?;
        let known = |thumbprint: &Thumbprint| self.live.known_key(thumbprint);
        let key = PublicKey::from_jwk_cached(proof.jwk(), &self.policy.keys, known)?;
        let expected = DpopExpectations {
            method: presented.method,
            uri: presented.uri,
            access_token: None,
            nonce,
            window: self.policy.proof_window,
        };
        Ok((proof.verify(&key, &expected, now)?, key))
    }

    /// Records a verified proof as used and opens it.
    pub(crate) async fn spend_proof(
        &self,
        proof: Unspent<DpopProof>,
        now: UnixTime,
    ) -> Result<DpopProof, ProofError> {
        let receipt = self.ports.replay_log.check_and_insert(proof.entry(), now).await?;
        proof.redeem(&receipt).ok_or(ProofError::Replayed)
    }
}

/// Why a proof at the authority itself is refused.
#[derive(Debug, Error)]
pub enum ProofError {
    /// It does not verify.
    #[error(transparent)]
    Invalid(#[from] DpopError),
    /// It was used before.
    #[error("the proof was used before")]
    Replayed,
    /// The replay log cannot tell.
    #[error("the replay log cannot record: {0}")]
    Unavailable(&'static str),
}

impl From<ReplayError> for ProofError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Used => Self::Replayed,
            ReplayError::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}
