//! A DPoP-bound access token, and a proof by the key that it is bound to (RFC 9449).

use std::{
    hash::RandomState,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_protocol::{
    Coverage, CoveredTarget, Principal, ProofKind, ProvenKey, UnixTime, Unspent,
    challenges::sealed::Nonces,
    digest::sha256,
    keys::{Algorithm, KeyError, Thumbprint},
    proofs::{
        dpop::{DpopError, DpopExpectations, DpopProof, NonceRule, PresentedProof, TokenBinding},
        known_keys::KnownProofKeys,
        target_uri::TargetUri,
    },
    replay::{EpochId, FoundNew},
    tokens::{
        issue::AccessTokenClaims,
        verify::{AccessToken, AccessTokenExpectations, check_time},
    },
    wire::{header, scheme::DPOP},
};
use http::HeaderValue;
use quick_cache::sync::Cache;

use crate::{
    case::Case,
    policy::GuardPolicy,
    ports::{ReplayError, TokenStanding, VerifiedToken},
    refusal::{Refusal, Refused, Signer},
    request::{Accepted, Verdict},
};

/// The challenge, without an error (RFC 9449 §7.1).
pub(crate) fn challenge() -> String {
    format!("{DPOP} algs=\"{}\"", Algorithm::NAMES.join(" "))
}

/// Verifies tokens and proofs, and knows again what it has verified.
pub(crate) struct Dpop {
    nonces: Box<dyn Nonces>,
    /// The nonce that answers carry in this second, together with the second and the epoch of the nonce.
    /// One nonce may serve any number of proofs.
    nonce: Mutex<Option<((u64, EpochId), HeaderValue)>>,
    /// Verified tokens by the SHA-256 of their text, each with the generation of keys that verified
    /// it. Their time and standing are still checked at every use.
    tokens: Cache<[u8; 32], (u64, Arc<AccessTokenClaims>)>,
    proof_keys: KnownProofKeys,
}

/// A token that is presented, and the SHA-256 of its text.
#[derive(Clone, Copy)]
struct Hashed<'a> {
    text: &'a str,
    ath: [u8; 32],
}

impl Dpop {
    /// With the nonces `nonces`, under `policy`, which says how many tokens and keys are known again.
    pub(crate) fn new(nonces: impl Nonces + 'static, policy: &GuardPolicy) -> Self {
        let capacity = policy.cache_capacity;
        Self {
            nonces: Box::new(nonces),
            nonce: Mutex::default(),
            tokens: Cache::new(capacity),
            proof_keys: KnownProofKeys::new(capacity, policy.keys.clone(), RandomState::new()),
        }
    }

    /// A fresh nonce for the client's next proof (RFC 9449 §9).
    pub(crate) fn fresh_nonce(&self, now: UnixTime) -> String {
        self.nonces.issue(now)
    }

    /// A nonce that was fresh when the second of `now` began.
    pub(crate) fn nonce_of_second(&self, now: UnixTime) -> Option<HeaderValue> {
        let second = now.as_secs();
        let mut made = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (second, self.nonces.epoch());
        if let Some((made_for, nonce)) = &*made
            && *made_for == of
        {
            return Some(nonce.clone());
        }
        let nonce = HeaderValue::try_from(self.nonces.issue(UnixTime::from_secs(second))).ok()?;
        *made = Some((of, nonce.clone()));
        Some(nonce)
    }

    /// Decides about a request with the access token `text`.
    pub(crate) async fn verify(&self, text: &str, case: &Case<'_>) -> Verdict {
        let token = Hashed { text, ath: sha256(&[text.as_bytes()]) };
        let claims = self.verified_token(token, case).await;
        let claims = claims.map_err(|refusal| Refused::early(refusal, ProofKind::Dpop))?;
        match self.verify_proof(token, &claims, case).await {
            Ok(proof) => Ok(Accepted { principal: principal(&claims, proof), session_nonce: None }),
            Err(refusal) => {
                let signer = Signer { account_id: claims.account_id, key: claims.bound_to };
                let refused = Refused::of_signer(refusal, ProofKind::Dpop, signer);
                Err(Refused { token: Some(claims), ..refused })
            }
        }
    }

    /// `refused` with the owner of the access token `text`, if that is genuine: a thief who sends it without its
    /// scheme is told of as one who sends it without a proof.
    pub(crate) async fn with_owner(
        &self,
        refused: Refused,
        text: &str,
        case: &Case<'_>,
    ) -> Refused {
        let token = Hashed { text, ath: sha256(&[text.as_bytes()]) };
        let Ok(claims) = self.verified_token(token, case).await else { return refused };
        let signer = Some(Signer { account_id: claims.account_id, key: claims.bound_to });
        Refused { token: Some(claims), signer, ..refused }
    }

    async fn verified_token(
        &self,
        token: Hashed<'_>,
        case: &Case<'_>,
    ) -> Result<Arc<AccessTokenClaims>, Refusal> {
        // Read before the key is, so that a key which is withdrawn meanwhile is noticed.
        let generation = case.ports().issuer_keys.generation();
        let known = self.tokens.get(&token.ath).filter(|(verified, _)| *verified == generation);
        match known {
            Some((_, claims)) => {
                check_time(&claims, None, case.policy().skew, case.now)?;
                Ok(claims)
            }
            None => Box::pin(self.verify_token(token, generation, case)).await,
        }
    }

    /// Verifies a token that was not seen before, and remembers it.
    async fn verify_token(
        &self,
        Hashed { text, ath }: Hashed<'_>,
        generation: u64,
        case: &Case<'_>,
    ) -> Result<Arc<AccessTokenClaims>, Refusal> {
        let policy = case.policy();
        let token = AccessToken::parse(text)?;
        let key = case.issuer_key(token.kid()).await?;
        let expected = AccessTokenExpectations {
            issuer: &policy.issuer,
            audience: &policy.audience,
            skew: policy.skew,
        };
        let claims = Arc::new(token.verify(&key, &expected, case.now)?);
        self.tokens.insert(ath, (generation, Arc::clone(&claims)));
        Ok(claims)
    }

    /// Verifies standing and proof of a token that says `claims`.
    async fn verify_proof(
        &self,
        Hashed { text, ath }: Hashed<'_>,
        claims: &AccessTokenClaims,
        case: &Case<'_>,
    ) -> Result<DpopProof, Refusal> {
        let Case { request, now, .. } = case;
        let ports = case.ports();
        let token = VerifiedToken { text, claims };
        if ports.standing.standing(token, *now).await? != TokenStanding::Good {
            return Err(Refusal::Revoked);
        }
        let uri = case.policy().origin.join_received(request.path);
        let uri = uri.map_err(|_| DpopError::RequestUri)?;
        let proof = self.presented_proof(&uri, TokenBinding { ath, jkt: claims.bound_to }, case)?;
        case.check_requirements(&claims.scopes, claims.authentication)?;
        // Recorded last, so that a proof that is refused for another reason is not used up.
        let owner = request.replay_owner(claims.account_id);
        let found = FoundNew::ByNonce(proof.peek().nonce_of.ok_or(DpopError::Nonce)?);
        let receipt = ports.replay_log.check_and_insert(proof.entry(), found, owner, *now).await;
        let receipt = receipt.map_err(|error| match error {
            ReplayError::ShareUsedUp(error) => error.into(),
            ReplayError::Used => Refusal::Replayed,
            // The nonce was of another epoch of the log.
            ReplayError::Forgot => DpopError::Nonce.into(),
            ReplayError::Ended | ReplayError::Unavailable(_) => {
                Refusal::Unavailable(error.to_string())
            }
        })?;
        proof.redeem(&receipt).ok_or(Refusal::Replayed)
    }

    fn presented_proof(
        &self,
        uri: &TargetUri,
        binding: TokenBinding,
        case: &Case<'_>,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        let fields = case.request.headers.get_all(header::DPOP).iter().map(HeaderValue::as_bytes);
        let proof = self.proof_keys.parse(fields)?;
        if proof.jwk().thumbprint() != binding.jkt {
            return Err(DpopError::OtherKey);
        }
        check_algorithm(&proof, &binding.jkt, case)?;
        let expected = DpopExpectations {
            method: case.request.method.as_str(),
            uri,
            access_token: Some(binding),
            nonce: NonceRule::Required(&*self.nonces),
            window: case.policy().proof_window,
        };
        self.proof_keys.verify(proof, &expected, case.now)
    }
}

/// A key that was registered for one algorithm must sign proofs with that algorithm (RFC 8725
/// §3.1). Only RSA keys fit several.
fn check_algorithm(
    proof: &PresentedProof<'_>,
    key: &Thumbprint,
    case: &Case<'_>,
) -> Result<(), DpopError> {
    let algorithm = proof.algorithm();
    if !matches!(algorithm, Algorithm::Ps256 | Algorithm::Rs256) {
        return Ok(());
    }
    match case.ports().standing.algorithms(key) {
        Some(registered) if !registered.contains(&algorithm) => {
            Err(KeyError::AlgorithmMismatch.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn principal(token: &AccessTokenClaims, proof: DpopProof) -> Principal {
    Principal {
        account_id: token.account_id,
        username: token.username.clone(),
        key: Some(ProvenKey { credential: token.credential, thumbprint: proof.thumbprint }),
        proof: ProofKind::Dpop,
        token_id: Some(token.token_id.clone()),
        scopes: token.scopes.clone(),
        narrowed: token.narrowed,
        covers: Coverage { target: CoveredTarget::Request, body: proof.body_hash },
        authentication: token.authentication,
        issued_at: Some(token.issued_at),
        expires_at: token.expires_at,
    }
}
