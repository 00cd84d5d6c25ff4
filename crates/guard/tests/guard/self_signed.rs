//! JWTs that accounts sign themselves.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use countersign_guard::{
    AcrossRestarts, BodyError, Guard, GuardLayer, GuardPolicy, GuardPorts, LoginLack, Proofs,
    Refusal, Refused, Request, Requirements, Reuse, SelfSignedPolicy, SelfSignedProofs,
    ports::{AccountKey, AccountKeys, PortUnavailable, TokenStanding},
};
use countersign_protocol::{
    AccountId, AuthenticationClass, Principal, ProofKind, ProvenKey, UnixTime,
    digest::sha256,
    keys::{PrivateKey, Thumbprint},
    proofs::{body_hash::BodyHashes, self_signed::SelfSignedError, target_uri::TargetUri},
    tokens::jws,
};
use countersign_testkit::{
    clock::FixedClock,
    keys::ed25519,
    samples::{NOW, account_id, scopes},
};
use http::{StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::world::{
    AUDIENCE, Client, FakeIssuerKeys, FakeReplayLog, FakeStanding, ISSUER, PATH, issuer_key,
    nonces, object, request,
};

const SKEW: Duration = Duration::from_secs(5);

/// A guard that accepts self-signed JWTs of one account.
struct World {
    clock: Arc<FixedClock>,
    keys: Arc<FakeKeys>,
    replay_log: Arc<FakeReplayLog>,
    durable: Arc<FakeReplayLog>,
    guard: Guard,
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(alter: impl FnOnce(&mut SelfSignedProofs)) -> Self {
        let keys = Arc::new(FakeKeys::default());
        keys.put("alice", &ed25519(2), TokenStanding::Good);
        Self::over(keys, Arc::default(), NOW, alter)
    }

    /// A start of the server: the memory of the process is new, what is durable is not.
    fn over(
        keys: Arc<FakeKeys>,
        durable: Arc<FakeReplayLog>,
        now: UnixTime,
        alter: impl FnOnce(&mut SelfSignedProofs),
    ) -> Self {
        let clock = Arc::new(FixedClock::at(now));
        let (replay_log, issuer_keys) = (Arc::default(), FakeIssuerKeys::default());
        issuer_keys.publish(issuer_key().public_key());
        let ports = GuardPorts {
            clock: Arc::clone(&clock) as _,
            issuer_keys: Arc::new(issuer_keys),
            replay_log: Arc::<FakeReplayLog>::clone(&replay_log) as _,
            standing: Arc::new(FakeStanding::default()),
        };
        let mut self_signed = SelfSignedProofs {
            policy: SelfSignedPolicy::default(),
            keys: Arc::clone(&keys) as _,
            across_restarts: None,
        };
        alter(&mut self_signed);
        let proofs = Proofs { self_signed: Some(self_signed), ..Proofs::default() };
        let origin = TargetUri::parse(AUDIENCE).unwrap();
        let policy = GuardPolicy::new(ISSUER, AUDIENCE, origin);
        let guard = Guard::accepting(proofs, policy, ports, nonces(7));
        Self { clock, keys, replay_log, durable, guard }
    }

    async fn verify(&self, parts: &Parts) -> Result<Principal, Refusal> {
        self.guard.verify(parts).await.map_err(|refused| refused.refusal)
    }

    async fn verify_body(&self, parts: &Parts, body: &[u8]) -> Result<Principal, Refusal> {
        assert!(self.guard.needs_body(&parts.headers));
        let request = Request { body: Some(body), ..Request::from(parts) };
        let verified = self.guard.verify_request(request).await;
        verified.map(|verified| verified.principal).map_err(|refused| refused.refusal)
    }

    /// Fails unless the request is refused for that reason with nothing recorded.
    async fn refuses(&self, parts: &Parts, refusal: impl Into<Refusal>) -> Refused {
        let asked = self.replay_log.asked();
        let refused = self.guard.verify(parts).await.unwrap_err();
        assert_eq!(refused.refusal, refusal.into());
        assert_eq!(self.replay_log.asked(), asked, "nothing is recorded");
        refused
    }
}

/// Knows keys by the name of their account.
#[derive(Default)]
struct FakeKeys {
    keys: Mutex<HashMap<String, Vec<AccountKey>>>,
    used: Mutex<Vec<Thumbprint>>,
    asked: AtomicUsize,
    away: AtomicBool,
}

impl FakeKeys {
    fn put(&self, name: &str, key: &PrivateKey, standing: TokenStanding) {
        self.put_of(account_id(1), name, key, standing);
    }

    fn put_of(&self, account_id: AccountId, name: &str, key: &PrivateKey, standing: TokenStanding) {
        let key = AccountKey {
            account_id,
            username: Some("alice".parse().unwrap()),
            key: key.public_key().clone(),
            scopes: scopes("read"),
            body_hashes: BodyHashes::Sha256,
            standing,
        };
        self.keys.lock().unwrap().entry(name.to_owned()).or_default().push(key);
    }

    fn let_use_md5(&self, name: &str) {
        let mut keys = self.keys.lock().unwrap();
        keys.entry(name.to_owned()).or_default()[0].body_hashes = BodyHashes::Sha256OrMd5;
    }
}

#[async_trait]
impl AccountKeys for FakeKeys {
    async fn account_keys(
        &self,
        name: &str,
        _kid: Option<&Thumbprint>,
        _client: Option<countersign_protocol::ClientNetwork>,
    ) -> Result<Vec<AccountKey>, PortUnavailable> {
        self.asked.fetch_add(1, SeqCst);
        if self.away.load(SeqCst) {
            return Err(PortUnavailable::Away("the database has caught fire".to_owned()));
        }
        Ok(self.keys.lock().unwrap().get(name).cloned().unwrap_or_default())
    }

    async fn key_used(&self, _: AccountId, key: &Thumbprint, _now: UnixTime) {
        self.used.lock().unwrap().push(*key);
    }
}

/// A good JWT of alice, but for `changes`; null removes a claim.
fn signed_by(key: &PrivateKey, header: Value, changes: Value) -> Parts {
    let mut payload = object(json!({
        "sub": "alice", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 60,
    }));
    for (name, value) in object(changes) {
        if value.is_null() {
            payload.remove(&name);
        } else {
            payload.insert(name, value);
        }
    }
    let token = jws::sign(key, key.algorithm(), &object(header), &payload).unwrap();
    bearer(&token)
}

fn signed(changes: Value) -> Parts {
    signed_by(&ed25519(2), json!({}), changes)
}

fn bearer(token: &str) -> Parts {
    request(PATH, &[("authorization", &format!("Bearer {token}"))])
}

fn hash(body: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    sha256(&[body]).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[tokio::test]
async fn a_jwt_yields_the_principal_that_signed_it() {
    let world = World::new();
    let principal = world.verify(&signed(json!({}))).await.unwrap();
    let key = ed25519(2).public_key().thumbprint();
    assert_eq!(principal.account_id, account_id(1));
    assert_eq!(principal.key, Some(ProvenKey::of(key)));
    assert_eq!(principal.proof, ProofKind::SelfSigned);
    assert_eq!(principal.token_id, None);
    assert!(principal.scopes.contains("read"));
    assert_eq!(principal.expires_at, NOW + Duration::from_mins(1));
    assert_eq!(*world.keys.used.lock().unwrap(), [key]);
}

#[tokio::test]
async fn by_default_no_guard_accepts_one() {
    let world = crate::world::World::new();
    let refusal = world.verify(&signed(json!({}))).await.unwrap_err();
    assert_eq!(refusal, Refusal::Downgrade);
}

#[tokio::test]
async fn an_access_token_stays_bound_to_its_key() {
    let world = World::new();
    let refused = world.refuses(&bearer(&Client::new().token), Refusal::Downgrade).await;
    assert!(refused.signer.is_some(), "the trail tells of its owner");
    assert_eq!(world.keys.asked.load(SeqCst), 0);
}

#[tokio::test]
async fn an_unknown_account_a_foreign_key_and_a_wrong_signature_are_one_answer() {
    let world = World::new();
    for parts in [
        signed(json!({ "sub": "nobody" })),
        signed_by(&ed25519(3), json!({}), json!({})),
        signed_by(
            &countersign_testkit::keys::from_pem(countersign_testkit::keys::RSA_2048_PEM),
            json!({}),
            json!({}),
        ),
    ] {
        let refused = world.refuses(&parts, SelfSignedError::Signature).await;
        assert!(refused.signer.is_none());
        let challenges = world.guard.challenges(&refused);
        assert_eq!(challenges.len(), 2, "the one that was tried comes first");
        assert!(challenges[1].to_str().unwrap().starts_with("DPoP algs="));
        assert!(!challenges[1].to_str().unwrap().contains("error="));
        assert!(challenges[0].to_str().unwrap().starts_with("Bearer algs="));
        assert!(challenges[0].to_str().unwrap().contains("error=\"invalid_token\""));
    }
}

#[tokio::test]
async fn only_who_holds_a_revoked_key_learns_that_it_is() {
    let world = World::new();
    world.keys.put("bob", &ed25519(5), TokenStanding::Revoked);
    let holder = signed_by(&ed25519(5), json!({}), json!({ "sub": "bob" }));
    let refused = world.refuses(&holder, Refusal::Revoked).await;
    assert_eq!(refused.signer.unwrap().key, ed25519(5).public_key().thumbprint());
    let other = signed_by(&ed25519(6), json!({}), json!({ "sub": "bob" }));
    world.refuses(&other, SelfSignedError::Signature).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_uses_at_once_one_succeeds() {
    for changes in [json!({}), json!({ "iat": null })] {
        let world = Arc::new(World::new());
        let parts = Arc::new(signed(changes));
        let attempts: Vec<_> = (0..20)
            .map(|_| {
                let (world, parts) = (Arc::clone(&world), Arc::clone(&parts));
                tokio::spawn(async move { world.verify(&parts).await })
            })
            .collect();
        let mut accepted = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(_) => accepted += 1,
                Err(refusal) => assert_eq!(refusal, Refusal::JwtUsed),
            }
        }
        assert_eq!(accepted, 1);
    }
}

#[tokio::test]
async fn until_expiry_is_a_choice() {
    let world = World::with(|proofs| proofs.policy.reuse = Reuse::UntilExpiry);
    let parts = signed(json!({}));
    for _ in 0..3 {
        world.verify(&parts).await.unwrap();
    }
    world.clock.advance(Duration::from_mins(1) + SKEW);
    world.refuses(&parts, SelfSignedError::Expired).await;
}

#[tokio::test]
async fn where_source_is_the_signer_a_body_of_another_or_of_nobody_is_refused() {
    let world = World::with(|proofs| {
        proofs.policy.require_body_hash = true;
        proofs.policy.other_names = true;
        proofs.policy.source_is_signer = true;
    });
    world.keys.put("her fingerprint", &ed25519(2), TokenStanding::Good);
    world.keys.put_of(account_id(2), "bob", &ed25519(5), TokenStanding::Good);
    let pays = async |sub: Value, body: &str| {
        let parts = signed(json!({ "sub": sub, "tha": hash(body.as_bytes()), "jti": body }));
        world.verify_body(&parts, body.as_bytes()).await.map(|principal| principal.account_id)
    };
    let alice = json!("alice");
    for (sub, body) in [
        (json!(null), r#"{"source":"alice","amount":2}"#),
        (alice.clone(), r#"{"source":"alice"}"#),
        (alice.clone(), r#"{"source":"her fingerprint"}"#),
    ] {
        assert_eq!(pays(sub, body).await, Ok(account_id(1)), "{body}");
    }
    let asked = world.replay_log.asked();
    for body in [
        r#"{"source":"bob"}"#,
        r#"{"source":"nobody"}"#,
        r#"{"source":1}"#,
        r#"{"amount":2}"#,
        r#"{"source":"alice","source":"bob"}"#,
        "[]",
        "source=alice",
        "",
    ] {
        assert_eq!(pays(alice.clone(), body).await, Err(SelfSignedError::Source.into()), "{body}");
    }
    assert_eq!(world.replay_log.asked(), asked, "nothing is used up");
    world.keys.away.store(true, SeqCst);
    let body = r#"{"source":"bob"}"#;
    assert!(matches!(pays(alice, body).await, Err(Refusal::Unavailable(_))));
}

#[tokio::test]
async fn a_replay_says_whose_jwt_it_was() {
    let world = World::new();
    let parts = signed(json!({}));
    world.verify(&parts).await.unwrap();
    let refused = world.guard.verify(&parts).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::JwtUsed);
    assert_eq!(refused.signer.unwrap().account_id, account_id(1));
}

#[tokio::test]
async fn nothing_works_again_after_a_restart() {
    let volatile = |since: UnixTime, durable: &Arc<FakeReplayLog>| {
        let durable: Arc<FakeReplayLog> = Arc::clone(durable);
        move |proofs: &mut SelfSignedProofs| {
            proofs.across_restarts =
                Some(AcrossRestarts { not_before: since, durable: Some(durable), others: false });
        }
    };
    let first = World::new();
    let before = NOW - Duration::from_secs(100);
    let alter = volatile(before, &first.durable);
    let first = World::over(first.keys, first.durable, NOW, alter);
    let used: Vec<Parts> = [
        json!({}),
        json!({ "iat": null }),
        json!({ "iat": NOW.as_secs() + 3 }),
        json!({ "iat": NOW.as_secs() - 50 }),
    ]
    .into_iter()
    .map(signed)
    .collect();
    for parts in &used {
        first.verify(parts).await.unwrap();
    }
    assert_eq!(first.durable.asked(), 2, "only what a restart could not tell");
    let unused = signed(json!({ "jti": "unused" }));

    let restart = NOW + Duration::from_millis(400);
    let alter = volatile(restart, &first.durable);
    let second = World::over(Arc::clone(&first.keys), Arc::clone(&first.durable), restart, alter);
    assert_eq!(second.verify(&unused).await, Err(Refusal::JustStarted));
    for wait in [0, 1, 4, 10, 40] {
        second.clock.advance(Duration::from_secs(wait));
        for parts in &used {
            assert!(second.verify(parts).await.is_err());
        }
    }
    assert_eq!(second.verify(&unused).await, Err(Refusal::BeforeStart));
    let alter = volatile(restart, &first.durable);
    let third = World::over(first.keys, first.durable, restart, alter);
    third.verify(&signed(json!({ "iat": null, "jti": "other" }))).await.unwrap();
    third.verify(&signed(json!({ "iat": NOW.as_secs() + 1 }))).await.unwrap();
}

#[tokio::test]
async fn at_servers_with_logs_of_their_own_a_jwt_works_once() {
    let beside = |durable: &Arc<FakeReplayLog>| {
        let durable: Arc<FakeReplayLog> = Arc::clone(durable);
        move |proofs: &mut SelfSignedProofs| {
            let not_before = NOW - Duration::from_secs(100);
            proofs.across_restarts =
                Some(AcrossRestarts { not_before, durable: Some(durable), others: true });
        }
    };
    let one = World::new();
    let alter = beside(&one.durable);
    let one = World::over(one.keys, one.durable, NOW, alter);
    let alter = beside(&one.durable);
    let other = World::over(Arc::clone(&one.keys), Arc::clone(&one.durable), NOW, alter);
    let parts = signed(json!({}));
    one.verify(&parts).await.unwrap();
    assert_eq!(other.verify(&parts).await, Err(Refusal::JwtUsed));
}

#[tokio::test]
async fn a_jwt_whose_log_has_forgotten_meanwhile_is_refused() {
    let world = World::new();
    let world = started_at(NOW - Duration::from_secs(100), world.keys, world.durable);
    world.clock.set(NOW);
    let undated = signed(json!({ "iat": null }));
    for log in [&world.replay_log, &world.durable] {
        log.forgets.store(true, SeqCst);
        assert_eq!(world.verify(&undated).await, Err(Refusal::JustStarted));
        log.forgets.store(false, SeqCst);
    }
    world.verify(&signed(json!({ "iat": null, "jti": "another" }))).await.unwrap();
}

/// A start at `now`, of a server whose replay log forgets.
fn started_at(now: UnixTime, keys: Arc<FakeKeys>, durable: Arc<FakeReplayLog>) -> World {
    let remembers = Some(Arc::clone(&durable) as _);
    World::over(keys, durable, now, |proofs| {
        proofs.across_restarts =
            Some(AcrossRestarts { not_before: now, durable: remembers, others: false });
    })
}

#[tokio::test]
async fn nothing_works_again_after_a_start_with_a_clock_that_was_behind() {
    let first = World::new();
    let first = started_at(NOW - Duration::from_secs(100), first.keys, first.durable);
    first.clock.advance(Duration::from_secs(100));
    let used = signed(json!({ "iat": NOW.as_secs() - 50 }));
    first.verify(&used).await.unwrap();
    let second = started_at(NOW - Duration::from_hours(1), first.keys, first.durable);
    second.clock.set(NOW + Duration::from_secs(10));
    for _ in 0..2 {
        assert_eq!(second.verify(&used).await, Err(Refusal::JustStarted));
    }
    second.clock.advance(Duration::from_secs(1));
    assert_eq!(second.verify(&used).await, Err(Refusal::BeforeStart));
    let new = signed(json!({ "iat": NOW.as_secs() + 11, "jti": "new" }));
    second.verify(&new).await.unwrap();
}

#[tokio::test]
async fn whoever_comes_too_soon_after_a_start_is_told_when_to_come() {
    let world = World::with(|proofs| {
        proofs.across_restarts =
            Some(AcrossRestarts { not_before: NOW, durable: None, others: false });
    });
    let made = |ahead: u64| signed(json!({ "iat": NOW.as_secs() + ahead, "jti": "new" }));
    assert_eq!(world.verify(&made(0)).await, Err(Refusal::StartedLately { seconds: 16 }));
    let refused = world.guard.verify(&made(0)).await.unwrap_err();
    let answer = world.guard.answer(&refused);
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "16");
    assert!(answer.body().contains("sign another in 16 s"), "{}", answer.body());
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(world.verify(&made(10)).await, Err(Refusal::StartedLately { seconds: 6 }));
    assert_eq!(world.verify(&made(18)).await, Err(Refusal::MadeAhead { seconds: 8 }));
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(world.verify(&made(15)).await, Err(Refusal::BeforeStart));
    world.verify(&made(16)).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    world.verify(&made(18)).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_moment_shuts_nobody_out() {
    let world = World::new();
    let world = started_at(NOW - Duration::from_secs(100), world.keys, world.durable);
    world.clock.set(NOW + Duration::from_hours(24));
    let ahead = (NOW + Duration::from_hours(24)).as_secs();
    let early = signed(json!({ "iat": ahead, "exp": ahead + 60, "jti": "early" }));
    assert_eq!(world.verify(&early).await, Err(Refusal::JustStarted));
    world.clock.set(NOW);
    let parts = signed(json!({ "iat": NOW.as_secs() + 1 }));
    world.verify(&parts).await.unwrap();
}

#[tokio::test]
async fn outages_accept_nothing() {
    let world = World::new();
    world.replay_log.away.store(true, SeqCst);
    let refusal = world.verify(&signed(json!({}))).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)));
    world.keys.away.store(true, SeqCst);
    let refusal = world.verify(&signed(json!({}))).await.unwrap_err();
    assert_eq!(refusal, Refusal::Unavailable("the database has caught fire".to_owned()));
    let durable: Arc<FakeReplayLog> = Arc::default();
    durable.away.store(true, SeqCst);
    let world = World::with(|proofs| {
        let since = NOW - Duration::from_secs(100);
        proofs.across_restarts =
            Some(AcrossRestarts { not_before: since, durable: Some(durable), others: false });
    });
    let refusal = world.verify(&signed(json!({ "iat": null }))).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)));
}

#[tokio::test]
async fn a_scope_is_looked_at_before_the_jwt_is_spent() {
    let world = World::new();
    let parts = signed(json!({}));
    let [write, read] = ["write", "read"].map(|scope| Requirements::scopes(scopes(scope)));
    let needs = |required| Request { required, ..Request::from(&parts) };
    let refused = world.guard.verify_request(needs(&write)).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::InsufficientScope(write.scopes.clone()));
    assert!(world.guard.verify_request(needs(&read)).await.is_ok());
}

#[tokio::test]
async fn a_jwt_says_nothing_about_a_login_and_is_not_spent_where_one_is_required() {
    let world = World::new();
    let parts = signed(json!({}));
    let required = Requirements::none().acr(AuthenticationClass::PhishingResistant);
    let request = Request { required: &required, ..Request::from(&parts) };
    let refused = world.guard.verify_request(request).await.unwrap_err();
    let Refusal::InsufficientLogin(error) = refused.refusal.clone() else { panic!("{refused:?}") };
    assert_eq!(error.lack, LoginLack::Unknown);
    let challenges = world.guard.challenges(&refused);
    let [challenge] = challenges.as_slice() else { panic!("{challenges:?}") };
    let challenge = challenge.to_str().unwrap();
    assert!(challenge.starts_with("DPoP "), "the scheme that can say it: {challenge}");
    assert!(challenge.ends_with(", acr_values=\"phr\""), "{challenge}");
    assert!(world.guard.verify_request(Request::from(&parts)).await.is_ok());
}

#[tokio::test]
async fn a_body_that_is_not_there_does_not_match() {
    let world = World::new();
    let parts = signed(json!({ "tha": hash(b"") }));
    world.refuses(&parts, SelfSignedError::BodyUnseen).await;
    assert!(world.verify_body(&parts, b"x").await.is_err());
    assert!(world.verify_body(&parts, b"").await.is_ok());
    assert!(!world.guard.needs_body(&signed(json!({})).headers));
}

#[tokio::test]
async fn other_names_count_where_the_policy_says_so() {
    let nameless = json!({ "sub": null, "tha": hash(br#"{"source":"alice"}"#) });
    let by_kid =
        signed_by(&ed25519(2), json!({ "kid": "alice" }), json!({ "sub": null, "jti": "1" }));
    let by_body = signed(nameless);
    let strict = World::new();
    strict.refuses(&by_kid, SelfSignedError::NoAccount).await;
    let refusal = strict.verify_body(&by_body, br#"{"source":"alice"}"#).await;
    assert_eq!(refusal, Err(SelfSignedError::NoAccount.into()));

    let lenient = World::with(|proofs| proofs.policy.other_names = true);
    assert!(lenient.verify(&by_kid).await.is_ok());
    assert!(lenient.verify_body(&by_body, br#"{"source":"alice"}"#).await.is_ok());
    for body in [&b""[..], b"[]", br#"{"source":7}"#, br#"{"source":"alice","source":"alice"}"#] {
        let parts = signed(json!({ "sub": null, "tha": hash(body) }));
        let refusal = lenient.verify_body(&parts, body).await;
        assert_eq!(refusal, Err(SelfSignedError::NoAccount.into()));
    }
}

#[tokio::test]
async fn md5_counts_where_the_policy_says_so() {
    let parts = || signed(json!({ "tha": "900150983cd24fb0d6963f7d28e17f72" }));
    let refusal = World::new().verify_body(&parts(), b"abc").await;
    assert_eq!(refusal, Err(SelfSignedError::BodyHash.into()));
    let lenient = World::with(|proofs| proofs.policy.body_hashes = BodyHashes::Sha256OrMd5);
    lenient.keys.let_use_md5("alice");
    assert!(lenient.verify_body(&parts(), b"abc").await.is_ok());
    let strict = World::new();
    strict.keys.let_use_md5("alice");
    let refusal = strict.verify_body(&parts(), b"abc").await;
    assert_eq!(refusal, Err(SelfSignedError::BodyHash.into()));
}

#[tokio::test]
async fn md5_counts_for_no_account_that_need_not_use_it() {
    let world = World::with(|proofs| proofs.policy.body_hashes = BodyHashes::Sha256OrMd5);
    let md5 = json!({ "tha": "900150983cd24fb0d6963f7d28e17f72" });
    let refusal = world.verify_body(&signed(md5.clone()), b"abc").await;
    assert_eq!(refusal, Err(SelfSignedError::Md5.into()));
    assert_eq!(world.replay_log.asked(), 0, "nothing is recorded");
    // Who has not the key learns nothing about the account.
    let stranger = signed_by(&ed25519(3), json!({}), md5);
    let refusal = world.verify_body(&stranger, b"abc").await;
    assert_eq!(refusal, Err(SelfSignedError::Signature.into()));
    let sha256 = signed(json!({ "tha": hash(b"abc") }));
    assert!(world.verify_body(&sha256, b"abc").await.is_ok());
}

/// The answer of an echo behind the guard's layer.
async fn echoed(world: &World, parts: Parts, body: &'static [u8]) -> (StatusCode, Bytes) {
    let echo = service_fn(async |request: http::Request<Full<Bytes>>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, std::convert::Infallible>(http::Response::new(
            String::from_utf8_lossy(&body).into_owned(),
        ))
    });
    let request = http::Request::from_parts(parts, Full::from(body));
    let response = GuardLayer::new(world.guard.clone()).layer(echo).oneshot(request).await.unwrap();
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let refused = response.extensions().get::<Refused>().unwrap();
        assert_eq!(refused.refusal, Refusal::Body(BodyError::TooLarge));
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
    }
    (response.status(), response.into_body().into())
}

#[tokio::test]
async fn the_layer_hashes_the_body_and_passes_it_on() {
    let world = World::with(|proofs| proofs.policy.max_hashed_body = 8);
    let good = signed(json!({ "tha": hash(b"12345678") }));
    let (status, body) = echoed(&world, good, b"12345678").await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"12345678"[..]));
    let wrong = signed(json!({ "tha": hash(b"1234567") }));
    assert_eq!(echoed(&world, wrong, b"12345678").await.0, StatusCode::UNAUTHORIZED);
    let large = signed(json!({ "tha": hash(b"123456789") }));
    assert_eq!(echoed(&world, large, b"123456789").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let unhashed = signed(json!({ "jti": "2" }));
    let (status, body) = echoed(&world, unhashed, b"123456789").await;
    assert_eq!((status, body.len()), (StatusCode::OK, 9), "the limit is for hashing");
}

#[tokio::test]
async fn the_layer_reads_nothing_of_a_body_that_says_it_is_too_large() {
    /// A body that must not be read.
    struct Declared;
    impl http_body::Body for Declared {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            panic!("it is read")
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(9)
        }
    }
    impl From<Bytes> for Declared {
        fn from(_: Bytes) -> Self {
            Self
        }
    }
    let world = World::with(|proofs| proofs.policy.max_hashed_body = 8);
    let request = signed(json!({ "tha": hash(b"123456789") }));
    let request = http::Request::from_parts(request, Declared);
    let refused = GuardLayer::new(world.guard.clone()).let_in(request).await.err().unwrap();
    assert_eq!(refused.refusal, Refusal::Body(BodyError::TooLarge));
}
