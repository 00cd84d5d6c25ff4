//! The one path from a request to a principal.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use countersign_protocol::{
    Principal, ProofKind, UnixTime, Unspent,
    challenges::sealed::NonceSealer,
    digest::sha256,
    keys::{PublicKey, Thumbprint},
    proofs::{
        dpop::{DpopError, DpopExpectations, DpopProof, NonceRule, PresentedProof, TokenBinding},
        target_uri::TargetUri,
    },
    tokens::{
        issue::AccessTokenClaims,
        verify::{AccessToken, AccessTokenExpectations, check_time},
    },
};
use http::{HeaderMap, request::Parts};
use quick_cache::sync::Cache;

use crate::{
    policy::GuardPolicy,
    ports::{Clock, IssuerKeys, PortUnavailable, ReplayError, ReplayLog, Standing, TokenStanding},
    presented::Presented,
    refusal::{Refusal, Refused},
};

/// The header that carries a proof, and the one that carries a nonce (RFC 9449 §4.1, §8.1).
const DPOP: &str = "dpop";

/// Decides about requests. Cheap to clone: clones share caches.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    policy: GuardPolicy,
    ports: GuardPorts,
    nonces: NonceSealer,
    /// Tokens that verified, by the SHA-256 of their text; their time and standing are checked anew.
    /// Each with the generation of keys that it was verified with.
    tokens: Cache<[u8; 32], (u64, Arc<AccessTokenClaims>)>,
    /// Counts how often the issuer's keys have changed.
    generation: AtomicU64,
    /// Keys of proofs, parsed.
    keys: Cache<Thumbprint, PublicKey>,
}

/// What a guard needs from outside, wired together.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type documents")]
pub struct GuardPorts {
    pub clock: Arc<dyn Clock>,
    pub issuer_keys: Arc<dyn IssuerKeys>,
    pub replay_log: Arc<dyn ReplayLog>,
    pub standing: Arc<dyn Standing>,
}

impl Guard {
    /// A guard with `policy`, whose nonces are made by `nonces`.
    pub fn new(policy: GuardPolicy, ports: GuardPorts, nonces: NonceSealer) -> Self {
        let tokens = Cache::new(policy.cache_capacity);
        let keys = Cache::new(policy.cache_capacity);
        let generation = AtomicU64::new(0);
        Self(Arc::new(Inner { policy, ports, nonces, tokens, generation, keys }))
    }

    /// Decides about the request that `parts` describe.
    ///
    /// # Errors
    /// With the first rule that does not hold.
    pub async fn verify(&self, parts: &Parts) -> Result<Principal, Refused> {
        self.verify_with_scope(parts, None).await
    }

    /// The same; where a `scope` is given, the token must carry it.
    pub(crate) async fn verify_with_scope(
        &self,
        parts: &Parts,
        scope: Option<&str>,
    ) -> Result<Principal, Refused> {
        let now = self.0.ports.clock.now();
        let early = |refusal| Refused { refusal, token: None };
        let text = match Presented::from_headers(&parts.headers) {
            Presented::Nothing => return Err(early(Refusal::Missing)),
            Presented::Malformed => return Err(early(Refusal::Malformed)),
            Presented::Bearer => return Err(early(Refusal::Downgrade)),
            Presented::Dpop(token) => token,
        };
        let ath = sha256(&[text.as_bytes()]);
        let token = self.verified_token(text, ath, now).await.map_err(early)?;
        match self.verified_request(parts, ath, &token, scope, now).await {
            Ok(proof) => Ok(principal(&token, proof)),
            Err(refusal) => Err(Refused { refusal, token: Some(token) }),
        }
    }

    /// A fresh nonce for the client's next proof (RFC 9449 §9).
    pub fn fresh_nonce(&self) -> String {
        self.0.nonces.issue(self.0.ports.clock.now())
    }

    /// Forgets which tokens verified: the issuer's keys have changed.
    pub fn forget_verified_tokens(&self) {
        // A token that is being verified this moment carries the number from before.
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.0.tokens.clear();
    }

    async fn verified_token(
        &self,
        text: &str,
        ath: [u8; 32],
        now: UnixTime,
    ) -> Result<Arc<AccessTokenClaims>, Refusal> {
        let Inner { policy, ports, tokens, .. } = &*self.0;
        let generation = self.0.generation.load(Ordering::SeqCst);
        if let Some((_, claims)) = tokens.get(&ath).filter(|(verified, _)| *verified == generation)
        {
            check_time(&claims, None, policy.skew, now)?;
            return Ok(claims);
        }
        let token = AccessToken::parse(text)?;
        let kid = token.kid().ok_or(Refusal::UnknownSigningKey)?;
        let key = ports.issuer_keys.issuer_key(&kid, now).await.map_err(unavailable)?;
        let key = key.ok_or(Refusal::UnknownSigningKey)?;
        let expected = AccessTokenExpectations {
            issuer: &policy.issuer,
            audience: &policy.audience,
            skew: policy.skew,
        };
        let claims = Arc::new(token.verify(&key, &expected, now)?);
        tokens.insert(ath, (generation, Arc::clone(&claims)));
        Ok(claims)
    }

    async fn verified_request(
        &self,
        parts: &Parts,
        ath: [u8; 32],
        token: &AccessTokenClaims,
        scope: Option<&str>,
        now: UnixTime,
    ) -> Result<DpopProof, Refusal> {
        let ports = &self.0.ports;
        if ports.standing.standing(token, now).await.map_err(unavailable)? != TokenStanding::Good {
            return Err(Refusal::Revoked);
        }
        let uri = self.0.policy.origin.join(parts.uri.path()).map_err(|_| DpopError::Uri)?;
        let binding = TokenBinding { ath, jkt: token.bound_to };
        let method = parts.method.as_str();
        let proof = self.verified_proof(&parts.headers, method, &uri, binding, now)?;
        if let Some(scope) = scope.filter(|scope| !token.scopes.contains(scope)) {
            return Err(Refusal::InsufficientScope(scope.to_owned()));
        }
        // Last of all: a proof that is refused for another reason is not used up.
        let receipt = ports.replay_log.check_and_insert(proof.entry(), now).await;
        let receipt = receipt.map_err(|error| match error {
            ReplayError::Used => Refusal::Replayed,
            ReplayError::Unavailable => Refusal::Unavailable(error.to_string()),
        })?;
        proof.redeem(&receipt).ok_or(Refusal::Replayed)
    }

    fn verified_proof(
        &self,
        headers: &HeaderMap,
        method: &str,
        uri: &TargetUri,
        binding: TokenBinding,
        now: UnixTime,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        let fields = headers.get_all(DPOP).iter().map(http::HeaderValue::as_bytes);
        let proof = PresentedProof::from_fields(fields)?;
        if proof.thumbprint() != binding.jkt {
            return Err(DpopError::OtherKey);
        }
        let key = self.proof_key(&proof)?;
        let expected = DpopExpectations {
            method,
            uri,
            access_token: Some(binding),
            nonce: NonceRule::Required(&self.0.nonces),
            window: self.0.policy.proof_window,
        };
        proof.verify(&key, &expected, now)
    }

    /// The key of a proof, parsed now or before.
    fn proof_key(&self, proof: &PresentedProof<'_>) -> Result<PublicKey, DpopError> {
        let Inner { policy, keys, .. } = &*self.0;
        let jwk = proof.jwk().ok_or(DpopError::NoKey)?;
        let mut is_new = true;
        let key = PublicKey::from_jwk_cached(jwk, &policy.keys, |thumbprint| {
            let known = keys.get(thumbprint);
            is_new = known.is_none();
            known
        })?;
        if is_new {
            keys.insert(key.thumbprint(), key.clone());
        }
        Ok(key)
    }
}

fn principal(token: &AccessTokenClaims, proof: DpopProof) -> Principal {
    Principal {
        account_id: token.account_id,
        credential: token.credential,
        key: proof.thumbprint,
        proof: ProofKind::Dpop,
        token_id: Some(token.token_id.clone()),
        scopes: token.scopes.clone(),
        expires_at: token.expires_at,
    }
}

fn unavailable(PortUnavailable(cause): PortUnavailable) -> Refusal {
    Refusal::Unavailable(cause)
}
