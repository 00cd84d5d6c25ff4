//! What proofs and tokens cost by themselves: parsed, and parsed and verified. `signature` is the
//! part of it that nobody can save.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{hint::black_box, time::Duration};

use countersign_protocol::{
    AccountId, AuthenticationContext, Scopes, UnixTime,
    challenges::sealed::{EpochNonces, NonceSealer, Nonces as _},
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, PrivateKey},
    proofs::{
        body_hash::BodyHashes,
        dpop::{DpopExpectations, NonceRule, PresentedProof, ProofWindow, TokenBinding},
        nonce_pss,
        self_signed::{PresentedSelfSigned, SelfSignedExpectations},
        target_uri::TargetUri,
    },
    strict::base64url,
    tokens::{
        assertion::{AssertionExpectations, AssertionUse, PresentedAssertion},
        issue::{AccessTokenClaims, access_token},
        jws,
        offered_session::{OfferedSession, SessionExpectations},
        session::SessionSealer,
        verify::{AccessToken, AccessTokenExpectations},
    },
};
use countersign_testkit::{keys, samples::EPOCH};
use divan::Bencher;
use serde_json::{Map, Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const ISSUER: &str = "https://auth.example.com";
const URI: &str = "https://auth.example.com/v1/whoami";
const SKEW: Duration = Duration::from_secs(5);

fn main() {
    divan::main();
}

/// A kind of key, with the algorithm that it signs with here.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Ed25519,
    Es256,
    Ps256,
}

const KINDS: [Kind; 3] = [Kind::Ed25519, Kind::Es256, Kind::Ps256];

impl Kind {
    fn key(self) -> (PrivateKey, Algorithm) {
        match self {
            Self::Ed25519 => (keys::ed25519(1), Algorithm::EdDsa),
            Self::Es256 => (keys::from_pem(keys::EC_P256_PEM), Algorithm::Es256),
            Self::Ps256 => (keys::from_pem(keys::RSA_2048_PEM), Algorithm::Ps256),
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { return Map::new() };
    object
}

fn jwt((key, algorithm): &(PrivateKey, Algorithm), header: Value, claims: Value) -> String {
    jws::sign(key, *algorithm, &object(header), &object(claims)).unwrap()
}

fn nonces() -> EpochNonces {
    let sealer = NonceSealer::new(SealingKey::from_bytes(&[7; 32]), Duration::from_mins(5));
    EpochNonces::new(sealer, EPOCH)
}

fn claims(key: &PrivateKey) -> AccessTokenClaims {
    let thumbprint = key.public_key().thumbprint();
    AccessTokenClaims {
        issuer: ISSUER.to_owned(),
        account_id: AccountId::from_bytes(*b"\x01\x8b\xcf\xe5\x68\0\x70\0\x80\0\0\0\0\0\0\x01"),
        audience: vec![ISSUER.to_owned()],
        credential: thumbprint,
        name: None,
        username: None,
        bound_to: thumbprint,
        scopes: Scopes::none(),
        narrowed: false,
        token_id: "018bcfe5-6800-7000-8000-000000000001".to_owned(),
        authentication: Some(AuthenticationContext::by_key(NOW)),
        issued_at: NOW,
        expires_at: NOW + Duration::from_mins(15),
    }
}

fn token() -> (PrivateKey, String) {
    let (key, algorithm) = Kind::Es256.key();
    let token = access_token(&claims(&key), &key, algorithm).unwrap();
    (key, token)
}

fn dpop_proof(pair: &(PrivateKey, Algorithm), token: &str) -> String {
    let jwk = Value::Object(pair.0.public_key().to_jwk());
    let claims = json!({
        "jti": "0123456789abcdef", "htm": "GET", "htu": URI, "iat": NOW.as_secs(),
        "ath": base64url::encode(&sha256(&[token.as_bytes()])), "nonce": nonces().issue(NOW),
    });
    jwt(pair, json!({ "typ": "dpop+jwt", "jwk": jwk }), claims)
}

fn assertion(pair: &(PrivateKey, Algorithm)) -> String {
    let kid = pair.0.public_key().thumbprint().to_string();
    let claims = json!({
        "iss": "alice", "sub": "alice", "aud": ISSUER, "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60, "jti": "0123456789abcdef",
    });
    jwt(pair, json!({ "typ": "JWT", "kid": kid }), claims)
}

fn self_signed(pair: &(PrivateKey, Algorithm)) -> String {
    let kid = pair.0.public_key().thumbprint().to_string();
    let claims = json!({
        "sub": "alice", "aud": ISSUER, "iat": NOW.as_secs(), "exp": NOW.as_secs() + 60,
        "jti": "0123456789abcdef",
    });
    jwt(pair, json!({ "typ": "JWT", "kid": kid }), claims)
}

#[divan::bench(args = KINDS)]
fn signature(bencher: Bencher<'_, '_>, kind: Kind) {
    let (key, algorithm) = kind.key();
    let message = [b'x'; 700];
    let signature = key.sign(algorithm, &message).unwrap();
    let public = key.public_key();
    bencher.bench_local(|| public.verify(algorithm, black_box(&message), &signature).unwrap());
}

#[divan::bench(args = KINDS)]
fn dpop_parsed(bencher: Bencher<'_, '_>, kind: Kind) {
    let proof = dpop_proof(&kind.key(), "token");
    bencher.bench_local(|| PresentedProof::parse(black_box(&proof)).unwrap());
}

#[divan::bench(args = KINDS)]
fn dpop_verified(bencher: Bencher<'_, '_>, kind: Kind) {
    let (pair, (_, token)) = (kind.key(), token());
    let proof = dpop_proof(&pair, &token);
    let (nonces, uri) = (nonces(), TargetUri::parse(URI).unwrap());
    let public = pair.0.public_key();
    let binding = TokenBinding { ath: sha256(&[token.as_bytes()]), jkt: public.thumbprint() };
    let expected = DpopExpectations {
        method: "GET",
        uri: &uri,
        access_token: Some(binding),
        nonce: NonceRule::Required(&nonces),
        window: ProofWindow::default(),
    };
    bencher.bench_local(|| {
        let proof = PresentedProof::parse(black_box(&proof)).unwrap();
        proof.verify(public, &expected, NOW).unwrap()
    });
}

#[divan::bench(args = KINDS)]
fn self_signed_parsed(bencher: Bencher<'_, '_>, kind: Kind) {
    let jwt = self_signed(&kind.key());
    bencher.bench_local(|| PresentedSelfSigned::parse(black_box(&jwt)).unwrap());
}

#[divan::bench(args = KINDS)]
fn self_signed_verified(bencher: Bencher<'_, '_>, kind: Kind) {
    let pair = kind.key();
    let jwt = self_signed(&pair);
    let expected = SelfSignedExpectations {
        issuer: ISSUER,
        audience: ISSUER,
        require_audience: false,
        max_lifetime: Duration::from_mins(5),
        skew: SKEW,
        body: None,
        body_hashes: BodyHashes::Sha256,
        require_body_hash: false,
    };
    bencher.bench_local(|| {
        let jwt = PresentedSelfSigned::parse(black_box(&jwt)).unwrap();
        jwt.verify([pair.0.public_key()], &expected, NOW).unwrap()
    });
}

/// The proof of *signjwt*; for RSA with the greatest salt.
#[divan::bench(args = KINDS)]
fn signed_message_verified(bencher: Bencher<'_, '_>, kind: Kind) {
    let (key, _) = kind.key();
    let (nonce, jwt) = ("AAAAAAAAAAAAAAAAAAAAAA", session());
    let expected = SessionExpectations { issuer: ISSUER, subject: "alice" };
    let session = OfferedSession::parse(nonce, &jwt, &expected, NOW).unwrap();
    let signature = nonce_pss::sign(&key, &session).unwrap();
    let public = key.public_key();
    bencher.bench_local(|| nonce_pss::verify(public, nonce, black_box(&jwt), &signature).unwrap());
}

#[divan::bench]
fn session_verified(bencher: Bencher<'_, '_>) {
    let (sealer, jwt) = (session_sealer(), session());
    bencher.bench_local(|| sealer.verify(black_box(&jwt), NOW).unwrap());
}

fn session_sealer() -> SessionSealer {
    let key = SealingKey::from_bytes(&[7; 32]);
    SessionSealer::new(&key, ISSUER, Duration::from_mins(30))
}

fn session() -> String {
    session_sealer().issue("alice", "0123456789abcdef", "AAAAAAAAAAAAAAAAAAAAAA", NOW)
}

#[divan::bench(args = KINDS)]
fn assertion_verified(bencher: Bencher<'_, '_>, kind: Kind) {
    let pair = kind.key();
    let assertion = assertion(&pair);
    let endpoint = format!("{ISSUER}/oauth/token");
    let expected = AssertionExpectations {
        purpose: AssertionUse::Grant,
        issuer: ISSUER,
        token_endpoint: &endpoint,
        max_lifetime: Duration::from_mins(5),
        skew: SKEW,
    };
    bencher.bench_local(|| {
        let assertion = PresentedAssertion::parse(black_box(&assertion)).unwrap();
        assertion.verify(pair.0.public_key(), &expected, NOW).unwrap()
    });
}

#[divan::bench(args = KINDS)]
fn access_token_issued(bencher: Bencher<'_, '_>, kind: Kind) {
    let (key, algorithm) = kind.key();
    let claims = claims(&key);
    bencher.bench_local(|| access_token(black_box(&claims), &key, algorithm).unwrap());
}

/// What a token costs that is not in the cache of the guard.
#[divan::bench]
fn access_token_verified(bencher: Bencher<'_, '_>) {
    let (key, token) = token();
    let expected = AccessTokenExpectations { issuer: ISSUER, audience: ISSUER, skew: SKEW };
    bencher.bench_local(|| {
        let token = AccessToken::parse(black_box(&token)).unwrap();
        token.verify(key.public_key(), &expected, NOW).unwrap()
    });
}

#[divan::bench]
fn nonce_issued(bencher: Bencher<'_, '_>) {
    let nonces = nonces();
    bencher.bench_local(|| nonces.issue(black_box(NOW)));
}

#[divan::bench]
fn nonce_recognised(bencher: Bencher<'_, '_>) {
    let nonces = nonces();
    let nonce = nonces.issue(NOW);
    bencher.bench_local(|| assert!(nonces.epoch_of(black_box(&nonce), NOW).is_some()));
}
