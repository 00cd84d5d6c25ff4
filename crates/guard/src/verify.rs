//! The one path from a request to a principal.

mod bearer;
mod self_signed;
mod signed_message;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use countersign_protocol::{
    AccountId, ClientNetwork, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey, Scopes,
    UnixTime, Unspent,
    challenges::sealed::Nonces,
    digest::sha256,
    keys::{Algorithm, KeyError, PublicKey, Thumbprint},
    proofs::{
        dpop::{
            DpopError, DpopExpectations, DpopProof, NonceRule, PresentedProof, ProofHeader,
            TokenBinding,
        },
        target_uri::TargetUri,
    },
    replay::ReplayOwner,
    tokens::{
        issue::AccessTokenClaims,
        verify::{AccessToken, AccessTokenExpectations, check_time},
    },
    wire,
};
use http::{HeaderMap, HeaderValue, request::Parts};
use quick_cache::sync::Cache;

use crate::{
    memory_start::MemoryStart,
    metadata::resource_metadata,
    policy::GuardPolicy,
    ports::{
        self, Clock, IssuerKeys, PortUnavailable, ReplayError, ReplayLog, Standing, TokenStanding,
    },
    presented::{self, Presented},
    proofs::Proofs,
    refusal::{Refusal, Refused, Signer},
};

/// Decides about requests. Cheap to clone: clones share caches.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    policy: GuardPolicy,
    proofs: Proofs,
    ports: GuardPorts,
    nonces: Box<dyn Nonces>,
    memory_start: MemoryStart,
    /// The nonce that answers carry in this second, with that and the generation of nonces: one may
    /// serve any number of proofs.
    nonce: Mutex<Option<((u64, u64), HeaderValue)>>,
    /// Tokens that verified, by the SHA-256 of their text; their time and standing are checked anew.
    /// Each with the generation of keys that it was verified with.
    tokens: Cache<[u8; 32], (u64, Arc<AccessTokenClaims>)>,
    /// Counts how often the issuer's keys have changed.
    generation: AtomicU64,
    /// The keys of proofs, and the header that each was last seen in.
    keys: Cache<Thumbprint, ProofKey>,
}

/// The key of proofs that were accepted.
#[derive(Clone)]
struct ProofKey {
    header: Arc<ProofHeader>,
    key: PublicKey,
}

/// A request to be decided about.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method, URI and headers.
    pub parts: &'a Parts,
    /// The whole body, where [`Guard::needs_body`] asked for it.
    pub body: Option<&'a [u8]>,
    /// The scopes that the principal must have, separated by single spaces.
    pub scope: Option<&'a str>,
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who made it.
    pub principal: Principal,
    /// The nonce for the session's next request, which the answer must carry.
    pub session_nonce: Option<String>,
}

/// The address that a request comes from, found out by whoever stands in front of the guard, who
/// puts it into the request's extensions.
///
/// The guard counts what a request uses up against the client's network too where it is there, and
/// against the account alone where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

type Verdict = Result<Verified, Refused>;

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
    /// A guard with `policy`, whose nonces are made by `nonces`. Only DPoP counts.
    pub fn new(policy: GuardPolicy, ports: GuardPorts, nonces: impl Nonces + 'static) -> Self {
        Self::accepting(Proofs::default(), policy, ports, nonces)
    }

    /// The same, with other kinds of proof that count.
    pub fn accepting(
        proofs: Proofs,
        policy: GuardPolicy,
        ports: GuardPorts,
        nonces: impl Nonces + 'static,
    ) -> Self {
        let tokens = Cache::new(policy.cache_capacity);
        let keys = Cache::new(policy.cache_capacity);
        let generation = AtomicU64::new(0);
        let (nonces, nonce) = (Box::new(nonces), Mutex::default());
        let memory_start = MemoryStart::new(&*ports.clock);
        Self(Arc::new(Inner {
            policy,
            proofs,
            ports,
            nonces,
            memory_start,
            nonce,
            tokens,
            generation,
            keys,
        }))
    }

    /// Decides about the request that `parts` describe, for a caller that answers it itself.
    ///
    /// # Errors
    /// With the first rule that does not hold.
    pub async fn verify(&self, parts: &Parts) -> Result<Principal, Refused> {
        let request = Request { parts, body: None, scope: None };
        self.verify_request(request).await.map(|verified| verified.principal)
    }

    /// Whether [`Self::verify_request`] needs the body, because the proof covers it.
    pub fn needs_body(&self, parts: &Parts) -> bool {
        let Some(proofs) = &self.0.proofs.self_signed else { return false };
        let presented = presented::may_be_bearer(&parts.headers)
            .then(|| Presented::from_headers(&parts.headers));
        matches!(presented, Some(Presented::Bearer(text)) if proofs.need_body(text))
    }

    /// The kinds of proof that count, the strongest first.
    pub fn proofs(&self) -> impl Iterator<Item = ProofKind> {
        self.0.proofs.kinds()
    }

    /// The largest body that is worth reading for [`Self::verify_request`], in bytes.
    pub fn max_hashed_body(&self) -> usize {
        let proofs = self.0.proofs.self_signed.as_ref();
        proofs.map_or(0, |proofs| proofs.policy.max_hashed_body)
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// With the first rule that does not hold.
    pub async fn verify_request(&self, request: Request<'_>) -> Result<Verified, Refused> {
        let now = self.0.ports.clock.now();
        let proofs = &self.0.proofs;
        let refused = |refusal| Err(Refused::early(refusal, ProofKind::Dpop));
        match Presented::from_headers(&request.parts.headers) {
            Presented::Malformed => refused(Refusal::Malformed),
            Presented::Dpop(text) if proofs.dpop => self.verify_dpop(text, request, now).await,
            // These are in boxes of their own, or every request would carry the room that the
            // greatest of them needs.
            Presented::Bearer(text) if self.is_unbound(text) => {
                Box::pin(self.verify_bearer(text, request, now)).await
            }
            Presented::Bearer(text) => match &proofs.self_signed {
                Some(own) => Box::pin(self.verify_self_signed(text, own, request, now)).await,
                None => refused(Refusal::Downgrade),
            },
            Presented::SignJwt(text) => match &proofs.signed_messages {
                Some(own) => Box::pin(self.verify_signed_message(text, own, request, now)).await,
                None => refused(Refusal::Missing),
            },
            Presented::Dpop(_) | Presented::Nothing => refused(Refusal::Missing),
        }
    }

    /// Decides whether `principal`, whose request was accepted, has the scopes of `needed` too, which are
    /// separated by single spaces: for who knows only later what the request asks for.
    ///
    /// # Errors
    /// When it lacks one of them.
    pub fn permit(&self, principal: &Principal, needed: &str) -> Result<(), Refused> {
        check_scope(Some(needed), &principal.scopes)
            .map_err(|refusal| Refused::of_principal(refusal, principal))
    }

    /// The values of `WWW-Authenticate` for a refused request: every scheme that counts here, or the
    /// one that was used with what was wrong with it.
    pub fn challenges(&self, refused: &Refused) -> Vec<HeaderValue> {
        let kinds: Vec<ProofKind> = self.0.proofs.kinds().collect();
        let metadata = self.0.policy.metadata_url.as_deref();
        refused.refusal.challenges(&kinds, refused.proof, metadata)
    }

    /// What the resource says about itself (RFC 9728), with the scopes that it knows.
    pub fn metadata(&self, scopes: &[&str]) -> serde_json::Value {
        resource_metadata(&self.0.policy, &self.0.proofs, scopes)
    }

    /// A fresh nonce for the client's next proof (RFC 9449 §9).
    pub fn fresh_nonce(&self) -> String {
        self.0.nonces.issue(self.0.ports.clock.now())
    }

    /// A nonce that was fresh when this second began.
    pub(crate) fn nonce_of_this_second(&self) -> Option<HeaderValue> {
        let second = self.0.ports.clock.now().as_secs();
        let mut made = self.0.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (second, self.0.nonces.generation());
        if let Some((made_for, nonce)) = &*made
            && *made_for == of
        {
            return Some(nonce.clone());
        }
        let nonce = HeaderValue::try_from(self.0.nonces.issue(UnixTime::from_secs(second))).ok()?;
        *made = Some((of, nonce.clone()));
        Some(nonce)
    }

    /// Forgets which tokens verified: the issuer's keys have changed.
    pub fn forget_verified_tokens(&self) {
        // A token that is being verified this moment carries the number from before.
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.0.tokens.clear();
    }

    /// Grows with every change of the issuer's keys after which nothing counts that verified before.
    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst) + self.0.ports.issuer_keys.generation()
    }

    /// Decides about a request with the access token `text`.
    async fn verify_dpop(&self, text: &str, request: Request<'_>, now: UnixTime) -> Verdict {
        let ath = sha256(&[text.as_bytes()]);
        let token = self.verified_token(text, ath, now).await;
        let token = token.map_err(|refusal| Refused::early(refusal, ProofKind::Dpop))?;
        match self.verified_request(request, ath, (text, &token), now).await {
            Ok(proof) => Ok(Verified { principal: principal(&token, proof), session_nonce: None }),
            Err(refusal) => {
                let signer = Signer { account_id: token.account_id, key: token.bound_to };
                let refused = Refused::of_signer(refusal, ProofKind::Dpop, signer);
                Err(Refused { token: Some(token), ..refused })
            }
        }
    }

    async fn verified_token(
        &self,
        text: &str,
        ath: [u8; 32],
        now: UnixTime,
    ) -> Result<Arc<AccessTokenClaims>, Refusal> {
        let generation = self.generation();
        let known = self.0.tokens.get(&ath).filter(|(verified, _)| *verified == generation);
        match known {
            Some((_, claims)) => {
                check_time(&claims, None, self.0.policy.skew, now)?;
                Ok(claims)
            }
            None => Box::pin(self.verify_token(text, (ath, generation), now)).await,
        }
    }

    /// Verifies a token that was not seen before, which is known then.
    async fn verify_token(
        &self,
        text: &str,
        (ath, generation): ([u8; 32], u64),
        now: UnixTime,
    ) -> Result<Arc<AccessTokenClaims>, Refusal> {
        let Inner { policy, tokens, .. } = &*self.0;
        let token = AccessToken::parse(text)?;
        let key = self.issuer_key(token.kid(), now).await?;
        let expected = AccessTokenExpectations {
            issuer: &policy.issuer,
            audience: &policy.audience,
            skew: policy.skew,
        };
        let claims = Arc::new(token.verify(&key, &expected, now)?);
        tokens.insert(ath, (generation, Arc::clone(&claims)));
        Ok(claims)
    }

    /// The issuer's key that a token names.
    async fn issuer_key(
        &self,
        kid: Option<Thumbprint>,
        now: UnixTime,
    ) -> Result<PublicKey, Refusal> {
        let kid = kid.ok_or(Refusal::UnknownSigningKey)?;
        let key = self.0.ports.issuer_keys.issuer_key(&kid, now).await.map_err(unavailable)?;
        key.ok_or(Refusal::UnknownSigningKey)
    }

    async fn verified_request(
        &self,
        Request { parts, scope, .. }: Request<'_>,
        ath: [u8; 32],
        (text, token): (&str, &AccessTokenClaims),
        now: UnixTime,
    ) -> Result<DpopProof, Refusal> {
        let ports = &self.0.ports;
        let verified = ports::Verified { text, claims: token };
        if ports.standing.standing(verified, now).await.map_err(unavailable)? != TokenStanding::Good
        {
            return Err(Refusal::Revoked);
        }
        let uri = self.0.policy.origin.join_received(parts.uri.path());
        let uri = uri.map_err(|_| DpopError::RequestUri)?;
        let binding = TokenBinding { ath, jkt: token.bound_to };
        let method = parts.method.as_str();
        let proof = self.verified_proof(&parts.headers, method, &uri, binding, now)?;
        check_scope(scope, &token.scopes)?;
        // Last of all: a proof that is refused for another reason is not used up.
        let owner = owner(token.account_id, parts);
        let receipt = ports.replay_log.check_and_insert(proof.entry(), owner, now).await;
        let receipt = receipt.map_err(|error| match error {
            ReplayError::ShareUsedUp(error) => error.into(),
            ReplayError::Used => Refusal::Replayed,
            // The nonce was good for a log that is gone.
            ReplayError::BegunAnew => DpopError::Nonce.into(),
            ReplayError::Unavailable(_) => Refusal::Unavailable(error.to_string()),
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
        let known = self.0.keys.get(&binding.jkt);
        let fields = headers.get_all(wire::header::DPOP).iter().map(http::HeaderValue::as_bytes);
        let proof = PresentedProof::from_fields(fields, |_| {
            known.as_ref().map(|key| Arc::clone(&key.header))
        })?;
        if proof.jwk().thumbprint() != binding.jkt {
            return Err(DpopError::OtherKey);
        }
        self.check_algorithm(&proof, &binding.jkt)?;
        let expected = DpopExpectations {
            method,
            uri,
            access_token: Some(binding),
            nonce: NonceRule::Required(&*self.0.nonces),
            window: self.0.policy.proof_window,
        };
        match known {
            Some(known) if Arc::ptr_eq(&known.header, proof.header()) => {
                proof.verify(&known.key, &expected, now)
            }
            known => self.verify_first(proof, known, &expected, now),
        }
    }

    /// A key that was registered for one algorithm signs proofs with no other (RFC 8725 §3.1). Only
    /// those of RSA fit several.
    fn check_algorithm(
        &self,
        proof: &PresentedProof<'_>,
        key: &Thumbprint,
    ) -> Result<(), DpopError> {
        let algorithm = proof.algorithm();
        if !matches!(algorithm, Algorithm::Ps256 | Algorithm::Rs256) {
            return Ok(());
        }
        match self.0.ports.standing.algorithms(key) {
            Some(registered) if !registered.contains(&algorithm) => {
                Err(KeyError::AlgorithmMismatch.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Verifies a proof with a header that was not seen before, which is known then.
    fn verify_first(
        &self,
        proof: PresentedProof<'_>,
        known: Option<ProofKey>,
        expected: &DpopExpectations<'_>,
        now: UnixTime,
    ) -> Result<Unspent<DpopProof>, DpopError> {
        let header = Arc::clone(proof.header());
        let policy = &self.0.policy.keys;
        let key = PublicKey::from_jwk_cached(header.jwk(), policy, |_| known.map(|own| own.key))?;
        let verified = proof.verify(&key, expected, now)?;
        if header.is_worth_keeping() {
            self.0.keys.insert(header.thumbprint(), ProofKey { header, key });
        }
        Ok(verified)
    }
}

fn check_scope(needed: Option<&str>, scopes: &Scopes) -> Result<(), Refusal> {
    let lacks_one = |needed: &&str| !needed.split(' ').all(|scope| scopes.contains(scope));
    let missing = needed.filter(lacks_one);
    missing.map_or(Ok(()), |scope| Err(Refusal::InsufficientScope(scope.to_owned())))
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
        issued_at: Some(token.issued_at),
        expires_at: token.expires_at,
    }
}

/// Whose share of the replay log a request of `account` counts against.
fn owner(account: AccountId, parts: &Parts) -> ReplayOwner {
    ReplayOwner::account(account, client_network(parts))
}

/// The network that a request comes from, where that is known.
fn client_network(parts: &Parts) -> Option<ClientNetwork> {
    client_address(parts).map(ClientNetwork::from)
}

/// The address that a request comes from, where that is known.
fn client_address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|client| client.0)
}

fn unavailable(PortUnavailable(cause): PortUnavailable) -> Refusal {
    Refusal::Unavailable(cause)
}
