//! A guard, what it needs from outside, and a client that talks to it.

use std::{
    collections::{HashMap, HashSet},
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_guard::{
    Guard, GuardPolicy, GuardPorts, Proofs, Refusal, Refused,
    ports::{
        IssuerKeys, PortUnavailable, Recording, ReplayError, ReplayLog, Standing, TokenStanding,
        VerifiedToken,
    },
};
use countersign_protocol::{
    AuthenticationContext, Principal, ReplayEntry, SpentReceipt, UnixTime,
    challenges::sealed::{EpochNonces, NonceSealer},
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    keys::{PrivateKey, PublicKey, Thumbprint},
    proofs::target_uri::TargetUri,
    replay::{FoundNew, LogEpoch, ReplayOwner, ReplayShareUsedUp, ShareHolder},
    strict::base64url,
    tokens::{
        issue::{self, AccessTokenClaims},
        jws,
        unbound::UnboundClaims,
    },
};
use countersign_testkit::{
    clock::FixedClock,
    keys::ed25519,
    samples::{EPOCH, NOW, account_id, scopes},
};
use http::{Request, StatusCode, request::Parts};
use serde_json::{Map, Value, json};

pub(crate) const ISSUER: &str = "https://auth.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const PATH: &str = "/v1/things";
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_mins(5);
pub(crate) const NONCE_LIFETIME: Duration = Duration::from_mins(2);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// Status and error code of a challenge.
pub(crate) type Told = (StatusCode, Option<&'static str>);
pub(crate) const INVALID_REQUEST: Told = (StatusCode::BAD_REQUEST, Some("invalid_request"));
pub(crate) const INVALID_TOKEN: Told = (StatusCode::UNAUTHORIZED, Some("invalid_token"));
pub(crate) const INVALID_PROOF: Told = (StatusCode::UNAUTHORIZED, Some("invalid_dpop_proof"));
pub(crate) const USE_NONCE: Told = (StatusCode::UNAUTHORIZED, Some("use_dpop_nonce"));

/// A guard and what is around it.
pub(crate) struct World {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) issuer_keys: Arc<FakeIssuerKeys>,
    pub(crate) replay_log: Arc<FakeReplayLog>,
    pub(crate) standing: Arc<FakeStanding>,
    pub(crate) guard: Guard,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_policy(|_| ())
    }

    pub(crate) fn with_policy(alter: impl FnOnce(&mut GuardPolicy)) -> Self {
        Self::accepting(Proofs::default(), alter)
    }

    pub(crate) fn accepting(proofs: Proofs, alter: impl FnOnce(&mut GuardPolicy)) -> Self {
        let clock = Arc::new(FixedClock::at(NOW));
        let issuer_keys = Arc::new(FakeIssuerKeys::default());
        issuer_keys.publish(issuer_key().public_key());
        let (replay_log, standing) = (Arc::default(), Arc::default());
        let ports = GuardPorts {
            clock: Arc::clone(&clock) as _,
            issuer_keys: Arc::clone(&issuer_keys) as _,
            replay_log: Arc::<FakeReplayLog>::clone(&replay_log) as _,
            standing: Arc::<FakeStanding>::clone(&standing) as _,
        };
        let origin = TargetUri::parse(AUDIENCE).unwrap();
        let mut policy = GuardPolicy::new(ISSUER, AUDIENCE, origin);
        alter(&mut policy);
        let guard = Guard::accepting(proofs, policy, ports, nonces(7));
        Self { clock, issuer_keys, replay_log, standing, guard }
    }

    /// The verdict about a request.
    pub(crate) async fn verify(&self, parts: &Parts) -> Result<Principal, Refusal> {
        self.guard.verify(parts).await.map_err(|refused| refused.refusal)
    }

    /// Fails unless the request is refused for that reason, the client is told that, and the replay
    /// log knows nothing of it: a proof that is refused is not used up.
    pub(crate) async fn refuses(&self, parts: &Parts, refusal: Refusal, told: Told) -> Refused {
        let asked = self.replay_log.asked();
        let refused = self.guard.verify(parts).await.unwrap_err();
        assert_eq!(refused.refusal, refusal);
        assert_eq!(self.replay_log.asked(), asked, "nothing is recorded: {refusal}");
        let challenge = refused.refusal.challenge();
        assert_eq!((challenge.status, challenge.error), told, "{refusal}");
        let header = refused.refusal.www_authenticate().unwrap();
        let header = header.to_str().unwrap();
        assert!(
            header.starts_with("DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\""),
            "{header}"
        );
        let error = told.1.map(|error| format!(", error=\"{error}\", error_description=\""));
        assert!(error.is_none_or(|error| header.contains(&error)), "{header}");
        refused
    }

    /// Fails unless the request is accepted.
    pub(crate) async fn accepts(&self, parts: &Parts) -> Principal {
        match self.verify(parts).await {
            Ok(principal) => principal,
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }
}

/// A client with a token that is bound to its key.
pub(crate) struct Client {
    pub(crate) key: PrivateKey,
    pub(crate) token: String,
    proofs: AtomicUsize,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with_claims(client_key(), |_| ())
    }

    pub(crate) fn with_claims(key: PrivateKey, alter: impl FnOnce(&mut AccessTokenClaims)) -> Self {
        let mut claims = claims(key.public_key().thumbprint());
        alter(&mut claims);
        let token = issue(&claims, &issuer_key());
        Self::with_token(key, token)
    }

    pub(crate) const fn with_token(key: PrivateKey, token: String) -> Self {
        Self { key, token, proofs: AtomicUsize::new(0) }
    }

    /// A proof for a GET of [`PATH`], with a `jti` of its own, still to be signed.
    pub(crate) fn proof(&self, world: &World) -> Proof {
        let number = self.proofs.fetch_add(1, SeqCst);
        let jwk = self.key.public_key().to_jwk();
        let payload = json!({
            "jti": format!("proof {number}"),
            "htm": "GET",
            "htu": format!("{AUDIENCE}{PATH}"),
            "iat": countersign_guard::ports::Clock::now(&*world.clock).as_secs(),
            "ath": base64url::encode(&sha256(&[self.token.as_bytes()])),
            "nonce": world.guard.fresh_nonce(),
        });
        Proof { header: object(json!({ "typ": "dpop+jwt", "jwk": jwk })), payload: object(payload) }
    }

    /// A signed proof with one alteration.
    pub(crate) fn altered_proof(&self, world: &World, alter: impl FnOnce(&mut Proof)) -> String {
        let mut proof = self.proof(world);
        alter(&mut proof);
        proof.sign(&self.key)
    }

    /// A good request: a GET of [`PATH`].
    pub(crate) fn request(&self, world: &World) -> Parts {
        self.request_with(&self.altered_proof(world, |_| ()))
    }

    /// A good request but for one alteration of its proof.
    pub(crate) fn altered_request(&self, world: &World, alter: impl FnOnce(&mut Proof)) -> Parts {
        self.request_with(&self.altered_proof(world, alter))
    }

    /// A request with this proof.
    pub(crate) fn request_with(&self, proof: &str) -> Parts {
        request(PATH, &[("authorization", &format!("DPoP {}", self.token)), ("dpop", proof)])
    }
}

/// A DPoP proof before it is signed.
pub(crate) struct Proof {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Map<String, Value>,
}

impl Proof {
    pub(crate) fn set(&mut self, claim: &str, value: impl Into<Value>) {
        self.payload.insert(claim.to_owned(), value.into());
    }

    pub(crate) fn remove(&mut self, claim: &str) {
        self.payload.remove(claim).unwrap();
    }

    pub(crate) fn sign(&self, key: &PrivateKey) -> String {
        jws::sign(key, key.algorithm(), &self.header, &self.payload).unwrap()
    }
}

/// A GET request with these header fields.
pub(crate) fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// A token by `key` that says `claims`.
pub(crate) fn issue(claims: &AccessTokenClaims, key: &PrivateKey) -> String {
    issue::access_token(claims, key, key.algorithm()).unwrap()
}

/// The claims of a good token that is bound to that key.
pub(crate) fn claims(bound_to: Thumbprint) -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: ISSUER.to_owned(),
        account_id: account_id(1),
        audience: vec![AUDIENCE.to_owned()],
        credential: credential(),
        name: None,
        username: Some("alice".parse().unwrap()),
        bound_to,
        scopes: scopes("read write"),
        narrowed: false,
        token_id: "token 1".to_owned(),
        authentication: Some(AuthenticationContext::by_key(NOW)),
        issued_at: NOW,
        expires_at: NOW + TOKEN_LIFETIME,
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}

pub(crate) fn nonces(key: u8) -> EpochNonces {
    let sealer = NonceSealer::new(SealingKey::from_bytes(&[key; 32]), NONCE_LIFETIME);
    EpochNonces::new(sealer, EPOCH)
}

pub(crate) fn issuer_key() -> PrivateKey {
    ed25519(1)
}

pub(crate) fn client_key() -> PrivateKey {
    ed25519(2)
}

pub(crate) fn credential() -> Thumbprint {
    ed25519(3).public_key().thumbprint()
}

/// Publishes keys in memory; counts how often it is asked; can be away.
#[derive(Default)]
pub(crate) struct FakeIssuerKeys {
    keys: Mutex<HashMap<Thumbprint, PublicKey>>,
    asked: AtomicUsize,
    withdrawals: AtomicU64,
    pub(crate) away: AtomicBool,
}

impl FakeIssuerKeys {
    pub(crate) fn publish(&self, key: &PublicKey) {
        self.keys.lock().unwrap().insert(key.thumbprint(), key.clone());
    }

    pub(crate) fn withdraw_all(&self) {
        self.keys.lock().unwrap().clear();
        self.withdrawals.fetch_add(1, SeqCst);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

#[async_trait]
impl IssuerKeys for FakeIssuerKeys {
    async fn issuer_key(
        &self,
        kid: &Thumbprint,
        _now: UnixTime,
    ) -> Result<Option<PublicKey>, PortUnavailable> {
        self.asked.fetch_add(1, SeqCst);
        if self.away.load(SeqCst) {
            return Err(PortUnavailable::Away("the key server has caught fire".to_owned()));
        }
        Ok(self.keys.lock().unwrap().get(kid).cloned())
    }

    fn generation(&self) -> u64 {
        self.withdrawals.load(SeqCst)
    }
}

/// Knows which tokens were revoked; counts how often it is asked; can be away.
#[derive(Default)]
pub(crate) struct FakeStanding {
    revoked: Mutex<HashSet<String>>,
    asked: AtomicUsize,
    pub(crate) away: AtomicBool,
}

impl FakeStanding {
    pub(crate) fn revoke(&self, token_id: &str) {
        self.revoked.lock().unwrap().insert(token_id.to_owned());
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn of(&self, token_id: &str) -> Result<TokenStanding, PortUnavailable> {
        self.asked.fetch_add(1, SeqCst);
        if self.away.load(SeqCst) {
            return Err(PortUnavailable::Away("the database has caught fire".to_owned()));
        }
        let revoked = self.revoked.lock().unwrap().contains(token_id);
        Ok(if revoked { TokenStanding::Revoked } else { TokenStanding::Good })
    }
}

#[async_trait]
impl Standing for FakeStanding {
    async fn standing(
        &self,
        token: VerifiedToken<'_, AccessTokenClaims>,
        _now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        self.of(&token.claims.token_id)
    }

    async fn unbound_standing(
        &self,
        token: VerifiedToken<'_, UnboundClaims>,
        _now: UnixTime,
    ) -> Result<TokenStanding, PortUnavailable> {
        self.of(&token.claims.token_id)
    }
}

/// Remembers uses in memory; counts how often it is asked; can be away.
#[derive(Default)]
pub(crate) struct FakeReplayLog {
    used: Mutex<HashMap<[u8; 32], UnixTime>>,
    asked: AtomicUsize,
    pub(crate) away: AtomicBool,
    /// Forgets whenever something is to be recorded.
    pub(crate) forgets: AtomicBool,
    /// Hands out the receipt for another entry, as a broken log might.
    pub(crate) broken: AtomicBool,
    /// Whether everybody's share is used up.
    pub(crate) share_used_up: AtomicBool,
    /// Whom it charged, in order.
    pub(crate) owners: Mutex<Vec<ReplayOwner>>,
}

impl FakeReplayLog {
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn record(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        self.asked.fetch_add(1, SeqCst);
        assert_eq!(found.epoch(), EPOCH.id);
        if self.forgets.load(SeqCst) {
            return Err(ReplayError::Forgot);
        }
        if self.away.load(SeqCst) {
            return Err(ReplayError::Unavailable("it is away".into()));
        }
        if self.broken.load(SeqCst) {
            let other = ReplayEntry { digest: [0; 32], ..entry };
            return Ok(SpentReceipt::recorded(other));
        }
        self.owners.lock().unwrap().push(owner);
        if self.share_used_up.load(SeqCst) {
            let share = ReplayShareUsedUp { by: ShareHolder::Account, share: 50 };
            return Err(ReplayError::ShareUsedUp(share));
        }
        let mut used = self.used.lock().unwrap();
        used.retain(|_, forget_at| now < *forget_at);
        match used.insert(entry.digest, entry.forget_at) {
            None => Ok(SpentReceipt::recorded(entry)),
            Some(_) => Err(ReplayError::Used),
        }
    }
}

impl ReplayLog for FakeReplayLog {
    fn epoch(&self) -> LogEpoch {
        EPOCH
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        Box::pin(ready(self.record(entry, found, owner, now)))
    }
}
