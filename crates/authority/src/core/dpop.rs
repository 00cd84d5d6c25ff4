//! DPoP proofs that a client presents to the authority itself, where no access token exists yet.

use std::{borrow::Cow, sync::Arc};

use countersign_protocol::{
    UnixTime, Unspent,
    keys::{Algorithm, KeyError, PublicKey, Thumbprint},
    proofs::{
        dpop::{DpopError, DpopExpectations, DpopProof, NonceRule, PresentedProof},
        target_uri::TargetUri,
    },
    replay::{FoundNew, ReplayOwner, ReplayShareUsedUp},
};
use thiserror::Error;

use crate::{
    core::{Core, credential_cache::KnownCredential},
    model::credential_kind::{Act, NotForThisKind},
    ports::{ReplayError, StoreError},
};

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

impl Core {
    /// Verifies a proof by the key that it carries, under the rules of the token endpoint.
    pub(crate) fn verify_proof(
        &self,
        presented: &PresentedDpop<'_>,
        nonce: NonceRule<'_>,
        now: UnixTime,
    ) -> Result<(Unspent<DpopProof>, PublicKey), DpopError> {
        self.verify_parsed(self.parse_proof(presented)?, presented, nonce, now)
    }

    /// Parses a proof. Nothing in it is trusted yet.
    pub(crate) fn parse_proof<'a>(
        &self,
        presented: &PresentedDpop<'a>,
    ) -> Result<PresentedProof<'a>, DpopError> {
        self.proof_keys.parse(presented.fields.iter().copied())
    }

    /// Verifies a proof that was parsed, as [`Self::verify_proof`] does.
    pub(crate) fn verify_parsed(
        &self,
        proof: PresentedProof<'_>,
        presented: &PresentedDpop<'_>,
        nonce: NonceRule<'_>,
        now: UnixTime,
    ) -> Result<(Unspent<DpopProof>, PublicKey), DpopError> {
        let registered = self.credentials.known_key(&proof.jwk().thumbprint());
        let is_credential = registered.is_some();
        if registered.as_ref().is_some_and(|key| !key.algorithms().contains(&proof.algorithm())) {
            // It was registered for another algorithm, and a key is used with one (RFC 8725 §3.1).
            return Err(KeyError::AlgorithmMismatch.into());
        }
        let key = PublicKey::from_presented(proof.jwk(), registered, &self.policy.keys)?;
        let expected = DpopExpectations {
            method: presented.method,
            uri: presented.uri,
            access_token: None,
            nonce,
            window: self.policy.proof_window,
        };
        let verified = if is_credential {
            self.proof_keys.verify_by(&key, proof, &expected, now)?
        } else {
            // Strangers, and keys of one session, are not worth a place.
            proof.verify(&key, &expected, now)?
        };
        Ok((verified, key))
    }

    /// The algorithms that a registered key is for, when that is fewer than keys of its kind are, and
    /// the key is in memory: it is, while tokens of that credential are used.
    pub fn registered_algorithms(&self, key: &Thumbprint) -> Option<&'static [Algorithm]> {
        let known = self.credentials.known_key(key)?;
        known.is_narrowed().then(|| known.algorithms())
    }

    /// The credential whose key signed a proof, if the key is one. A session key is none.
    ///
    /// # Errors
    /// When it is of a kind that signs no proofs, or the store cannot tell.
    pub(crate) async fn prover(
        &self,
        key: &Thumbprint,
    ) -> Result<Option<Arc<KnownCredential>>, ProofError> {
        let unavailable = |error: StoreError| ProofError::Unavailable(error.to_string().into());
        let current = self.up_to_date().await.map_err(unavailable)?;
        let known = self.credentials.get(key, current).await.map_err(unavailable)?;
        if let Some(known) = &known {
            known.credential.kind.check(Act::ProveRequests)?;
        }
        Ok(known)
    }

    /// Records a verified proof as used, counted against the share of `owner`, and opens it. A proof
    /// without a nonce must be for something that works once anyhow: the log may have forgotten it.
    pub(crate) async fn spend_proof(
        &self,
        proof: Unspent<DpopProof>,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<DpopProof, ProofError> {
        let log = &self.ports.state.replay_log;
        let by_time = || FoundNew::ByTime(log.epoch().id);
        let found = proof.peek().nonce_of.map_or_else(by_time, FoundNew::ByNonce);
        let receipt = log.check_and_insert(proof.entry(), found, owner, now).await;
        let receipt = receipt.map_err(|error| match (error, found) {
            // The clock was set right. With a nonce it is sure that nothing was forgotten.
            (ReplayError::Ended, FoundNew::ByTime(_)) => DpopError::Nonce.into(),
            (error, _) => ProofError::from(error),
        })?;
        proof.redeem(&receipt).ok_or(ProofError::Replayed)
    }
}

/// Why a proof at the authority itself is refused.
#[derive(Debug, Error)]
pub enum ProofError {
    /// It does not verify.
    #[error(transparent)]
    Invalid(#[from] DpopError),
    /// It is by a credential of a kind that signs none.
    #[error(transparent)]
    Kind(#[from] NotForThisKind),
    /// It was used before.
    #[error("the proof was used before")]
    Replayed,
    /// The sender's share of the replay log is used up.
    #[error(transparent)]
    ShareUsedUp(ReplayShareUsedUp),
    /// The replay log cannot tell.
    #[error("the replay log cannot record: {0}")]
    Unavailable(Cow<'static, str>),
}

impl From<ReplayError> for ProofError {
    fn from(error: ReplayError) -> Self {
        match error {
            // The nonce was of another epoch of the log.
            ReplayError::Forgot => Self::Invalid(DpopError::Nonce),
            ReplayError::ShareUsedUp(error) => Self::ShareUsedUp(error),
            ReplayError::Used => Self::Replayed,
            ReplayError::Ended => Self::Unavailable(ReplayError::Ended.to_string().into()),
            ReplayError::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}
